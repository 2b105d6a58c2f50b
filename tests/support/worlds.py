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


def sure_table(n=400, seed=0, informed=True, silent=()):
    """Three members of like strength that choose among four letters, and say how sure they are.

    Args:
        n: Queries.
        seed: Another seed, other replies.
        informed: Whether a member that is right tends to be surer; otherwise its figures are noise.
        silent: Members whose replies have no token probabilities.
    """
    rng = np.random.default_rng(seed)
    queries, replies = [], []
    for i in range(n):
        gold = "ABCD"[rng.integers(4)]
        text = f"question {i}\n(A) one\n(B) two\n(C) three\n(D) four"
        queries.append({"query_id": f"s{i:04d}", "query": text, "reference": gold, "answer_type": "choice"})
        for member in ("m0", "m1", "m2"):
            is_right = rng.random() < 0.6
            letter = gold
            if not is_right:
                letter = "ABCD".replace(gold, "")[rng.integers(3)]
            sure = rng.normal(2.0 if is_right and informed else 0.0, 1.0)
            logprob = float(-np.logaddexp(0.0, -sure))
            record = {"query_id": f"s{i:04d}", "model": member, "response": f"The answer is ({letter})."}
            if member not in silent:
                figures = {"version": "1", "answer": letter, "answers": {letter: logprob}}
                record["token_probabilities"] = figures
            replies.append(record)
    return OutcomeTable.from_records(queries, replies)
