"""Tables of served decisions and their feedback, beside those of collected outcomes in one store."""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text

metadata = MetaData()

decisions = Table(
    "selectllm_decisions",
    metadata,
    Column("decision_id", String(64), primary_key=True),
    Column("served_at", Float, nullable=False, index=True),
    Column("artefact", String(64), nullable=False),
    Column("policy", Text, nullable=False),
    Column("novelty", Float),
    # The request that a shadow call repeated; NULL for a served request.
    Column("shadow_of", String(64)),
    # Whether the shadow vote of all members gave the answer that was served.
    Column("agrees", Boolean),
    # The routing metadata without prompt and replies.
    Column("decision", JSON, nullable=False),
    # Key of the outcomes in the tables of replies; NULL where prompts are not kept.
    Column("query_id", Text),
    Column("sample", Integer),
)

feedback = Table(
    "selectllm_feedback",
    metadata,
    Column("feedback_id", Integer, primary_key=True),
    Column("decision_id", ForeignKey(decisions.c.decision_id), nullable=False, index=True),
    Column("score", Float, nullable=False),
    Column("given_at", Float, nullable=False),
)
