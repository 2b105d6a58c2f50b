"""Recorded outcomes as plain files for the scripts of `peer_packages/`, and what the driver keeps to itself."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm import OutcomeTable

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Gold:
    """Outcomes of the test side, which no script sees."""

    members: tuple[str, ...]
    query_ids: tuple[str, ...]
    scores: Array
    """(n, K)."""
    costs: Array
    """US dollars of a call, (n, K); ones where no prices were recorded, so that a cost is a number of calls."""

    def save(self, path: Path) -> None:
        """Write everything to one .npz file."""
        names = {"members": np.array(self.members), "query_ids": np.array(self.query_ids)}
        np.savez(path, scores=self.scores, costs=self.costs, **names)

    @classmethod
    def load(cls, path: Path) -> "Gold":
        """What `save` wrote."""
        with np.load(path) as kept:
            names = {name: tuple(kept[name].tolist()) for name in ("members", "query_ids")}
            return cls(scores=kept["scores"], costs=kept["costs"], **names)


def write_exchange(
    folder: Path,
    train: OutcomeTable,
    test: OutcomeTable,
    *,
    embed: Callable[[Sequence[str]], Array],
    encoder: Path,
) -> Gold:
    """Write the files that `peer_packages/exchange.py` reads, and return the outcomes of the test side."""
    folder.mkdir(parents=True, exist_ok=True)
    priced = not np.isnan(train.costs).any()
    train_costs = np.ones(train.scores.shape)
    if priced:
        train_costs = train.costs
    pool = {
        "members": list(train.members),
        "mean_costs": train_costs.mean(axis=0).tolist(),
        "accuracies": train.scores.mean(axis=0).tolist(),
        "priced": priced,
        "answer": train.answer,
        "encoder": str(encoder),
    }
    _write_lines(folder / "train.jsonl", _training_rows(train, train_costs))
    asked = zip(test.query_ids, test.texts, strict=True)
    _write_lines(folder / "test.jsonl", ({"query_id": name, "text": text} for name, text in asked))
    for side, table in (("train", train), ("test", test)):
        _write_lines(folder / f"{side}_replies.jsonl", _reply_rows(table))
        np.save(folder / f"{side}_embeddings.npy", embed(table.texts))
    # Last, because a folder with this file is complete.
    (folder / "pool.json").write_text(json.dumps(pool), encoding="utf-8")
    costs = test.costs if priced else np.ones(test.scores.shape)
    return Gold(members=test.members, query_ids=test.query_ids, scores=test.scores, costs=costs)


def _training_rows(table: OutcomeTable, costs: Array) -> Iterable[Mapping[str, Any]]:
    for i, query_id in enumerate(table.query_ids):
        yield {
            "query_id": query_id,
            "text": table.texts[i],
            "category": table.categories[i],
            "reference": table.references[i],
            "answer_type": None if table.types_inferred[i] else table.answer_types[i],
            "scores": table.scores[i].tolist(),
            "costs": costs[i].tolist(),
        }


def _reply_rows(table: OutcomeTable) -> Iterable[Mapping[str, Any]]:
    for i, query_id in enumerate(table.query_ids):
        cells = zip(table.replies[i], table.answers[i], strict=True)
        first = [(replies[0], answers[0]) if replies else (None, None) for replies, answers in cells]
        replies, answers = zip(*first, strict=True)
        yield {"query_id": query_id, "replies": replies, "answers": answers}


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
