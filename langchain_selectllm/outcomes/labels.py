"""The labelling rule: from a member's sampled answers to a label and a success rate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from langchain_selectllm.answers import AnswerExtractor


def majority_answer(answers: Sequence[str | None]) -> str | None:
    """The answer most samples gave; the one seen first on a tie; None when all abstain.

    The rule of SelectLLM's released labelling code (Maurya et al., 2025).
    """
    # Counter keeps order of first appearance, and most_common is stable.
    counts = Counter(answer for answer in answers if answer is not None)
    return counts.most_common(1)[0][0] if counts else None


def grade(answers: Sequence[str | None], reference: str, extractor: AnswerExtractor) -> tuple[float, float]:
    """Label and success rate of one member on one query.

    Args:
        answers: Parsed answers of the member's samples, in sample order; at least one.
        reference: Gold answer, as recorded.
        extractor: Canonicalises the reference the way the answers were.

    Returns:
        The label (1.0 when the majority of the samples is right, else 0.0; all abstaining is 0.0) and the share of
        samples that are right.
    """
    gold = extractor.canonical(reference)
    label = gold is not None and majority_answer(answers) == gold
    rate = float(np.mean([gold is not None and answer == gold for answer in answers]))
    return float(label), rate
