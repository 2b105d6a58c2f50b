"""Systems that call one member several times, as far as samples of it were recorded."""

from collections.abc import Sequence

from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.selection.policy_names import REPEATED_POLICIES, size_of

_DEFAULT_SAMPLES = 3


def is_repeated(name: str) -> bool:
    """Whether a system's S is a number of samples of one member."""
    return name.partition(":")[0] in REPEATED_POLICIES


def repeated_sizes(recording: Recording) -> range:
    """Numbers of samples that are compared by default: from 2, as one sample is another system."""
    return range(2, min(recording.outcomes.n_samples, len(recording.pool.members)) + 1)


def default_control(recording: Recording) -> list[str]:
    """The control that comes along with other systems; none where one sample per member was recorded."""
    size = min(_DEFAULT_SAMPLES, recording.outcomes.n_samples)
    if size < 2:
        return []
    return [f"self_consistency:{size}"]


def beyond_samples(names: Sequence[str], recording: Recording) -> list[str]:
    """The systems that call one member more often than it was sampled."""
    repeated = filter(is_repeated, names)
    return [name for name in repeated if (size_of(name) or 1) > recording.outcomes.n_samples]


def missing_note(asked: Sequence[str] | None, recording: Recording) -> str:
    """One line about the systems that are left out for lack of samples; empty where none is.

    Args:
        asked: Names of the requested systems; all when None.
        recording: The replayed queries.
    """
    requested = list(filter(is_repeated, asked or REPEATED_POLICIES))
    missing = beyond_samples(requested, recording)
    if recording.outcomes.n_samples < 2:
        missing = requested
    if not missing:
        return ""
    return (
        f"{' and '.join(missing)} not evaluated: samples recorded per member and query: "
        f"{recording.outcomes.n_samples}."
    )
