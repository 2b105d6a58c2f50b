"""The labelling rule: from a member's sampled answers to a label and a success rate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def majority_answer(answers: Sequence[str | None]) -> str | None:
    """The answer most samples gave; the one seen first on a tie; None when all abstain.

    The rule of SelectLLM's released labelling code (Maurya et al., 2025).
    """
    # Counter keeps order of first appearance, and most_common is stable.
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def grade(answers: Sequence[str | None], gold: str) -> tuple[float, float]:
    """Label and success rate of one member on one query.

    Args:
        answers: Parsed answers of the member's samples, in sample order; at least one.
        gold: The gold answer, in the canonical form of the answers.

    Returns:
        The label (1.0 when the majority of the samples is right, else 0.0; all abstaining is 0.0) and the share of
        samples that are right.
    """
    return float(majority_answer(answers) == gold), float(np.mean([answer == gold for answer in answers]))
