"""Features of candidate answers, by which the learned vote scores them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import ABSTAIN, NOT_CALLED, Ballots
from langchain_selectllm.voting.grounding import N_GROUNDS
from langchain_selectllm.voting.token_calibration import TokenShifts
from langchain_selectllm.voting.votes import PROBABILITY_MARGIN

SHARED_GROUPS = frozenset({"log_odds", "support", "tokens"})
"""Groups whose weights are the same for all members and answers."""
_NOT_CALLED_LOG_ODDS = -10.0
"""Log-odds of a member that was not called: below those of any probability by `PROBABILITY_MARGIN`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateFeatures:
    """Features of every candidate answer of n queries, and of the alternative that none of them is right."""

    groups: dict[str, NDArray[np.float64]]
    """Groups of columns by name, (n_rows, width) each, in the order of `values`; see `candidate_features`."""
    query: NDArray[np.intp]
    """Query of each row, (n_rows,)."""
    candidate: NDArray[np.intp]
    """Candidate of each row, (n_rows,)."""
    none: NDArray[np.float64]
    """Features of "none", (n, 8), or (n, 10) with token probabilities."""

    @property
    def values(self) -> NDArray[np.float64]:
        """All groups side by side, (n_rows, n_features)."""
        return np.concatenate(list(self.groups.values()), axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Support:
    """Ballots per query and member, and their shares per candidate row."""

    query: NDArray[np.intp]
    candidate: NDArray[np.intp]
    log_odds: NDArray[np.float64]
    """Log-odds of each member's probability, (n, K)."""
    called: NDArray[np.bool_]
    """(n, K)."""
    n_called: NDArray[np.int64]
    """Members called, at least 1, (n,)."""
    abstained: NDArray[np.float64]
    """Share of each member's ballots that abstain, (n, K)."""
    slots: NDArray[np.float64]
    """Ballots for the candidate of each row, (n_rows, n_slots)."""
    gave: NDArray[np.float64]
    """Share of each member's ballots for the candidate, (n_rows, K)."""
    length: NDArray[np.float64]
    """The same share times the standardised log length of the reply, (n_rows, K)."""

    @cached_property
    def supporters(self) -> NDArray[np.float64]:
        """Members that gave the candidate, (n_rows,)."""
        total: NDArray[np.float64] = self.gave.sum(axis=1)
        return total

    @cached_property
    def mean_log_odds(self) -> NDArray[np.float64]:
        """Mean log-odds of the called members, (n,)."""
        mean: NDArray[np.float64] = np.where(self.called, self.log_odds, 0.0).sum(axis=1) / self.n_called
        return mean


def candidate_features(
    ballots: Ballots,
    lengths: NDArray[np.float64],
    known: NDArray[np.float64],
    shifts: TokenShifts | None = None,
) -> CandidateFeatures:
    """Features of the candidates of n queries, in named groups.

    Log-odds are those of a member's P(correct); a share is that of a member's ballots.

    | name | width | meaning |
    |---|---|---|
    | gave | K | share that went to the candidate |
    | gave_log_odds | K | the share times the member's log-odds |
    | gave_mean_log_odds | K | the share times the mean log-odds of the called members |
    | gave_length | K | the share times the standardised log length of the reply |
    | gave_other | K | share of a called member that went to other candidates |
    | gave_with_others | K | the share times the number of other supporters |
    | log_odds | 5 | sum, mean, maximum of the supporters' log-odds; log of the ballots; mean per called |
    | support | 2 | whether there is one supporter at most; share of the called members that support it |
    | known | n_known | one indicator per known answer |
    | grounding_own | 3 | grounding in the supporters' reasoning, mean per figure; see `grounding` |
    | grounding_others | 3 | grounding in the other called members' reasoning, sum per figure |
    | tokens | 3 | shifts by token probabilities: sum and mean of the supporters', sum of the others' |

    Those of "none" are 1; mean and maximum of the called members' log-odds; number of candidates, most
    supporters of one candidate and abstentions, each per called member; log of the number of called members,
    and the number; with token probabilities the mean and the maximum of the shifts of the answers given.

    Args:
        ballots: Ballots of n queries.
        lengths: Standardised log length of the reply behind each ballot, (n, n_slots).
        known: Indicators of known answers, (n, n_candidates, n_known).
        shifts: Shifts by token probabilities; the vote has no features of them when None.
    """
    support = _support(ballots, lengths)
    own, others = _grounding(ballots, support)
    groups = {
        **_by_member(support),
        "log_odds": _log_odds(support),
        "support": _columns(support.supporters <= 1, support.supporters / support.n_called[support.query]),
        "known": known[support.query, support.candidate],
        "grounding_own": own,
        "grounding_others": others,
    }
    none = _none(ballots, support)
    if shifts is not None:
        groups["tokens"] = _tokens(ballots, support, shifts)
        none = np.hstack([none, _none_tokens(ballots, shifts)])
    return CandidateFeatures(groups=groups, query=support.query, candidate=support.candidate, none=none)


def _support(ballots: Ballots, lengths: NDArray[np.float64]) -> _Support:
    n_members = ballots.probabilities.shape[1]
    p = np.minimum(np.maximum(ballots.probabilities, PROBABILITY_MARGIN), 1 - PROBABILITY_MARGIN)
    # Ballots per slot times this matrix are ballots per member: members may cast several.
    to_member = (ballots.members[:, None] == np.arange(n_members)).astype(np.float64)
    cast = (ballots.codes != NOT_CALLED).astype(np.float64) @ to_member
    abstained = (ballots.codes == ABSTAIN).astype(np.float64) @ to_member
    query, candidate = np.nonzero(ballots.exists)
    slots = (ballots.codes[query] == candidate[:, None]).astype(np.float64)
    n_cast, called = np.maximum(cast, 1), cast > 0
    return _Support(
        query=query,
        candidate=candidate,
        log_odds=np.log(p) - np.log1p(-p),
        called=called,
        n_called=np.maximum(called.sum(axis=1), 1),
        abstained=abstained / n_cast,
        slots=slots,
        gave=slots @ to_member / n_cast[query],
        length=(slots * lengths[query]) @ to_member / n_cast[query],
    )


def _by_member(support: _Support) -> dict[str, NDArray[np.float64]]:
    """The groups with one column per member."""
    gave, query = support.gave, support.query
    return {
        "gave": gave,
        "gave_log_odds": gave * support.log_odds[query],
        "gave_mean_log_odds": gave * support.mean_log_odds[query, None],
        "gave_length": support.length,
        "gave_other": np.where(support.called[query], 1.0 - gave - support.abstained[query], 0.0),
        "gave_with_others": gave * (support.supporters[:, None] - gave),
    }


def _log_odds(support: _Support) -> NDArray[np.float64]:
    gave, log_odds, supporters = support.gave, support.log_odds[support.query], support.supporters
    mean = (gave * log_odds).sum(axis=1) / supporters
    highest = np.where(gave > 0, log_odds, _NOT_CALLED_LOG_ODDS).max(axis=1)
    # The last one lets the confidence in a single ballot follow that member's probability.
    per_called = mean / support.n_called[support.query]
    return _columns(mean * supporters, mean, highest, np.log(support.slots.sum(axis=1)), per_called)


def _grounding(ballots: Ballots, support: _Support) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grounding of each candidate in its supporters' reasoning and in the others', (n_rows, 3) each."""
    if ballots.grounds is None:
        nothing = np.zeros((len(support.query), N_GROUNDS))
        return nothing, nothing
    grounds = ballots.grounds[support.query, :, support.candidate].astype(np.float64)
    cast = (ballots.codes != NOT_CALLED).astype(np.float64)[support.query]
    per_member = np.bincount(ballots.members)[ballots.members]
    # Sums over slots s of each row r, per figure g.
    own = np.einsum("rs,rsg->rg", support.slots, grounds) / support.slots.sum(axis=1, keepdims=True)
    return own, np.einsum("rs,rsg->rg", (cast - support.slots) / per_member, grounds)


def _tokens(ballots: Ballots, support: _Support, shifts: TokenShifts) -> NDArray[np.float64]:
    per_member = np.bincount(ballots.members)[ballots.members]
    cast = (ballots.codes != NOT_CALLED).astype(np.float64)[support.query]
    own = (support.slots / per_member * shifts.own[support.query]).sum(axis=1)
    others = (cast - support.slots) / per_member * shifts.others[support.query, :, support.candidate]
    return np.column_stack([own, own / support.supporters, others.sum(axis=1)])


def _none_tokens(ballots: Ballots, shifts: TokenShifts) -> NDArray[np.float64]:
    """Mean and maximum of the shifts of the answers given, (n, 2)."""
    answered = ballots.codes >= 0
    mean = np.where(answered, shifts.own, 0.0).sum(axis=1) / np.maximum(answered.sum(axis=1), 1)
    highest = np.where(answered, shifts.own, -np.inf).max(axis=1, initial=-np.inf)
    return np.column_stack([mean, np.where(answered.any(axis=1), highest, 0.0)])


def _none(ballots: Ballots, support: _Support) -> NDArray[np.float64]:
    n, n_called = len(ballots.codes), support.n_called
    most = np.zeros(n)
    np.maximum.at(most, support.query, support.supporters)
    highest = np.where(support.called, support.log_odds, _NOT_CALLED_LOG_ODDS).max(axis=1)
    return _columns(
        np.ones(n),
        support.mean_log_odds,
        highest,
        ballots.exists.sum(axis=1) / n_called,
        most / n_called,
        support.abstained.sum(axis=1) / n_called,
        np.log(n_called),
        n_called,
    )


def _columns(*columns: NDArray[Any]) -> NDArray[np.float64]:
    """The columns side by side, (n, width); for the few rows of one query `np.stack` takes twice as long."""
    together = np.empty((len(columns[0]), len(columns)))
    for i, column in enumerate(columns):
        together[:, i] = column
    return together
