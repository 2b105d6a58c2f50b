"""What was learned, refitted on old and new outcomes over the same encoder."""

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.fitted import Learned
from langchain_selectllm.classifier.fitting import learn_heads
from langchain_selectllm.exceptions import EncoderError, OutcomeError
from langchain_selectllm.outcomes import OutcomeTable, combine


def updated(
    learned: Learned,
    outcomes: OutcomeTable,
    *,
    training: OutcomeTable | None,
    validation: float,
    seed: int,
    progress: StageProgress = silent,
) -> tuple[Learned, OutcomeTable]:
    """Heads, calibration, pool and vote fitted on old and new outcomes, and those outcomes as one table; the encoder stays.

    Args:
        learned: What was learned so far.
        outcomes: New outcomes of some or all members.
        training: The outcomes that it was learned from, if they are known; an artefact keeps no texts.
        validation: Share of the queries held out of each fit.
        seed: Seed of folds and solvers.
        progress: Called as training goes on.

    Raises:
        EncoderError: If the encoder was trained on outcomes itself.
        OutcomeError: If the training outcomes are not known, queries of them are missing, or a member of the new outcomes is
            unknown.
    """
    if learned.encoder.supervised:
        raise EncoderError(
            f"Encoder {learned.encoder.name!r} was trained on outcomes itself, so that heads cannot be refitted on them alone. "
            "Fit a new classifier on combine(training, outcomes)."
        )
    if training is None:
        raise OutcomeError(
            "The classifier does not know the outcomes that it was fitted on: it was loaded, and an artefact keeps none, or a "
            "member was added. Give them as `training`."
        )
    known = training.subset(learned.pool.members)
    missing = len(learned.trained_on - set(known.query_digests))
    if missing:
        raise OutcomeError(
            f"{missing} of {len(learned.trained_on)} queries that the classifier was trained on are not in `training`. "
            "Give all outcomes that it was fitted and updated on."
        )
    together = combine(known, outcomes)
    refitted = learn_heads(together, learned.encoder, validation=validation, seed=seed, progress=progress)
    return refitted, together
