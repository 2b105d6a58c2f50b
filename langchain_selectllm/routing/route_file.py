"""Decisions for files of prompts, in bounded memory; a run that was interrupted continues where it ended."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import Decision, decide_all
from langchain_selectllm.routing.prompt_files import (
    Outputs,
    Piece,
    PromptFile,
    PromptLine,
    pieces_left,
    prompt_files,
    read_blocks,
)
from langchain_selectllm.selection.policies import Policy

BLOCK_LINES = 1000
"""Lines that are held in memory and decided together."""
_TOLERANCE = 1e-5
"""Difference between two computations of a probability; written are six decimals."""

LinesCallback = Callable[[int], None]
"""Called with the number of input lines that have their decision."""


@dataclass(frozen=True, kw_only=True)
class RoutedFile:
    """Result of one run."""

    n_lines: int
    """Lines of the output after this run."""
    n_earlier: int
    """Lines that an earlier run had written."""
    n_unreadable: int
    """Lines of this run that hold no prompt; the output holds the error in their place."""
    first_error: str | None
    """The first of these errors, with its file and line."""


@dataclass(frozen=True, kw_only=True)
class RoutedBlock:
    """Decisions that were made together."""

    file: int
    """Index of the file among those of the job."""
    lines: bytes
    """Lines of the output."""
    n_lines: int
    n_unreadable: int
    first_error: str | None
    """With its line."""


RoutingEngine = Callable[[Sequence[Piece]], Iterator[RoutedBlock]]
"""Decides for pieces, in their order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decider:
    """Decides for pieces of files in this process."""

    classifier: SelectLLMClassifier
    policy: Policy
    block_lines: int = field(default=BLOCK_LINES)

    def __call__(self, pieces: Sequence[Piece]) -> Iterator[RoutedBlock]:
        """Yields the decisions, a block of lines at a time.

        Raises:
            OutcomeError: If an input cannot be read.
        """
        for piece in pieces:
            for block in read_blocks(piece, self.block_lines):
                yield _routed_block(piece, self.entries(block))

    def entries(self, prompts: Sequence[PromptLine]) -> list[dict[str, Any]]:
        """Lines of the output; the readable prompts are decided together."""
        texts = [prompt.text for prompt in prompts if prompt.error is None]
        decisions: Iterator[Decision] = iter(())
        if texts:
            decisions = iter(decide_all(self.classifier, self.policy, texts))
        entries = []
        for prompt in prompts:
            entry: dict[str, Any] = {"line": prompt.line}
            if prompt.query_id is not None:
                entry["query_id"] = prompt.query_id
            if prompt.error is None:
                entry |= _described(next(decisions))
            else:
                entry["error"] = prompt.error
            entries.append(entry)
        return entries

    def check(self, file: PromptFile, last: PromptLine | None) -> None:
        """Whether the last finished line of an output is the decision of this router and policy.

        Raises:
            OutcomeError: If it is not.
        """
        done, source, target = file.done, file.source, file.target
        if last is None:
            raise OutcomeError(
                f"{target} has {done.n_lines:,} lines, more than {source}. Give the input that it was made "
                "from, or another output."
            )
        try:
            written = json.loads(done.last)
        except ValueError:
            written = None
        if not _is_same_entry(written, self.entries([last])[0]):
            raise OutcomeError(
                f"{target}:{done.n_lines} is no decision of this router and policy for "
                f"{source}:{done.n_lines}. Give the router, policy and input that it was made with, or "
                "another output."
            )


def route_file(
    decider: Decider,
    source: Path,
    target: Path,
    *,
    engine: RoutingEngine | None = None,
    on_progress: LinesCallback | None = None,
) -> RoutedFile:
    """Writes one decision per prompt; no model is called.

    Each input line is a JSON object with the text as `query` and an optional `query_id`. A line that is not
    gets `error` instead of a decision, and the run goes on.

    Args:
        decider: Router and policy.
        source: Prompts, JSON Lines; gzip if the name ends in .gz. A folder is read file by file.
        target: Decisions, JSON Lines; for a folder a folder, with one file per input file. An existing file
            is continued after its last complete line.
        engine: Where the decisions are made; in this process when None.
        on_progress: Called after each block.

    Raises:
        OutcomeError: If the input cannot be read, or the output holds decisions of another router, policy
            or input.
        PolicyError: If the policy cannot be applied to the classifier's pool.
    """
    files = prompt_files(source, target)
    pieces = pieces_left(files, decider.check)
    n_earlier = sum(file.done.n_lines for file in files)
    n_lines, n_unreadable, first_error = n_earlier, 0, None
    with Outputs(files) as outputs:
        for block in (engine or decider)(pieces):
            outputs.write(block)
            n_lines, n_unreadable = n_lines + block.n_lines, n_unreadable + block.n_unreadable
            if block.first_error is not None:
                first_error = first_error or f"{files[block.file].source}:{block.first_error}"
            if on_progress is not None:
                on_progress(n_lines)
    return RoutedFile(
        n_lines=n_lines, n_earlier=n_earlier, n_unreadable=n_unreadable, first_error=first_error
    )


def _routed_block(piece: Piece, entries: Sequence[Mapping[str, Any]]) -> RoutedBlock:
    errors = [f"{entry['line']}: {entry['error']}" for entry in entries if "error" in entry]
    return RoutedBlock(
        file=piece.file,
        lines=b"".join(json.dumps(entry).encode() + b"\n" for entry in entries),
        n_lines=len(entries),
        n_unreadable=len(errors),
        first_error=next(iter(errors), None),
    )


def _is_same_entry(written: Any, entry: Mapping[str, Any]) -> bool:
    """Whether two entries agree, up to the rounding of probabilities."""
    if not isinstance(written, dict) or written.keys() != entry.keys():
        return False
    for key, value in entry.items():
        if key == "probabilities":
            if not _are_close(written[key], value):
                return False
        elif written[key] != value:
            return False
    return True


def _are_close(written: Any, values: Mapping[str, float]) -> bool:
    if not isinstance(written, dict) or list(written) != list(values):
        return False
    return all(abs(written[name] - value) <= _TOLERANCE for name, value in values.items())


def _described(decision: Decision) -> dict[str, Any]:
    """The decision as JSON types, probabilities with six decimals."""
    probabilities = decision.probabilities.round(6).tolist()
    return {
        "selection": list(decision.selected_members),
        "probabilities": dict(zip(decision.members, probabilities, strict=True)),
        "reason": decision.reason,
    }
