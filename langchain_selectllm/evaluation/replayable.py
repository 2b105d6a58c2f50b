"""The queries of recorded outcomes that a fitted classifier can be judged on."""

import numpy as np

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import LeakageError, MemberMismatchError, OutcomeError
from langchain_selectllm.outcomes import OutcomeTable


def members_outcomes(classifier: SelectLLMClassifier, outcomes: OutcomeTable) -> OutcomeTable:
    """The outcomes of the classifier's members, in its order.

    Raises:
        MemberMismatchError: If outcomes of a member are missing.
    """
    missing = [name for name in classifier.members if name not in outcomes.members]
    if missing:
        raise MemberMismatchError(
            f"The outcomes lack {', '.join(map(repr, missing))}. "
            f"Members of the classifier: {', '.join(classifier.members)}."
        )
    return outcomes.subset(classifier.members)


def count_training_queries(classifier: SelectLLMClassifier, table: OutcomeTable, *, allowed: bool) -> int:
    """Number of queries that the classifier was trained on.

    Raises:
        LeakageError: If there are some and they are not allowed.
    """
    leaked = int(classifier.trained_on(table).sum())
    if leaked and not allowed:
        raise LeakageError(
            f"{leaked} of {len(table)} queries were in the training outcomes. Evaluate on other queries, "
            "or allow training queries and take no figure for evidence."
        )
    return leaked


def complete_queries(table: OutcomeTable) -> OutcomeTable:
    """The queries on which every member was observed.

    Raises:
        OutcomeError: If there is none.
    """
    complete = table.take(np.flatnonzero(table.observed.all(axis=1)))
    if not len(complete):
        raise OutcomeError(
            f"None of {len(table)} queries is observed for all {len(table.members)} members; "
            "none can be replayed."
        )
    return complete
