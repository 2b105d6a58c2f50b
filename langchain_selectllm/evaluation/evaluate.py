"""Replay every system on recorded outcomes and report it beside its controls."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.classifier.metrics import classifier_metrics, selective_metrics
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.figures import report_figures
from langchain_selectllm.evaluation.judge_replies import Judge, JudgeReplies, RecordedJudge
from langchain_selectllm.evaluation.parsed import VotingParser, read_anew, vote_of
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.evaluation.replayable import (
    complete_queries,
    count_training_queries,
    members_outcomes,
)
from langchain_selectllm.evaluation.report import Report, SystemReport, Versus
from langchain_selectllm.evaluation.self_consistency import (
    beyond_samples,
    default_control,
    is_repeated,
    missing_note,
    repeated_sizes,
)
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.outcomes import OutcomeTable, check_readable
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.policy_names import (
    REPEATED_POLICIES,
    SIZED_POLICIES,
    parse_policy,
    size_of,
)
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.votes import VoteStrategy

_PRICE_SHARES = (0.25, 0.5, 0.75, 1.0)
_DECISIONS_TIMED = 50


def evaluate(
    classifier: SelectLLMClassifier,
    outcomes: OutcomeTable,
    *,
    policies: Sequence[str] | None = None,
    parser: VotingParser | None = None,
    judge_replies: str | Path | None = None,
    pooled: bool = False,
    allow_training_queries: bool = False,
    allow_unreadable: bool = False,
    rows: int = 0,
    seed: int = 0,
    progress: StageProgress = silent,
) -> Report:
    """Every system's accuracy, calls, cost and latency on recorded outcomes, with intervals and the controls.

    Only fully observed queries are replayed; the report says how many were left out. Without any replies only
    systems that need no vote are listed.

    Args:
        classifier: A fitted classifier.
        outcomes: Outcomes of all its members; others are ignored.
        policies: Systems such as "weighted_max_conf:3" or "fixed_best" (every size); the controls `oracle`,
            `single_best` and `all_members` always come along. Every system in every size when None.
        parser: Reads and votes on the recorded replies, such as
            `VotingOutputParser(answer=SemanticAnswers(...))`; the outcomes' own answers and each policy's
            vote when None. Recorded scores stay as they are.
        judge_replies: File of the replies of a parser's `JudgeVote`. The judge is called once per choice of
            answers that the file lacks, and its reply is appended; replies in the file are replayed.
        pooled: Whether all samples of a member vote, instead of its first one.
        allow_training_queries: Whether queries that the classifier was trained on may be used. Figures on
            them are no
            evidence.
        allow_unreadable: Whether to go on where (nearly) every reply of a kind is wrong or unreadable.
        rows: Wrongly answered queries that the report includes with their texts and answers, at most.
        seed: Seed of the bootstrap.
        progress: Called as evaluation goes on.

    Raises:
        LeakageError: If the table holds training queries and they are not allowed.
        MemberMismatchError: If outcomes of a member are missing.
        OutcomeError: If no query is fully observed, or replies are read in a way that (nearly) none is right.
        PolicyError: If a system is unknown, or a judge votes without `judge_replies` or could not be called.
    """
    table = members_outcomes(classifier, outcomes)
    leaked = count_training_queries(classifier, table, allowed=allow_training_queries)
    if parser is not None:
        table = read_anew(table, parser)
    check_readable(table, allow_unreadable=allow_unreadable)
    complete = complete_queries(table)
    progress("predict", 0.0)
    recording = _record(classifier, complete, pooled=pooled)
    if parser is not None:
        vote = vote_of(parser, recording.pool)
        if vote is not None and vote.name == "judge":
            vote = _recorded_judge(vote, complete, judge_replies, progress)
        recording = replace(recording, vote=vote)
    replays = _replay_all(recording, _system_names(policies, recording), progress)
    report = _report(
        classifier, recording, replays, seed=seed, n_dropped=len(table) - len(complete), leaked=leaked
    )
    report = replace(report, not_evaluated=missing_note(policies, recording))
    return replace(report, figures=report_figures(recording, replays, report.headline, seed=seed, rows=rows))


def _recorded_judge(
    judge: VoteStrategy, outcomes: OutcomeTable, path: str | Path | None, progress: StageProgress
) -> RecordedJudge:
    if path is None:
        raise PolicyError(
            "A judge votes, and its replies are not recorded. Give judge_replies=FILE (--judge-replies): "
            "they are paid for once, and replayed from there."
        )
    return RecordedJudge(
        judge=cast("Judge", judge), outcomes=outcomes, replies=JudgeReplies(path), progress=progress
    )


def _record(classifier: SelectLLMClassifier, outcomes: OutcomeTable, *, pooled: bool) -> Recording:
    times = []
    for text in outcomes.texts[:_DECISIONS_TIMED]:
        start = time.perf_counter()
        classifier.predict_proba([text])
        times.append(time.perf_counter() - start)
    return Recording.of(outcomes, classifier, decision_s=float(np.median(times)), pooled=pooled)


def _system_names(policies: Sequence[str] | None, recording: Recording) -> list[str]:
    sizes = range(1, len(recording.pool.members) + 1) if recording.can_vote else range(1, 2)
    controls = ["oracle", "single_best", *(["all_members"] if recording.can_vote else [])]
    asked = [*SIZED_POLICIES] if policies is None else [name for name in policies if name not in controls]
    names = list(controls)
    for name in asked:
        if name in REPEATED_POLICIES:
            names += [f"{name}:{size}" for size in repeated_sizes(recording)]
        elif name in SIZED_POLICIES:
            names += [f"{name}:{size}" for size in sizes if _is_learned(name, size, recording)]
        else:
            size = size_of(name)
            if not recording.can_vote and not is_repeated(name) and size not in {1, None}:
                raise PolicyError(
                    f"{name!r} needs a vote, and these outcomes hold no replies. "
                    "Use size 1, such as 'max_conf:1'."
                )
            names.append(name)
            # The control at the same number of calls comes along.
            if size is not None and size in recording.pool.fixed_sets and f"fixed_best:{size}" not in asked:
                names.append(f"fixed_best:{size}")
    if policies is None:
        names += _cost_budgets(recording.pool)
    names += default_control(recording)
    beyond = beyond_samples(names, recording)
    return [name for name in dict.fromkeys(names) if name not in beyond]


def _cost_budgets(pool: PoolStatistics) -> list[str]:
    """The recommended system within shares of the single best's price, where a point is within them."""
    if np.isnan(pool.costs).any() or pool.costs.max() == pool.costs.min():
        return []
    names = []
    for share in _PRICE_SHARES:
        # Rounded up, so that the single best is within its own price.
        budget = 1.005 * share * pool.costs[pool.single_best]
        name = f"selectllm:{budget:.3g}usd"
        if _has_point(name, pool):
            names.append(name)
    return names


def _is_learned(name: str, size: int, recording: Recording) -> bool:
    """Whether the artefact holds what a system of that name and size needs."""
    pool = recording.pool
    if name == "fixed_best":
        return size in pool.fixed_sets
    return _has_point(f"{name}:{size}", pool)


def _has_point(name: str, pool: PoolStatistics) -> bool:
    """Whether the policy needs no operating point, or finds one."""
    policy = parse_policy(name)
    return not isinstance(policy, Adaptive) or policy.find(pool) is not None


def _replay_all(recording: Recording, names: Sequence[str], progress: StageProgress) -> list[Replay]:
    """The systems of these names, and the controls at as many calls as they turned out to make."""
    replays = []
    for i, name in enumerate(names):
        replays.append(_replay(recording, name))
        progress("replay", (i + 1) / len(names))
    # The control of a policy that calls fewer than its size at times is known only now.
    controls = {_control(replay) for replay in replays if ":" in replay.name} - set(names)
    known = [name for name in sorted(controls) if size_of(name) in recording.pool.fixed_sets]
    return replays + [_replay(recording, name) for name in known]


def _replay(recording: Recording, name: str) -> Replay:
    if name == "oracle":
        return recording.replay_oracle(name)
    return recording.replay_policy(name, parse_policy(name))


def _report(
    classifier: SelectLLMClassifier,
    recording: Recording,
    replays: Sequence[Replay],
    *,
    seed: int,
    n_dropped: int,
    leaked: int,
) -> Report:
    outcomes, pool = recording.outcomes, recording.pool
    bootstrap = Bootstrap(len(outcomes), seed=seed)
    by_name = {replay.name: replay for replay in replays}
    metrics = classifier_metrics(recording.probabilities, outcomes.labels, pool.base_rates)
    member_scores = recording.member_scores()
    metrics["upper_bound"] = float(
        np.where(recording.probabilities > 0.5, member_scores, 0.0).max(axis=1).mean()
    )
    return Report(
        members=pool.members,
        n_queries=len(outcomes),
        n_not_replayed=n_dropped,
        n_training_queries=leaked,
        seed=seed,
        systems=tuple(_system_report(replay, by_name, bootstrap) for replay in replays),
        member_accuracy=dict(zip(pool.members, member_scores.mean(axis=0).tolist(), strict=True)),
        classifier=metrics,
        per_category=_per_category(outcomes.categories, replays),
        fixed_set_search=classifier.summary.fixed_set_search,
        decision_s=recording.decision_s,
        labels_from=outcomes.labels_from,
    )


def _control(replay: Replay) -> str:
    """The fixed set that calls as many members, rounded up beyond a twentieth of a call."""
    return f"fixed_best:{max(int(np.ceil(replay.calls.mean() - 0.05)), 1)}"


def _system_report(replay: Replay, by_name: dict[str, Replay], bootstrap: Bootstrap) -> SystemReport:
    calls = float(replay.calls.mean())
    versus = {}
    for label, name in (
        ("single_best", "single_best"),
        ("all_members", "all_members"),
        ("fixed_best", _control(replay)),
    ):
        if name in by_name and replay.name not in {name, "oracle"}:
            difference = replay.score - by_name[name].score
            versus[label] = Versus(name, float(difference.mean()), bootstrap.interval(difference))
    return SystemReport(
        name=replay.name,
        accuracy=float(replay.score.mean()),
        accuracy_ci95=bootstrap.interval(replay.score),
        calls=calls,
        cost_usd=_mean(replay.cost_usd),
        latency_parallel_s=_mean(replay.latency_parallel_s),
        latency_total_s=_mean(replay.latency_total_s),
        confidence=None if replay.confidence is None else selective_metrics(replay.confidence, replay.score),
        versus=versus,
    )


def _per_category(categories: Sequence[str], replays: Sequence[Replay]) -> dict[str, dict[str, float]]:
    names = np.array(categories)
    accuracies = {}
    for category in sorted(set(categories) - {""}):
        chosen = names == category
        accuracies[category] = {replay.name: float(replay.score[chosen].mean()) for replay in replays}
    return accuracies


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())
