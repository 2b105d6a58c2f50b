"""Decisions for a file of prompts, in bounded memory; a run that was interrupted continues where it ended.

The output has one line per line of the input, in the same order, so the number of its complete lines is the
place to continue at.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import Decision, decide_all
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
    """The first of these errors, with its line."""


@dataclass(frozen=True, kw_only=True)
class PromptLine:
    """One line of the input."""

    line: int
    """From 1."""
    text: str = ""
    query_id: str | None = None
    error: str | None = None
    """Why the line holds no prompt."""


def route_file(
    classifier: SelectLLMClassifier,
    policy: Policy,
    source: Path,
    target: Path,
    *,
    block_lines: int = BLOCK_LINES,
    on_progress: LinesCallback | None = None,
) -> RoutedFile:
    """Writes one decision per prompt; no model is called.

    Each input line is a JSON object with the text as `query` and an optional `query_id`. A line that is not
    gets `error` instead of a decision, and the run goes on.

    Args:
        classifier: A fitted classifier.
        policy: Selects the members.
        source: Prompts, JSON Lines; gzip if it ends in .gz.
        target: Decisions, JSON Lines. An existing file is continued after its last complete line.
        block_lines: Lines that are held in memory and decided together.
        on_progress: Called after each block.

    Raises:
        OutcomeError: If the input cannot be read, or the output holds decisions of another router, policy
            or input.
        PolicyError: If the policy cannot be applied to the classifier's pool.
    """
    if target.exists() and source.samefile(target):
        raise OutcomeError(f"{source} is both the input and the output. Give the output another name.")
    done = last_complete_line(target)
    n_unreadable, first_error, n_lines = 0, None, done.n_lines
    with open_prompts(source) as prompts, target.open("ab") as decisions:
        decisions.truncate(done.n_bytes)
        lines = read_prompt_lines(prompts, source)
        _skip_finished(lines, done, source, target, lambda prompt: _entries(classifier, policy, [prompt])[0])
        while block := list(islice(lines, block_lines)):
            for entry in _entries(classifier, policy, block):
                if "error" in entry:
                    n_unreadable += 1
                    first_error = first_error or f"{source}:{entry['line']}: {entry['error']}"
                decisions.write(json.dumps(entry).encode() + b"\n")
            decisions.flush()
            n_lines += len(block)
            if on_progress is not None:
                on_progress(n_lines)
    return RoutedFile(
        n_lines=n_lines, n_earlier=done.n_lines, n_unreadable=n_unreadable, first_error=first_error
    )


@dataclass(frozen=True, kw_only=True)
class FinishedLines:
    """Complete lines of the output."""

    n_lines: int = 0
    n_bytes: int = 0
    last: bytes = b""


def last_complete_line(target: Path) -> FinishedLines:
    """The part of the output that a killed process finished; its last line may be cut off."""
    if not target.exists():
        return FinishedLines()
    n_lines, n_bytes, last = 0, 0, b""
    with target.open("rb") as written:
        for line in written:
            if not line.endswith(b"\n"):
                break
            n_lines, n_bytes, last = n_lines + 1, n_bytes + len(line), line
    return FinishedLines(n_lines=n_lines, n_bytes=n_bytes, last=last)


def _skip_finished(
    lines: Iterator[PromptLine],
    done: FinishedLines,
    source: Path,
    target: Path,
    decide: Callable[[PromptLine], dict[str, Any]],
) -> None:
    """Passes the lines that have their decision; the last one is decided again, to compare the results."""
    if not done.n_lines:
        return
    last = next(islice(lines, done.n_lines - 1, None), None)
    if last is None:
        raise OutcomeError(
            f"{target} has {done.n_lines:,} lines, more than {source}. Give the input that it was made from, "
            "or another output."
        )
    try:
        written = json.loads(done.last)
    except ValueError:
        written = None
    if not _is_same_entry(written, decide(last)):
        raise OutcomeError(
            f"{target}:{done.n_lines} is no decision of this router and policy for {source}:{done.n_lines}. "
            "Give the router, policy and input that it was made with, or another output."
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


@contextmanager
def open_prompts(source: Path) -> Iterator[BinaryIO]:
    """Yields the opened file, unpacked if its name ends in .gz."""
    opener: Callable[..., Any] = open
    if source.name.endswith(".gz"):
        opener = gzip.open
    with opener(source, "rb") as prompts:
        yield prompts


def read_prompt_lines(prompts: BinaryIO, source: Path) -> Iterator[PromptLine]:
    """Yields the lines of an opened file of prompts, one at a time.

    Raises:
        OutcomeError: If the file is cut off, or packed otherwise than its name says.
    """
    try:
        for number, line in enumerate(prompts, 1):
            yield _read_line(number, line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OutcomeError(f"{source} cannot be read: {error}. Is it complete, and gzip?") from error


def _read_line(number: int, line: bytes) -> PromptLine:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return PromptLine(line=number, error=f"no JSON in UTF-8: {error}")
    if not isinstance(fields, dict) or not isinstance(fields.get("query"), str):
        return PromptLine(line=number, error='no JSON object with a text as "query"')
    query_id = fields.get("query_id")
    if query_id is not None and not isinstance(query_id, str):
        return PromptLine(line=number, error=f"query_id is {query_id!r}, not a text")
    try:
        fields["query"].encode()
    except UnicodeEncodeError as error:
        return PromptLine(line=number, query_id=query_id, error=f"the text is not Unicode: {error}")
    return PromptLine(line=number, text=fields["query"], query_id=query_id)


def _entries(
    classifier: SelectLLMClassifier, policy: Policy, prompts: Sequence[PromptLine]
) -> list[dict[str, Any]]:
    """Lines of the output; the readable prompts are decided together."""
    texts = [prompt.text for prompt in prompts if prompt.error is None]
    decisions: Iterator[Decision] = iter(())
    if texts:
        decisions = iter(decide_all(classifier, policy, texts))
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


def _described(decision: Decision) -> dict[str, Any]:
    """The decision as JSON types, probabilities with six decimals."""
    probabilities = decision.probabilities.round(6).tolist()
    return {
        "selection": list(decision.selected_members),
        "probabilities": dict(zip(decision.members, probabilities, strict=True)),
        "reason": decision.reason,
    }
