"""Small made worlds that tests learn from."""

import numpy as np

from langchain_selectllm import OutcomeTable
from langchain_selectllm.outcomes.simulated import write_demo_outcomes


def demo_table(folder, n_queries=300, seed=0):
    write_demo_outcomes(folder / f"demo{n_queries}-{seed}", n_queries=n_queries, seed=seed)
    return OutcomeTable.from_folders(folder / f"demo{n_queries}-{seed}")


def score_table(scores, members=None, **query_fields):
    """A table from a score matrix; NaN = unobserved. Texts are distinct words."""
    scores = np.asarray(scores, dtype=float)
    members = members or [f"m{k}" for k in range(scores.shape[1])]
    queries = [
        {"query_id": f"q{i:04d}", "query": f"question number {i} about topic{i % 3}", **query_fields}
        for i in range(len(scores))
    ]
    replies = [
        {"query_id": f"q{i:04d}", "model": members[k], "response": None, "score": float(scores[i, k])}
        for i in range(len(scores))
        for k in range(len(members))
        if not np.isnan(scores[i, k])
    ]
    return OutcomeTable.from_records(queries, replies, members=members)


def reply_table(rows, gold, members=None, answer_type="choice"):
    """A table from letters: rows[i][k] is the letter (or letters of several samples) that member k gave to query i."""
    members = members or [f"m{k}" for k in range(len(rows[0]))]
    queries = [
        {"query_id": f"q{i:04d}", "query": f"question {i}", "reference": g, "answer_type": answer_type}
        for i, g in enumerate(gold)
    ]
    replies = [
        {
            "query_id": f"q{i:04d}",
            "model": members[k],
            "sample": s,
            "response": f"The answer is ({a})." if a != "-" else "No idea",
        }
        for i, row in enumerate(rows)
        for k, samples in enumerate(row)
        for s, a in enumerate(samples)
    ]
    return OutcomeTable.from_records(queries, replies, members=members)


def scripted(letters, delay_s=0.0, errors=()):
    """Chat models by name, each with one fixed answer; those named in `errors` raise."""
    # Imported here, so that the tests that need tables alone load no LangChain.
    from langchain_selectllm.testing import ReplayChatModel

    return {
        name: ReplayChatModel(
            model=name,
            default=f"The answer is ({letter}).",
            delay_s=delay_s,
            error=RuntimeError(f"{name} is down") if name in errors else None,
        )
        for name, letter in letters.items()
    }
