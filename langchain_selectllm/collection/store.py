"""The SQL store of outcomes: SQLite by default, PostgreSQL by URL, the same statements on both."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from langchain_selectllm.collection import tables
from langchain_selectllm.collection.rows import GradeRow, Recorded, ReplyRow, parameters_digest, storable
from langchain_selectllm.exceptions import OutcomeError, StoreError
from langchain_selectllm.outcomes.records import QueryRecord

_PAGE = 500
_KEY = ("member", "parameters", "query_id", "sample")


class OutcomeStore:
    """Queries, replies and grades in a database; `open_store` makes one.

    Every method is one transaction: what it wrote when it returns survives the end of the process.
    """

    def __init__(self, engine: Engine) -> None:
        """Create the tables where they are missing.

        Raises:
            StoreError: If the database cannot be opened, or holds a store of another format.
        """
        self.engine = engine
        # Both dialects' inserts know `on_conflict_do_update` in the same words.
        self._upsert: Callable[[Table], Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[
            engine.dialect.name
        ]
        try:
            tables.metadata.create_all(engine)
            self._check_format()
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

    def add_queries(self, queries: Sequence[QueryRecord]) -> None:
        """Keep the queries; references, answer types and categories of known ones are brought up to date.

        Raises:
            OutcomeError: If a query id is known with another text.
        """
        for page in _pages(queries):
            with self.engine.begin() as connection:
                self._check_texts(connection, page)
                statement = self._upsert(tables.queries)
                changed = {
                    name: statement.excluded[name]
                    for name in ("reference", "answer_type", "category", "fields")
                }
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["query_id"], set_=changed),
                    [_query_values(query) for query in page],
                )

    def add_parameters(self, settings: Mapping[str, Any]) -> str:
        """Keep sampling parameters; their digest."""
        digest = parameters_digest(settings)
        with self.engine.begin() as connection:
            statement = self._upsert(tables.parameters).on_conflict_do_nothing()
            connection.execute(statement, {"digest": digest, "settings": dict(settings)})
        return digest

    def save_replies(self, rows: Sequence[ReplyRow]) -> None:
        """Keep what came of calls. A reply takes the place of an earlier error; nothing takes the place of a reply."""
        statement = self._upsert(tables.replies)
        updated = {
            column.name: statement.excluded[column.name]
            for column in tables.replies.c
            if not column.primary_key
        }
        statement = statement.on_conflict_do_update(
            index_elements=list(_KEY), set_=updated, where=tables.replies.c.text.is_(None)
        )
        self._write(statement, rows)

    def save_grades(self, rows: Sequence[GradeRow]) -> None:
        """Keep grades; an earlier grade of the same reply under the same name is replaced."""
        statement = self._upsert(tables.grades)
        updated = {name: statement.excluded[name] for name in ("answer", "score", "cost_usd")}
        self._write(statement.on_conflict_do_update(index_elements=["grading", *_KEY], set_=updated), rows)

    def answered(self, member: str, parameters: str, query_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Which (query id, sample) of these queries have their reply; errors do not count."""
        replies = tables.replies.c
        statement = select(replies.query_id, replies.sample).where(
            replies.member == member,
            replies.parameters == parameters,
            replies.query_id.in_(query_ids),
            replies.text.is_not(None),
        )
        with self.engine.connect() as connection:
            return {(query_id, sample) for query_id, sample in connection.execute(statement)}

    def cost_usd(self) -> float:
        """Everything that the recorded replies and grades have cost."""
        with self.engine.connect() as connection:
            sums = [
                connection.scalar(select(func.sum(table.c.cost_usd)))
                for table in (tables.replies, tables.grades)
            ]
        return float(sum(cost or 0.0 for cost in sums))

    def mean_output_tokens(self, member: str, parameters: str) -> float | None:
        """Mean output tokens of the member's replies; None without any."""
        replies = tables.replies.c
        mean = select(func.avg(replies.output_tokens)).where(
            replies.member == member, replies.parameters == parameters
        )
        with self.engine.connect() as connection:
            found = connection.scalar(mean)
        return None if found is None else float(found)

    def read_queries(self) -> Iterator[Mapping[str, Any]]:
        """The query records, in order of their id."""
        for row in self._in_pages(tables.queries, ["query_id"]):
            yield row["fields"]

    def read_replies(self, grading: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The replies in order of their key, `answer` and `score` of a grading beside them; without the calls that failed."""
        grades, replies = tables.grades.c, tables.replies.c
        source = self._beside_grades(grading or "")
        columns = [*tables.replies.c, grades.answer, grades.score]
        return self._in_pages(tables.replies, _KEY, replies.text.is_not(None), source=source, columns=columns)

    def read_failures(self) -> Iterator[Mapping[str, Any]]:
        """The calls that failed, in order of their key."""
        return self._in_pages(tables.replies, _KEY, tables.replies.c.text.is_(None))

    def read_ungraded(self, grading: str, *, redo: bool) -> Iterator[Recorded]:
        """The replies that have no grade of that name yet, or with `redo` all of them, beside their queries."""
        replies, queries = tables.replies.c, tables.queries.c
        query_fields = (queries.text.label("query"), queries.reference, queries.answer_type)
        columns = [*(replies[name] for name in _KEY), replies.text, *query_fields]
        source = self._beside_grades(grading).join(tables.queries, replies.query_id == queries.query_id)
        for row in self._in_pages(tables.replies, _KEY, _to_grade(redo=redo), source=source, columns=columns):
            yield Recorded(**row)

    def count_ungraded(self, grading: str, *, redo: bool) -> int:
        """How many replies `read_ungraded` reads."""
        statement = select(func.count()).select_from(self._beside_grades(grading)).where(_to_grade(redo=redo))
        with self.engine.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def grade_summary(self, grading: str) -> dict[str, tuple[int, int, float | None]]:
        """Replies with a grade, those with a score, and the mean score, by member."""
        grades = tables.grades.c
        statement = select(grades.member, func.count(), func.count(grades.score), func.avg(grades.score))
        statement = statement.where(grades.grading == grading).group_by(grades.member).order_by(grades.member)
        with self.engine.connect() as connection:
            return {member: (n, graded, mean) for member, n, graded, mean in connection.execute(statement)}

    def begin_grading(self, name: str, kind: str, *, redo: bool) -> None:
        """Keep by whom a grading is made.

        Raises:
            StoreError: If a grader of another kind has made it, and is not to be replaced.
        """
        known = self.gradings().get(name, kind)
        if known != kind and not redo:
            raise StoreError(
                f"The grading {name!r} was made by a grader of kind {known!r}, not {kind!r}. Give another name, or redo it."
            )
        statement = self._upsert(tables.gradings)
        with self.engine.begin() as connection:
            updated = {"kind": statement.excluded["kind"]}
            statement = statement.on_conflict_do_update(index_elements=["name"], set_=updated)
            connection.execute(statement, {"name": name, "kind": kind})

    def gradings(self) -> dict[str, str]:
        """Kinds of grader by name of the grading, sorted."""
        with self.engine.connect() as connection:
            found = connection.execute(
                select(tables.gradings.c.name, tables.gradings.c.kind).order_by(tables.gradings.c.name)
            )
            return {row.name: row.kind for row in found}

    @staticmethod
    def _beside_grades(grading: str) -> Any:
        replies, grades = tables.replies.c, tables.grades.c
        same = and_(grades.grading == grading, *(grades[name] == replies[name] for name in _KEY))
        return tables.replies.outerjoin(tables.grades, same)

    def sampled(self) -> list[tuple[str, str]]:
        """Every (member, digest of sampling parameters) with a recorded call, sorted."""
        columns = (tables.replies.c.member, tables.replies.c.parameters)
        with self.engine.connect() as connection:
            return [
                (member, digest)
                for member, digest in connection.execute(select(*columns).distinct().order_by(*columns))
            ]

    def _write(self, statement: Any, rows: Sequence[ReplyRow] | Sequence[GradeRow]) -> None:
        try:
            with self.engine.begin() as connection:
                connection.execute(statement, [_storable_values(row) for row in rows])
        except SQLAlchemyError as error:
            raise StoreError(
                f"{self} cannot be written: {_reason(error)}. Nothing that it held is lost."
            ) from error

    def _in_pages(
        self,
        table: Table,
        key: Sequence[str],
        *conditions: Any,
        source: Any = None,
        columns: Sequence[Any] = (),
    ) -> Iterator[Mapping[str, Any]]:
        """Rows page by page, each from behind the last key: no cursor stays open, and memory stays flat."""
        key_columns = [table.c[name] for name in key]
        statement = select(*(columns or table.c)).select_from(table if source is None else source)
        statement = statement.where(*conditions).order_by(*key_columns).limit(_PAGE)
        behind = None
        while True:
            page_statement = statement if behind is None else statement.where(_behind(key_columns, behind))
            with self.engine.connect() as connection:
                page = connection.execute(page_statement).mappings().all()
            yield from map(dict, page)
            if len(page) < _PAGE:
                return
            behind = [page[-1][name] for name in key]

    def _check_format(self) -> None:
        known = select(tables.about.c.value).where(tables.about.c.name == "format")
        with self.engine.begin() as connection:
            statement = self._upsert(tables.about).on_conflict_do_nothing()
            connection.execute(statement, {"name": "format", "value": tables.FORMAT})
            found = connection.scalar(known)
        if found != tables.FORMAT:
            raise StoreError(
                f"{self} has format {found!r}; this release reads format {tables.FORMAT!r}. Update the package."
            )

    @staticmethod
    def _check_texts(connection: Connection, queries: Sequence[QueryRecord]) -> None:
        ids = [query.query_id for query in queries]
        statement = select(tables.queries.c.query_id, tables.queries.c.text).where(
            tables.queries.c.query_id.in_(ids)
        )
        known = {row.query_id: row.text for row in connection.execute(statement)}
        for query in queries:
            if known.setdefault(query.query_id, storable(query.text) or "") != storable(query.text):
                raise OutcomeError(
                    f"{query.where}: query_id {query.query_id!r} is in the store with another text. Give different queries "
                    "different ids, or collect into another store."
                )


def _to_grade(*, redo: bool) -> Any:
    """Which replies beside their grades are to be graded."""
    is_reply = tables.replies.c.text.is_not(None)
    return is_reply if redo else and_(is_reply, tables.grades.c.grading.is_(None))


def _behind(columns: Sequence[Any], values: Sequence[Any]) -> Any:
    """The condition that a row comes after the given key."""
    condition = columns[-1] > values[-1]
    for column, value in zip(reversed(columns[:-1]), reversed(values[:-1]), strict=True):
        condition = (column > value) | ((column == value) & condition)
    return condition


def _pages(queries: Sequence[QueryRecord]) -> Iterator[Sequence[QueryRecord]]:
    for start in range(0, len(queries), _PAGE):
        yield queries[start : start + _PAGE]


def _query_values(query: QueryRecord) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "text": storable(query.text),
        "reference": storable(query.reference),
        "answer_type": query.answer_type,
        "category": query.category,
        "fields": {name: _plain(value) for name, value in query.fields.items()},
    }


def _plain(value: Any) -> Any:
    """The value as JSON knows it; records may come from a DataFrame."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _storable_values(row: ReplyRow | GradeRow) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: storable(value) if isinstance(value, str) else value for name, value in values.items()}


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip()
