"""The SQL store of outcomes: SQLite by default, PostgreSQL by URL, the same statements on both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from langchain_selectllm.collection import tables
from langchain_selectllm.collection.migrations import prepare_tables, read_format
from langchain_selectllm.collection.paging import PAGE, read_distinct, read_in_pages
from langchain_selectllm.collection.rows import (
    GradeRow,
    MemberGrades,
    Recorded,
    ReplyRow,
    parameters_digest,
    query_values,
    row_values,
    storable,
)
from langchain_selectllm.exceptions import OutcomeError, StoreError
from langchain_selectllm.outcomes.records import QueryRecord

_INSERTS: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Insert statement of each dialect; both offer `on_conflict_do_update` under the same name."""

_KEY = ("member", "parameters", "query_id", "sample")


class OutcomeStore:
    """Queries, replies and grades in a database; `open_store` makes one.

    Every method is one transaction: what it wrote when it returns survives the end of the process.
    """

    def __init__(self, engine: Engine, *, create: bool = True) -> None:
        """Prepare the tables: create missing ones, migrate those of an earlier format.

        Raises:
            StoreError: If the database cannot be opened, holds no store and `create` is false, or holds one
                of a later format.
        """
        self.engine = engine
        self._upsert = _INSERTS[engine.dialect.name]
        try:
            self.is_new = prepare_tables(engine, create=create)
        except SQLAlchemyError as error:
            raise StoreError(f"{self} cannot be opened as a store of outcomes: {_reason(error)}") from error

    def __str__(self) -> str:
        return self.engine.url.render_as_string(hide_password=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.dispose()

    def is_there(self) -> bool:
        """Whether the database still holds the store, which another process may have removed."""
        with self.engine.connect() as connection:
            return read_format(connection) is not None

    def drop_tables(self) -> None:
        """Removes the store from its database and closes the connections."""
        tables.metadata.drop_all(self.engine)
        self.engine.dispose()

    def add_queries(self, queries: Sequence[QueryRecord]) -> None:
        """Saves the queries; references, answer types and categories of known ones are updated.

        Raises:
            OutcomeError: If a query id is known with another text.
        """
        for start in range(0, len(queries), PAGE):
            page = queries[start : start + PAGE]
            with self.engine.begin() as connection:
                self._check_texts(connection, page)
                statement = self._upsert(tables.queries)
                changed = {}
                for name in ("reference", "answer_type", "category", "fields"):
                    changed[name] = statement.excluded[name]
                statement = statement.on_conflict_do_update(index_elements=["query_id"], set_=changed)
                connection.execute(statement, list(map(query_values, page)))

    def add_parameters(self, settings: Mapping[str, Any]) -> str:
        """Saves sampling parameters and returns their digest."""
        digest = parameters_digest(settings)
        with self.engine.begin() as connection:
            statement = self._upsert(tables.parameters).on_conflict_do_nothing()
            connection.execute(statement, {"digest": digest, "settings": dict(settings)})
        return digest

    def save_replies(self, rows: Sequence[ReplyRow]) -> None:
        """Saves results of calls. A reply replaces an earlier error; a recorded reply is never replaced."""
        statement = self._upsert(tables.replies)
        updated = {}
        for column in tables.replies.c:
            if not column.primary_key:
                updated[column.name] = statement.excluded[column.name]
        statement = statement.on_conflict_do_update(
            index_elements=list(_KEY), set_=updated, where=tables.replies.c.text.is_(None)
        )
        self._write(statement, rows)

    def save_grades(self, rows: Sequence[GradeRow]) -> None:
        """Saves grades; an earlier grade of the same reply under the same name is replaced."""
        statement = self._upsert(tables.grades)
        updated = {name: statement.excluded[name] for name in ("answer", "score", "cost_usd")}
        self._write(statement.on_conflict_do_update(index_elements=["grading", *_KEY], set_=updated), rows)

    def answered(self, member: str, parameters: str, query_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Returns the (query id, sample) pairs of these queries that have a reply; errors do not count."""
        replies = tables.replies.c
        statement = select(replies.query_id, replies.sample).where(
            replies.member == member,
            replies.parameters == parameters,
            replies.query_id.in_(query_ids),
            replies.text.is_not(None),
        )
        with self.engine.connect() as connection:
            return {(query_id, sample) for query_id, sample in connection.execute(statement)}

    def results(
        self, member: str, parameters: str, query_ids: Sequence[str]
    ) -> dict[tuple[str, int], Mapping[str, Any]]:
        """Returns the recorded calls of these queries, failures included, by (query id, sample)."""
        replies = tables.replies.c
        statement = select(tables.replies).where(
            replies.member == member, replies.parameters == parameters, replies.query_id.in_(query_ids)
        )
        with self.engine.connect() as connection:
            found = connection.execute(statement).mappings()
            return {(row["query_id"], row["sample"]): dict(row) for row in found}

    def cost_usd(self) -> float:
        """Returns the sum of the recorded costs of replies and grades; unknown costs are not in it."""
        total = 0.0
        with self.engine.connect() as connection:
            for table in (tables.replies, tables.grades):
                total += connection.scalar(select(func.sum(table.c.cost_usd))) or 0.0
        return total

    def count_unpriced(self) -> int:
        """Returns the number of replies whose cost is unknown."""
        replies = tables.replies.c
        statement = select(func.count()).where(replies.text.is_not(None), replies.cost_usd.is_(None))
        with self.engine.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def mean_output_tokens(self, member: str, parameters: str) -> float | None:
        """Returns the mean output tokens of the member's replies; None without any."""
        replies = tables.replies.c
        mean = select(func.avg(replies.output_tokens)).where(
            replies.member == member, replies.parameters == parameters
        )
        with self.engine.connect() as connection:
            found = connection.scalar(mean)
        if found is None:
            return None
        return float(found)

    def read_queries(self) -> Iterator[Mapping[str, Any]]:
        """Yields the query records, in order of their id."""
        for row in read_in_pages(self.engine, select(tables.queries), tables.queries, ["query_id"]):
            yield row["fields"]

    def read_replies(self, grading: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Yields the replies in order of their key, with `answer` and `score` of a grading."""
        grades = tables.grades.c
        statement = select(*tables.replies.c, grades.answer, grades.score)
        statement = statement.select_from(_beside_grades(grading or ""))
        statement = statement.where(tables.replies.c.text.is_not(None))
        return read_in_pages(self.engine, statement, tables.replies, _KEY)

    def read_failures(self) -> Iterator[Mapping[str, Any]]:
        """Yields the calls that failed, in order of their key."""
        statement = select(tables.replies).where(tables.replies.c.text.is_(None))
        return read_in_pages(self.engine, statement, tables.replies, _KEY)

    def read_ungraded(self, grading: str, *, redo: bool) -> Iterator[Recorded]:
        """Yields replies with their queries: those without a grade of that name, with `redo` all of them."""
        replies, queries = tables.replies.c, tables.queries.c
        key = [replies[name] for name in _KEY]
        columns = (
            replies.text,
            replies.finish_reason,
            queries.text.label("query"),
            queries.reference,
            queries.answer_type,
        )
        source = _beside_grades(grading).join(tables.queries, replies.query_id == queries.query_id)
        statement = select(*key, *columns).select_from(source).where(_to_grade(redo=redo))
        for row in read_in_pages(self.engine, statement, tables.replies, _KEY):
            yield Recorded(**row)

    def count_ungraded(self, grading: str, *, redo: bool) -> int:
        """Returns the number of replies that `read_ungraded` yields."""
        statement = select(func.count()).select_from(_beside_grades(grading)).where(_to_grade(redo=redo))
        with self.engine.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def grade_summary(self, grading: str) -> dict[str, MemberGrades]:
        """Returns the number of grades, of scores, and the mean score, by member."""
        grades = tables.grades.c
        statement = select(
            grades.member,
            func.count().label("replies"),
            func.count(grades.score).label("graded"),
            func.avg(grades.score).label("mean"),
        )
        statement = statement.where(grades.grading == grading).group_by(grades.member).order_by(grades.member)
        summary = {}
        with self.engine.connect() as connection:
            for row in connection.execute(statement):
                summary[row.member] = MemberGrades(replies=row.replies, graded=row.graded, mean=row.mean)
        return summary

    def begin_grading(self, name: str, kind: str, *, redo: bool) -> None:
        """Records the kind of grader behind a grading.

        Raises:
            StoreError: If a grader of another kind made it, and it is not redone.
        """
        known = self.gradings().get(name, kind)
        if known != kind and not redo:
            raise StoreError(
                f"The grading {name!r} was made by a grader of kind {known!r}, not {kind!r}. "
                "Give another name, or redo it."
            )
        statement = self._upsert(tables.gradings)
        with self.engine.begin() as connection:
            updated = {"kind": statement.excluded["kind"]}
            statement = statement.on_conflict_do_update(index_elements=["name"], set_=updated)
            connection.execute(statement, {"name": name, "kind": kind})

    def gradings(self) -> dict[str, str]:
        """Returns the kind of grader by name of the grading, sorted."""
        columns = tables.gradings.c
        with self.engine.connect() as connection:
            found = connection.execute(select(columns.name, columns.kind).order_by(columns.name))
            return {row.name: row.kind for row in found}

    def sampled(self) -> list[tuple[str, str]]:
        """Returns every (member, digest of sampling parameters) with a recorded call, sorted."""
        columns = (tables.replies.c.member, tables.replies.c.parameters)
        return [(member, parameters) for member, parameters in read_distinct(self.engine, columns)]

    def _write(self, statement: Any, rows: Sequence[ReplyRow] | Sequence[GradeRow]) -> None:
        try:
            with self.engine.begin() as connection:
                connection.execute(statement, list(map(row_values, rows)))
        except SQLAlchemyError as error:
            raise StoreError(
                f"{self} cannot be written: {_reason(error)}. Nothing that it held is lost."
            ) from error

    @staticmethod
    def _check_texts(connection: Connection, queries: Sequence[QueryRecord]) -> None:
        columns = tables.queries.c
        ids = [query.query_id for query in queries]
        found = connection.execute(select(columns.query_id, columns.text).where(columns.query_id.in_(ids)))
        known = {row.query_id: row.text for row in found}
        for query in queries:
            if known.setdefault(query.query_id, storable(query.text) or "") != storable(query.text):
                raise OutcomeError(
                    f"{query.where}: query_id {query.query_id!r} is in the store with another text. "
                    "Give different queries different ids, or collect into another store."
                )


def _beside_grades(grading: str) -> Any:
    """Returns the join of replies with their grades under one name."""
    replies, grades = tables.replies.c, tables.grades.c
    same = and_(grades.grading == grading, *(grades[name] == replies[name] for name in _KEY))
    return tables.replies.outerjoin(tables.grades, same)


def _to_grade(*, redo: bool) -> Any:
    """Returns the condition on replies beside their grades that they are to be graded."""
    is_reply = tables.replies.c.text.is_not(None)
    if redo:
        return is_reply
    return and_(is_reply, tables.grades.c.grading.is_(None))


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip()
