"""A judge's vote on recorded replies: each choice is put before the judge once, recorded, and replayed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.exceptions import OutcomeError, PolicyError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.votes import VoteStrategy

_THREADS = 8
"""Calls of the judge at once."""


class Judge(VoteStrategy, Protocol):
    """A vote in which a model chooses among the candidates, such as `JudgeVote`."""

    otherwise: VoteStrategy
    """Vote that decides where the judge names no answer."""

    def key(self, query: str, shown: Mapping[str, str]) -> str:
        """Identity of a choice: judge, instructions, query and shown texts by candidate."""
        ...

    def reply(self, query: str, shown: Mapping[str, str]) -> str:
        """Text of the judge's reply; calls the judge."""
        ...

    def ruling(self, reply: str, query: str, shown: Mapping[str, str]) -> str | None:
        """Candidate that a reply names; None where it names none."""
        ...


class JudgeReplies:
    """The replies of judges by choice, in a file of JSON lines that grows with each call."""

    def __init__(self, path: str | Path) -> None:
        """Read the file, which need not exist.

        Raises:
            OutcomeError: If it cannot be read.
        """
        self.path = Path(path)
        self._known: dict[str, str] = {}
        if not self.path.exists():
            return
        try:
            for line in self.path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                self._known[record["key"]] = str(record["reply"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutcomeError(
                f"{self.path} holds no judge's replies: line {len(self._known) + 1} cannot be read. Name "
                "another file."
            ) from error

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, key: str) -> str:
        return self._known[key]

    def add(self, key: str, reply: str) -> None:
        """Record a reply, in the file too."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "reply": reply}, ensure_ascii=False) + "\n")
        self._known[key] = reply


@dataclass(frozen=True)
class _Choice:
    row: int
    query: str
    shown: Mapping[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordedJudge:
    """A judge over the replies of n recorded queries, called for choices that have no recorded reply."""

    name: ClassVar[str] = "judge"

    judge: Judge
    outcomes: OutcomeTable
    """The queries whose ballots are counted."""
    replies: JudgeReplies
    progress: StageProgress = field(default=silent)

    @property
    def otherwise(self) -> VoteStrategy:
        """Vote that decides where the judge names no answer, and between rounds."""
        return self.judge.otherwise

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Scores of the other vote, with that of the judge's choice above them, (n, n_candidates).

        Raises:
            PolicyError: If calls of the judge failed; replies that arrived are recorded.
        """
        scores = self.judge.otherwise.score(ballots)
        choices = list(self._choices(ballots))
        keys = [self.judge.key(choice.query, choice.shown) for choice in choices]
        by_key = dict(zip(keys, choices, strict=True))
        self._call({key: choice for key, choice in by_key.items() if key not in self.replies})
        for key, choice in zip(keys, choices, strict=True):
            ruling = self.judge.ruling(self.replies[key], choice.query, choice.shown)
            if ruling is not None:
                code = list(ballots.candidates[choice.row]).index(ruling)
                scores[choice.row, code] = scores[choice.row].max() + 1.0
        return scores

    def _choices(self, ballots: Ballots) -> Iterator[_Choice]:
        """The queries with more than one candidate."""
        if len(ballots.codes) != len(self.outcomes):
            raise PolicyError("A judge's vote is replayed on all recorded queries together.")
        own_codes = ballots.own_codes
        for row in np.flatnonzero(ballots.exists.sum(axis=1) > 1).tolist():
            shown: dict[str, str] = {}
            for slot, code in enumerate(ballots.codes[row].tolist()):
                # Of replies that agree, the medoid's is shown.
                if code >= 0 and own_codes[row, slot] == code:
                    text = self._text(row, int(ballots.members[slot]), int(ballots.samples[slot]))
                    shown.setdefault(ballots.candidates[row][code], text)
            if len(shown) > 1:
                yield _Choice(row, self.outcomes.texts[row], shown)

    def _text(self, row: int, member: int, sample: int) -> str:
        of_member: Sequence[str] = self.outcomes.replies[row, member]
        return of_member[sample]

    def _call(self, missing: Mapping[str, _Choice]) -> None:
        if not missing:
            return
        failures: list[Exception] = []
        with ThreadPoolExecutor(_THREADS) as threads:
            running = {}
            for key, choice in missing.items():
                running[threads.submit(self.judge.reply, choice.query, choice.shown)] = key
            for n_done, done in enumerate(as_completed(running), start=1):
                try:
                    self.replies.add(running[done], done.result())
                except Exception as error:  # noqa: BLE001 - reported together, once what arrived is recorded
                    failures.append(error)
                self.progress("judge", n_done / len(running))
        if failures:
            raise PolicyError(
                f"{len(failures)} of {len(missing)} calls of the judge failed ({type(failures[0]).__name__}: "
                f"{failures[0]}). Evaluate again: the others are recorded in {self.replies.path}."
            ) from failures[0]
