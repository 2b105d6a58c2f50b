"""Fitting the learned vote on recorded ballots and probabilities of heads that had not seen the query."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.candidate_features import SHARED_GROUPS
from langchain_selectllm.voting.conditional_logit import fit_weights
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes
from langchain_selectllm.voting.token_calibration import TokenCalibration

_PENALTY, _SHARED_PENALTY = 100.0, 1.0
"""Weights of the summed squares of the scaled weights: those of single members and answers, and those that
all members share. A query counts once, in however many subsets it occurs. With one penalty for all, the
confidence in a single ballot was shrunk too; see docs/explanation/research-log.md."""
_SUBSETS = ("most probable", "most probable, with noise", "most probable, with noise", "best base rates")
"""Kinds of called subsets that a query occurs in. Set by hand, not searched."""
_LOG_ODDS_NOISE, _BASE_RATE_NOISE = 0.3, 0.006
"""Scale of the noise, by which the fit meets subsets that are not quite the best: usual differences in
log-odds and in base rates. Set by hand, not searched."""
_MAX_KNOWN = 16
"""Answers with a weight of their own at most. The ten options of MMLU-Pro, and some room; not searched."""
_KNOWN_SHARE = 0.01
"""Share of the queries on which such an answer occurs at least. Set by hand, not searched."""
_KNOWN_COVERAGE = 0.5
"""Share of all answers that these make up at least: a majority, or they recur by chance. Set by hand, not
searched."""
_MIN_AGREEMENT = 0.05
"""Share of the queries on which two members agree at least, for a vote to have something to count. Set by
hand to tell options and numbers from free-form texts; not searched."""
_CALIBRATION_FOLDS = 5
"""Folds by which token probabilities are calibrated on other queries than the vote is fitted on; as many as
the classifier's calibration has, not searched."""
_MAX_CELLS = 2e7
"""Cells of the feature matrix at most, 160 MB; a bound on memory."""
_MIN_ROWS = 200
"""Queries per kind of subset that are kept however large the pool is. Set by hand, not searched."""


def why_no_vote(recorded: RecordedVotes) -> str | None:
    """None when a vote can be learned; otherwise the reason why not."""
    if (recorded.codes < 0).all():
        return "no replies to vote on"
    if recorded.scores.shape[1] < 2:
        return "a single member"
    # Fewer candidates than ballots: two members agree.
    n_candidates = np.array([len(names) for names in recorded.candidates])
    shared = float(np.mean(n_candidates < (recorded.codes >= 0).sum(axis=1)))
    if shared < _MIN_AGREEMENT:
        return f"answers are not comparable: on {100 * shared:.0f} % of the queries any two members agree"
    return None


def fit_vote(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    base_rates: NDArray[np.float64],
    latencies: NDArray[np.float64],
    *,
    seed: int,
    samples: RecordedSamples | None = None,
) -> LearnedVote:
    """The vote that makes the recorded right answers most probable, over subsets such as policies call.

    Every query occurs four times, each time with another called subset of random size; see `_SUBSETS`. With
    several samples it occurs once more, with a random number of calls of its most probable member.

    Args:
        recorded: Votes on n fully observed queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        base_rates: Training accuracy of each member, (K,).
        latencies: Recorded latencies, (K,).
        seed: Seed of the subsets.
        samples: Several samples of every member; none when None.
    """
    ballots = recorded.ballots(probabilities, latencies)
    n_per_subset = _affordable(ballots, probabilities.shape[1])
    rng = np.random.default_rng(seed)
    length_mean, length_scale = _length_statistics(
        np.log1p(recorded.lengths), recorded.slots, probabilities.shape[1]
    )
    start = LearnedVote(
        answer_weights=np.empty(0),
        none_weights=np.empty(0),
        length_mean=length_mean,
        length_scale=length_scale,
        known_answers=_recurring(recorded.candidates),
    )
    examples = []
    for mask in _subsets(probabilities, base_rates, rng):
        kept = np.sort(rng.permutation(len(probabilities))[:n_per_subset])
        called = ballots.masked(mask).take(kept)
        right = recorded.take(kept).candidate_scores(called)
        examples.append(_Example(vote=start, rows=kept, ballots=called, right=right))
    if samples is not None:
        calls = _repeats(probabilities, samples.n_samples, rng)
        called = samples.votes.ballots(probabilities, latencies).masked(calls)
        right = samples.votes.candidate_scores(called)
        examples.append(_Example(vote=start, rows=np.arange(len(calls)), ballots=called, right=right))
    plain = _fit(start, examples)
    if recorded.tokens is None:
        return plain
    return _fit_with_tokens(plain, examples, recorded, probabilities, seed=seed)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Example:
    """Called subsets of some queries, and the vote that their features are computed by."""

    vote: LearnedVote
    rows: NDArray[np.intp]
    ballots: Ballots
    right: NDArray[np.float64]
    """Score of each candidate, (n, n_candidates)."""

    def take(self, chosen: NDArray[np.intp], vote: LearnedVote) -> "_Example":
        """Some of the queries, with the features of another vote."""
        return _Example(
            vote=vote,
            rows=self.rows[chosen],
            ballots=self.ballots.take(chosen),
            right=self.right[chosen],
        )


def _fit(start: LearnedVote, examples: Sequence[_Example]) -> LearnedVote:
    """The vote with fitted weights."""
    values, queries, right, none = [], [], [], []
    n = 0
    for example in examples:
        features = example.vote.features(example.ballots)
        values.append(features.values)
        queries.append(features.query + n)
        right.append(example.right[features.query, features.candidate])
        none.append(features.none)
        n += len(features.none)
    penalties = [
        np.full(columns.shape[1], _SHARED_PENALTY if name in SHARED_GROUPS else _PENALTY)
        for name, columns in features.groups.items()
    ]
    penalties.append(np.full(none[0].shape[1], _SHARED_PENALTY))
    weights, none_weights = fit_weights(
        np.vstack(values),
        np.concatenate(queries),
        np.concatenate(right),
        np.vstack(none),
        len(examples) * np.concatenate(penalties),
    )
    return replace(start, answer_weights=weights, none_weights=none_weights)


def _fit_with_tokens(
    plain: LearnedVote,
    examples: Sequence[_Example],
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    *,
    seed: int,
) -> LearnedVote:
    """The vote with token probabilities, fitted on shifts by calibrations of other queries."""
    folds = np.random.default_rng(seed).permutation(len(probabilities)) % _CALIBRATION_FOLDS
    everything = np.arange(len(probabilities))
    parts = []
    for fold in range(_CALIBRATION_FOLDS):
        calibration = _calibrate(recorded, probabilities, everything[folds != fold])
        for example in examples:
            chosen = np.flatnonzero(folds[example.rows] == fold)
            parts.append(example.take(chosen, replace(plain, tokens=calibration)))
    calibration = _calibrate(recorded, probabilities, everything)
    return _fit(replace(plain, tokens=calibration, without_tokens=plain), parts)


def _calibrate(
    recorded: RecordedVotes, probabilities: NDArray[np.float64], rows: NDArray[np.intp]
) -> TokenCalibration:
    known = recorded.take(rows)
    assert known.tokens is not None
    p = probabilities[rows]
    ballots = known.ballots(p, np.full(p.shape[1], np.nan))
    return TokenCalibration.fit(
        known.tokens,
        members=known.slots,
        own=known.codes,
        right=known.candidate_scores(ballots),
        log_odds=np.log(p) - np.log1p(-p),
    )


def _affordable(ballots: Ballots, n_members: int) -> int:
    """Queries for each subset that keep the feature matrix within memory; all of them for a usual pool."""
    n_features = 7 * n_members + _MAX_KNOWN
    n_candidates = float(ballots.exists.sum(axis=1).mean())
    return min(
        len(ballots.codes), max(int(_MAX_CELLS / (len(_SUBSETS) * n_features * n_candidates)), _MIN_ROWS)
    )


def _subsets(
    probabilities: NDArray[np.float64], base_rates: NDArray[np.float64], rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Called members per kind of subset, (n, K) each, with a random size per query."""
    n, n_members = probabilities.shape
    log_odds = np.log(probabilities) - np.log1p(-probabilities)
    masks = []
    for kind in _SUBSETS:
        sizes = rng.integers(1, n_members + 1, n)
        noise = rng.gumbel(size=(n, n_members))
        ranking = log_odds
        if kind == "most probable, with noise":
            ranking = log_odds + _LOG_ODDS_NOISE * noise
        elif kind == "best base rates":
            ranking = base_rates + _BASE_RATE_NOISE * noise
        # The rank of each member, 0 = best: argsort of the order.
        ranks = np.argsort(np.argsort(-ranking, axis=1, kind="stable"), axis=1)
        masks.append(ranks < sizes[:, None])
    return masks


def _repeats(
    probabilities: NDArray[np.float64], n_samples: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Calls of the most probable member of each query, a random number of them, (n, K)."""
    best = np.argmax(probabilities, axis=1)
    calls = np.zeros(probabilities.shape, dtype=np.int64)
    calls[np.arange(len(calls)), best] = rng.integers(1, n_samples + 1, len(calls))
    return calls


def _recurring(candidates: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter(name for names in candidates for name in names)
    least = _KNOWN_SHARE * len(candidates)
    recurring = [name for name, count in counts.items() if count >= max(least, 2)]
    # A few answers that recur on most queries are options; hundreds that recur now and then are chance.
    covered = sum(counts[name] for name in recurring)
    if len(recurring) > _MAX_KNOWN or covered < _KNOWN_COVERAGE * sum(counts.values()):
        return ()
    return tuple(sorted(recurring))


def _length_statistics(
    log_lengths: NDArray[np.float64], slots: NDArray[np.intp], n_members: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each member's log reply length, (K,) each; 0 and 1 where unknown."""
    mean, scale = np.zeros(n_members), np.ones(n_members)
    for k in range(n_members):
        seen = log_lengths[:, slots == k]
        seen = seen[~np.isnan(seen)]
        if len(seen) and seen.std() > 0:
            mean[k], scale[k] = seen.mean(), seen.std()
    return mean, scale
