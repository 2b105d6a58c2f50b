"""The Ray cluster that this process belongs to, or one that is started on this machine and ended again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import StoreError

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """Yields the module `ray`, connected.

    Raises:
        MissingDependencyError: If Ray is not installed.
    """
    ray = require("ray", extra="ray", needed_by="The engine 'ray'")
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def check_shared(store: "OutcomeStore") -> None:
    """Whether other machines can write to the store.

    Raises:
        StoreError: If it is a file.
    """
    if store.engine.dialect.name != "postgresql":
        raise StoreError(
            f"{store} is a file, which a cluster cannot share. "
            "Use PostgreSQL: postgresql://user@host/database."
        )
