"""Files of prompts: their lines, the part of an output that is finished, and the pieces that are left to do.

A piece is a run of lines of one file. This process works through one piece per file; a cluster is given many
small ones. An output has one line per line of its input, in the same order, so that the number of its
complete lines is the place to continue at.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from langchain_selectllm.exceptions import OutcomeError

_SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, kw_only=True)
class PromptLine:
    """One line of the input."""

    line: int
    """From 1."""
    text: str = ""
    query_id: str | None = None
    error: str | None = None
    """Why the line holds no prompt."""


@dataclass(frozen=True, kw_only=True)
class FinishedLines:
    """Complete lines of an output."""

    n_lines: int = 0
    n_bytes: int = 0
    last: bytes = b""


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """One file of prompts, and the output that belongs to it."""

    source: Path
    target: Path
    done: FinishedLines
    """The part of the output that earlier runs finished."""

    @property
    def is_packed(self) -> bool:
        """Whether the input is gzip, which can be read from its beginning only."""
        return self.source.name.endswith(".gz")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Lines of one file that are worked on by one worker."""

    source: Path
    file: int
    """Index of the file among those of the job."""
    first_line: int
    """From 1."""
    offset: int
    """Byte at which the first line begins, in the unpacked file."""
    n_lines: int | None = None
    """None for all lines up to the end."""


class FinishedBlock(Protocol):
    """Lines of the output that were made together."""

    @property
    def file(self) -> int:
        """Index of the file among those of the job."""
        ...

    @property
    def lines(self) -> bytes:
        """Complete lines."""
        ...


def prompt_files(source: Path, target: Path) -> list[PromptFile]:
    """Returns the files of a job; a folder has one output for each of its files, in a folder of outputs.

    Raises:
        OutcomeError: If the input is not there, input and output are the same, one is a folder and the other
            a file, or a folder has no file of prompts or two that would have the same output.
    """
    if not source.exists():
        raise OutcomeError(f"{source}: no such file or directory. Give a file or folder of prompts.")
    if target.exists() and source.samefile(target):
        raise OutcomeError(f"{source} is both the input and the output. Give the output another name.")
    if target.exists() and source.is_dir() != target.is_dir():
        kinds = ("a file", "a folder")
        raise OutcomeError(
            f"{source} is {kinds[source.is_dir()]}, and the output {target} is {kinds[target.is_dir()]}. "
            f"Give {kinds[source.is_dir()]} for the output too."
        )
    if not source.is_dir():
        return [PromptFile(source=source, target=target, done=last_complete_line(target))]
    files: dict[Path, PromptFile] = {}
    for path in sorted(source.iterdir()):
        if not path.name.endswith(_SUFFIXES):
            continue
        output = target / path.name.removesuffix(".gz")
        if output in files:
            raise OutcomeError(f"{files[output].source} and {path} would have the same output. Rename one.")
        files[output] = PromptFile(source=path, target=output, done=last_complete_line(output))
    if not files:
        raise OutcomeError(f"{source} has no .jsonl or .jsonl.gz file. Give a file or folder of prompts.")
    return list(files.values())


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


def pieces_left(
    files: Sequence[PromptFile], check: Callable[[PromptFile, PromptLine | None], None]
) -> list[Piece]:
    """Returns the lines without output, one piece per file.

    Args:
        files: The files of the job.
        check: Called with each file that has an output and the last line that is finished, None where the
            input is shorter; it raises an error where the output is not that of the line.

    Raises:
        OutcomeError: If an input cannot be read.
    """
    pieces = []
    for number, file in enumerate(files):
        piece = Piece(source=file.source, file=number, first_line=1, offset=0)
        if file.done.n_lines:
            last, offset = _finished_line(file)
            check(file, last)
            piece = replace(piece, first_line=file.done.n_lines + 1, offset=offset)
        pieces.append(piece)
    return pieces


def _finished_line(file: PromptFile) -> tuple[PromptLine | None, int]:
    """The last line of the input that has its output, and the byte behind it."""
    number, offset, last = 0, 0, b""
    with open_prompts(file.source) as prompts:
        for line in islice(readable_lines(prompts, file.source), file.done.n_lines):
            number, offset, last = number + 1, offset + len(line), line
    if number < file.done.n_lines:
        return None, offset
    return read_line(number, last), offset


def cut(piece: Piece, n_lines: int) -> Iterator[Piece]:
    """Yields parts of a piece with `n_lines` lines each; one part for a packed file, which cannot be cut.

    Raises:
        OutcomeError: If the file cannot be read.
    """
    if piece.source.name.endswith(".gz"):
        yield piece
        return
    part = replace(piece, n_lines=0)
    with open_prompts(piece.source) as prompts:
        prompts.seek(piece.offset)
        while lengths := list(map(len, islice(prompts, n_lines))):
            part = replace(part, n_lines=len(lengths))
            yield part
            part = replace(part, first_line=part.first_line + len(lengths), offset=part.offset + sum(lengths))


def read_blocks(piece: Piece, block_lines: int) -> Iterator[list[PromptLine]]:
    """Yields the lines of a piece, `block_lines` at a time.

    Raises:
        OutcomeError: If the file is cut off, or packed otherwise than its name says.
    """
    with open_prompts(piece.source) as prompts:
        prompts.seek(piece.offset)
        numbered = enumerate(islice(readable_lines(prompts, piece.source), piece.n_lines), piece.first_line)
        while block := [read_line(number, line) for number, line in islice(numbered, block_lines)]:
            yield block


class Outputs:
    """The outputs of a job: blocks are written behind the finished lines, file by file."""

    def __init__(self, files: Sequence[PromptFile]) -> None:
        """Store the files; nothing is written before the context is entered."""
        self._files = files
        self._open = ExitStack()
        self._number: int | None = None

    def __enter__(self) -> Self:
        """Remove last lines that were cut off."""
        for file in self._files:
            file.target.parent.mkdir(parents=True, exist_ok=True)
            with file.target.open("ab") as output:
                output.truncate(file.done.n_bytes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write(self, block: FinishedBlock) -> None:
        """Writes complete lines, so that a process killed at any point leaves no more than one to repair."""
        if block.file != self._number:
            self._open.close()
            self._output = self._open.enter_context(self._files[block.file].target.open("ab"))
            self._number = block.file
        self._output.write(block.lines)
        self._output.flush()


@contextmanager
def open_prompts(source: Path) -> Iterator[BinaryIO]:
    """Yields the opened file, unpacked if its name ends in .gz."""
    opener: Callable[..., Any] = open
    if source.name.endswith(".gz"):
        opener = gzip.open
    with opener(source, "rb") as prompts:
        yield prompts


def readable_lines(prompts: BinaryIO, source: Path) -> Iterator[bytes]:
    """Yields the lines of an opened file of prompts, one at a time.

    Raises:
        OutcomeError: If the file is cut off, or packed otherwise than its name says.
    """
    try:
        yield from prompts
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OutcomeError(f"{source} cannot be read: {error}. Is it complete, and gzip?") from error


def read_line(number: int, line: bytes) -> PromptLine:
    """Returns the prompt of a line, or the error where it holds none."""
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
