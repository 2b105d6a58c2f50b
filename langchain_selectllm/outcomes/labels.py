"""The labelling rule: from a member's sampled answers to a label and a success rate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from langchain_selectllm.answers import ComparesAnswers


def majority_answer(answers: Sequence[str | None]) -> str | None:
    """The answer most samples gave; the one seen first on a tie; None when all abstain.

    The rule of SelectLLM's released labelling code (Maurya et al., 2025).
    """
    # Counter keeps order of first appearance, and most_common is stable.
    counts = Counter(answers)
    counts.pop(None, None)
    if not counts:
        return None
    return counts.most_common(1)[0][0]


def matches(answers: Sequence[str | None], gold: str, comparer: ComparesAnswers | None = None) -> list[bool]:
    """Whether each answer is the gold one, or agrees with it by `comparer`; an abstention never does."""
    read = [answer for answer in answers if answer is not None]
    if comparer is None or not read:
        return [answer == gold for answer in answers]
    agreement = comparer.agreement([gold, *read])[0, 1:] > 0
    agrees: dict[str | None, bool] = dict(zip(read, agreement.tolist(), strict=True))
    agrees[None] = False
    return [agrees[answer] for answer in answers]


def grade(
    answers: Sequence[str | None], gold: str, comparer: ComparesAnswers | None = None
) -> tuple[float, float]:
    """Label and success rate of one member on one query.

    Args:
        answers: Parsed answers of the member's samples, in sample order; at least one.
        gold: The gold answer, in the canonical form of the answers.
        comparer: How answers are compared where they may agree without being equal strings.

    Returns:
        The label (1.0 when the majority of the samples is right, else 0.0; all abstaining is 0.0) and the
        share of samples that are right. With a comparer no two samples need be equal: the label is 1.0 when
        at least half of them are right.
    """
    score = float(np.mean(matches(answers, gold, comparer)))
    if comparer is None:
        return float(majority_answer(answers) == gold), score
    return float(score >= 0.5), score
