"""The tables of a store."""

from sqlalchemy import JSON, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text

FORMAT = 2
"""Format of these tables; `migrations` brings a store of an earlier format up to it."""

metadata = MetaData()

about = Table(
    "selectllm_about",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

queries = Table(
    "selectllm_queries",
    metadata,
    Column("query_id", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("reference", Text),
    Column("answer_type", Text),
    Column("category", Text, nullable=False),
    # The record as it was read, unknown fields included.
    Column("fields", JSON, nullable=False),
)

parameters = Table(
    "selectllm_parameters",
    metadata,
    Column("digest", String(16), primary_key=True),
    Column("settings", JSON, nullable=False),
)

replies = Table(
    "selectllm_replies",
    metadata,
    Column("member", Text, primary_key=True),
    Column("parameters", ForeignKey(parameters.c.digest), primary_key=True),
    Column("query_id", ForeignKey(queries.c.query_id), primary_key=True),
    Column("sample", Integer, primary_key=True),
    # NULL exactly where `error` says why there is no reply.
    Column("text", Text),
    Column("error", Text),
    Column("model_name", Text),
    Column("reply_id", Text),
    Column("finish_reason", Text),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost_usd", Float),
    Column("latency_s", Float),
    Column("attempts", Integer, nullable=False),
    Column("finished_at", Float, nullable=False),
    # Figures of the tokens' log-probabilities; NULL where the provider sent none.
    Column("token_probabilities", JSON(none_as_null=True)),
)

gradings = Table(
    "selectllm_gradings",
    metadata,
    Column("name", Text, primary_key=True),
    # "reference", a kind of answer, "function" or "judge".
    Column("kind", Text, nullable=False),
)

grades = Table(
    "selectllm_grades",
    metadata,
    Column("grading", ForeignKey(gradings.c.name), primary_key=True),
    Column("member", Text, primary_key=True),
    Column("parameters", String(16), primary_key=True),
    Column("query_id", Text, primary_key=True),
    Column("sample", Integer, primary_key=True),
    Column("answer", Text),
    # NULL where the grader could not decide.
    Column("score", Float),
    Column("cost_usd", Float),
)
