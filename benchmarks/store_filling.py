"""A store of any size in PostgreSQL: the tables are the store's own, the rows are made by the server."""

from collections.abc import Sequence

from sqlalchemy import text

from langchain_selectllm.collection.store import OutcomeStore

GRADING = "reference"
SAMPLES = 2
FAILURES = 1000
"""One call of so many has failed."""

_QUERIES = """
INSERT INTO selectllm_queries (query_id, text, reference, answer_type, category, fields)
SELECT id, query, reference, 'number', 'general', json_build_object(
    'query_id', id, 'query', query, 'reference', reference, 'answer_type', 'number')
FROM (SELECT 'q' || lpad(i::text, 9, '0') AS id,
             'Question ' || i || ' about ' || md5(i::text) || repeat(' and ' || md5((i + 1)::text), 8) || '?' AS query,
             (i % 10)::text AS reference
      FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i) AS made
"""
_REPLIES = """
INSERT INTO selectllm_replies (member, parameters, query_id, sample, text, error, model_name, reply_id, finish_reason,
    input_tokens, output_tokens, cost_usd, latency_s, attempts, finished_at)
SELECT member, digest, 'q' || lpad(i::text, 9, '0'), sample,
       CASE WHEN failed THEN NULL ELSE 'Let me think: ' || repeat(md5((i * 10 + k)::text) || ' ', 8) ||
            'The answer is ' || (CASE WHEN (i + k) % 3 = 0 THEN k ELSE i END) % 10 || '.' END,
       CASE WHEN failed THEN 'ReadTimeout: no reply' END,
       'model', 'reply-' || i || '-' || k || '-' || sample, 'stop', 100, 80,
       CASE WHEN NOT failed THEN 0.0001 END, 1.5, 1, 1.7e9 + i
FROM (SELECT *, (i * 31 + k * 7 + sample) % :failures = 0 AS failed
      FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i
      CROSS JOIN generate_series(0, :samples - 1) AS sample
      CROSS JOIN unnest(CAST(:members AS text[]), CAST(:digests AS text[]), CAST(:numbers AS int[]))
          AS pool(member, digest, k)) AS made
ORDER BY i, sample, k
"""
_GRADES = """
INSERT INTO selectllm_grades (grading, member, parameters, query_id, sample, answer, score)
SELECT :grading, member, parameters, query_id, sample, rtrim(right(text, 2), '.'), attempts
FROM selectllm_replies WHERE text IS NOT NULL
"""
_STEP = 50_000
"""Queries of one transaction."""


def fill(store: OutcomeStore, parameters: dict[str, dict[str, object]], *, n_queries: int) -> None:
    """Add queries, and `SAMPLES` replies of every member to each of them, graded.

    Foreign keys are not checked row by row while the rows are made.

    Args:
        store: An empty store on PostgreSQL.
        parameters: Sampling parameters by member.
        n_queries: Queries.
    """
    digests = [store.add_parameters(settings) for settings in parameters.values()]
    store.begin_grading(GRADING, "reference", redo=False)
    for first in range(1, n_queries + 1, _STEP):
        last = min(first + _STEP - 1, n_queries)
        _add(store, list(parameters), digests, first, last)
    with store.engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(_GRADES), {"grading": GRADING})
        connection.execute(text("SET session_replication_role = origin"))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _add(store: OutcomeStore, members: Sequence[str], digests: Sequence[str], first: int, last: int) -> None:
    rows = {
        "first": first,
        "last": last,
        "samples": SAMPLES,
        "failures": FAILURES,
        "members": list(members),
        "digests": list(digests),
        "numbers": list(range(len(members))),
    }
    with store.engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(_QUERIES), {"first": first, "last": last})
        connection.execute(text(_REPLIES), rows)
        connection.execute(text("SET session_replication_role = origin"))
