"""What was learned, refitted on old and new outcomes over the same encoder."""

from langchain_selectllm.exceptions import EncoderError, OutcomeError
from langchain_selectllm.learned import Learned, Progress, learn_heads, silent
from langchain_selectllm.outcomes import OutcomeTable, combine


def updated(
    learned: Learned,
    outcomes: OutcomeTable,
    *,
    training: OutcomeTable,
    validation: float,
    seed: int,
    progress: Progress = silent,
) -> Learned:
    """Heads, calibration, pool and vote fitted on old and new outcomes; the encoder stays.

    Args:
        learned: What was learned so far.
        outcomes: New outcomes of some or all members.
        training: The outcomes that it was learned from; an artefact keeps no texts.
        validation: Share of the queries held out of each fit.
        seed: Seed of folds and solvers.
        progress: Called as training goes on.

    Raises:
        EncoderError: If the encoder was trained on outcomes itself.
        OutcomeError: If training queries are missing, or a member of the new outcomes is unknown.
    """
    if learned.encoder.supervised:
        raise EncoderError(
            f"Encoder {learned.encoder.name!r} was trained on outcomes itself, so that heads cannot be refitted on them alone. "
            "Fit a new classifier on combine(training, outcomes)."
        )
    known = training.subset(learned.pool.members)
    missing = len(learned.trained_on - set(known.query_digests))
    if missing:
        raise OutcomeError(
            f"{missing} of {len(learned.trained_on)} queries that the classifier was trained on are not in `training`. "
            "Give all outcomes that it was fitted and updated on."
        )
    return learn_heads(combine(known, outcomes), learned.encoder, validation=validation, seed=seed, progress=progress)
