"""Reports that tests of the page share."""

from functools import cache

import numpy as np

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, evaluate

MALICIOUS = '</script><script>document.title = "taken"</script><img src=x onerror=alert(1)>'
"""Text of a query that must appear on the page as text."""


@cache
def large_report(n_members=12, n_queries=640, seed=0):
    """Report of 20 systems, 12 members with long names and 200 long wrongly answered queries; one text is malicious."""
    rng = np.random.default_rng(seed)
    members = [f"provider/long-model-name-{k:02d}-instruct" for k in range(n_members)]
    skill = np.linspace(0.5, 0.9, n_members)
    queries, replies = [], []
    for i in range(n_queries):
        # Few queries are easy, so that most of them are answered wrongly.
        ease = rng.random() ** 2
        text = f"Question {i}: {MALICIOUS} " + "which of the letters is it, " * 12
        queries.append(
            {
                "query_id": f"q{i:04d}",
                "query": text,
                "reference": "A",
                "answer_type": "choice",
                "category": f"category {i % 14}",
            }
        )
        for k, member in enumerate(members):
            letter = "A" if rng.random() < skill[k] * ease else "B"
            replies.append(
                {
                    "query_id": f"q{i:04d}",
                    "model": member,
                    "response": f"The answer is ({letter}).",
                    "cost_usd": 0.001 * (k + 1),
                    "latency_s": float(0.2 + rng.random()),
                }
            )
    table = OutcomeTable.from_records(queries, replies, members=members)
    train, test = table.split(0.7, seed=seed)
    return evaluate(SelectLLMClassifier(seed=seed).fit(train), test, policies=POLICIES, rows=200)


POLICIES = (
    *(f"random:{size}" for size in (1, 3)),
    *(f"prior_only:{size}" for size in (2, 3)),
    *(f"max_conf:{size}" for size in (1, 2, 3)),
    *(f"weighted_max_conf:{size}" for size in (2, 3, 5)),
    *(f"selectllm:{size}" for size in (2, 3, 4)),
)
