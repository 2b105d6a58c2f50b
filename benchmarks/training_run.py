"""One training in a process of its own, so that its peak memory can be read: prints one line of JSON.

Usage: python benchmarks/training_run.py FOLDER_OF_OUTCOMES [--save FOLDER]
"""

import argparse
import json
import resource
import time

from langchain_selectllm import OutcomeTable, SelectLLMClassifier


def main() -> None:
    """Read, train, and print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outcomes")
    parser.add_argument("--save")
    given = parser.parse_args()
    start = time.perf_counter()
    table = OutcomeTable.from_folders(given.outcomes)
    read = time.perf_counter()
    classifier = SelectLLMClassifier().fit(table)
    trained = time.perf_counter()
    if given.save:
        classifier.save_pretrained(given.save)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {"read_s": read - start, "fit_s": trained - read, "cpu_s": time.process_time(), "peak_gib": peak}
        )
    )


if __name__ == "__main__":
    main()
