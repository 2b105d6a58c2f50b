"""Progress of a long operation, reported stage by stage."""

from collections.abc import Callable

StageProgress = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done."""


def silent(stage: str, share: float) -> None:
    """No progress display."""
    del stage, share
