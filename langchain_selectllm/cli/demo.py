"""`selectllm demo`: sampling, training, evaluation and live answers, on the package's own models."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_selectllm._optional import require
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli import show
from langchain_selectllm.cli.console import out, print_json, progress_bars
from langchain_selectllm.cli.report_table import print_report
from langchain_selectllm.outcomes import OutcomeTable, write_records
from langchain_selectllm.outcomes.folders import check_new_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_selectllm.embedded import Task
    from langchain_selectllm.evaluation import Report

_POLICIES = (
    *("random:1", "random:3", "prior_only:3"),
    *("max_conf:1", "max_conf:3", "labelled_max_conf:3"),
    *("weighted_max_conf:2", "weighted_max_conf:3"),
    *("selectllm:2", "selectllm:3"),
)
_TEST_SHARE = 0.4
_LIVE = ("addition", "comparison", "units", "spelling")
"""Categories that are answered live, one prompt each."""


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="New folder to keep the outcomes and the router in; without it nothing is kept."
        ),
    ] = None,
    n_queries: Annotated[int, typer.Option("--queries", min=60, help="Generated queries.")] = 440,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each member on each query.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of queries, samples and splits.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON for other programs.")
    ] = False,
) -> None:
    """Sample five small language models, train a router, compare all systems, and answer a few prompts."""
    if folder is not None:
        check_new_folder(folder)
    for module, extra in (("torch", "embedded"), ("transformers", "embedded"), ("sklearn", "train")):
        require(module, extra=extra, needed_by="selectllm demo")
    start = time.perf_counter()
    out.quiet = as_json

    from langchain_selectllm.embedded import generate_tasks
    from langchain_selectllm.embedded.task_kinds import CATEGORIES

    # Categories come in turn: the tasks behind the recorded ones hold one of each.
    tasks = generate_tasks(n_queries + len(CATEGORIES), seed=seed)
    training, test = _sample(tasks[:n_queries], samples, seed, folder).split(_TEST_SHARE, seed=seed)
    _say(f"2. Label {len(training)} queries by the majority of each member's samples, and train on them")
    with progress_bars() as on_progress:
        classifier = SelectLLMClassifier(seed=seed).fit(training, progress=on_progress)
    router, ask_next = None, "selectllm demo --out FOLDER keeps outcomes and router"
    if folder is not None:
        router = folder / "router"
        ask_next = f'selectllm ask {router} "What is 17 + 25?"'
        classifier.save_pretrained(router)
    show.print_trained(classifier, router)
    _say(f"3. Replay every system on the other {len(test)} queries")
    report = _evaluate(classifier, test, seed)
    print_report(report)
    _say("4. Answer new prompts live through SelectLLMRouter")
    _answer_live(classifier, [task for task in tasks[n_queries:] if task.category in _LIVE], seed)
    if as_json:
        out.quiet = False
        print_json(report.to_dict())
        return
    out.print(
        f"\nDone in {time.perf_counter() - start:.0f} s. Next: {ask_next}", highlight=False, soft_wrap=True
    )


def _sample(tasks: "Sequence[Task]", samples: int, seed: int, folder: Path | None) -> OutcomeTable:
    from langchain_selectllm.embedded import embedded_models, sample_outcomes

    # One torch thread per member: tensors this small gain nothing from more, and lose much on a busy machine.
    require("torch", extra="embedded", needed_by="The embedded pool").set_num_threads(1)
    models = embedded_models(seed=seed)
    _say(
        f"1. Sample {len(models)} embedded language models {samples} times each on {len(tasks)} "
        "held-out queries"
    )
    start = time.perf_counter()
    with progress_bars() as on_progress:
        queries, replies = sample_outcomes(tasks, models, n=samples, progress=on_progress)
    seconds = time.perf_counter() - start
    out.print(f"{len(replies):,} replies in {seconds:.0f} s, loading the models included.", highlight=False)
    if folder:
        write_records(folder / "outcomes", queries, replies)
    table = OutcomeTable.from_records(queries, replies)
    show.print_categories(table)
    return table


def _evaluate(classifier: SelectLLMClassifier, test: OutcomeTable, seed: int) -> "Report":
    from langchain_selectllm.evaluation import evaluate

    with progress_bars() as on_progress:
        return evaluate(classifier, test, policies=_POLICIES, seed=seed, progress=on_progress)


def _answer_live(classifier: SelectLLMClassifier, tasks: "Sequence[Task]", seed: int) -> None:
    from langchain_selectllm.embedded import embedded_models, read_answer
    from langchain_selectllm.routing.output_parser import VotingOutputParser
    from langchain_selectllm.routing.router import SelectLLMRouter

    router = SelectLLMRouter(
        classifier=classifier,
        models=embedded_models(classifier.members, seed=seed),
        policy="selectllm:3",
        parser=VotingOutputParser(answer=read_answer),
    )
    for task in tasks:
        out.print(
            f"\nPrompt: {task.text}   (correct: {task.reference})",
            style="bold",
            highlight=False,
            markup=False,
        )
        show.print_reply(router.invoke(task.text))


def _say(title: str) -> None:
    out.print(f"\n{title}", style="bold cyan", highlight=False)
