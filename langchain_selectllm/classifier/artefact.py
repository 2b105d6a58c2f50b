"""What was learned as a saved folder, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.fitted import Learned, TrainingSummary
from langchain_selectllm.classifier.folder import ENCODER_FOLDER, load_folder, save_folder
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.topics import Topics
from langchain_selectllm.encoders import load_encoder
from langchain_selectllm.exceptions import ArtefactCorruptError, SelectLLMError
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint
from langchain_selectllm.selection.pool_statistics import Patience, PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedVote


def save_learned(learned: Learned, folder: str | Path, *, validation: float, seed: int) -> None:
    """Save as JSON, safetensors and a card; an artefact that stands there is replaced at once.

    Raises:
        ArtefactError: If something else than an artefact stands there.
    """
    from langchain_selectllm.classifier.card import write_card

    def build(encoder_folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
        settings, encoder_arrays = learned.encoder.save(encoder_folder)
        config: dict[str, Any] = {
            "members": list(learned.pool.members),
            "encoder": {"kind": learned.encoder.kind, "name": learned.encoder.name, "settings": settings},
            "topics": list(learned.topics.names),
            "validation": validation,
            "seed": seed,
            "fixed_sets": {str(size): list(names) for size, names in learned.pool.fixed_sets.items()},
            "operating_points": [_point_config(point) for point in learned.pool.operating_points],
            "patience": _patience_config(learned.pool.patience),
            "known_answers": _known_answers(learned.pool.vote),
            "training": _summary_config(learned.summary),
        }
        arrays: dict[str, NDArray[Any]] = {
            "heads.weights": learned.heads.weights,
            "heads.bias": learned.heads.bias,
            "topics.weights": learned.topics.heads.weights,
            "topics.bias": learned.topics.heads.bias,
            "calibration.weights": learned.calibration.weights,
            "calibration.topic_weights": learned.calibration.topic_weights,
            "calibration.bias": learned.calibration.bias,
            "pool.base_rates": learned.pool.base_rates,
            "pool.costs": learned.pool.costs,
            "pool.latencies": learned.pool.latencies,
            "trained_on": np.array(sorted(learned.trained_on), dtype=np.uint64),
            **_vote_arrays(learned.pool.vote),
            **{f"encoder.{name}": array for name, array in encoder_arrays.items()},
        }
        return config, arrays, write_card(learned)

    save_folder(folder, build)


def load_learned(folder: str | Path, encoder_model: str | None = None) -> tuple[Learned, dict[str, Any]]:
    """What was saved, bit for bit, and the configuration beside it.

    Raises:
        ArtefactError: If the folder is missing, foreign, newer than this release, truncated or changed.
        EncoderError: If the encoder's model cannot be loaded, or is another one.
    """
    config, arrays = load_folder(folder)
    try:
        return _learned(config, arrays, Path(folder) / ENCODER_FOLDER, encoder_model), config
    except SelectLLMError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactCorruptError(
            f"{folder} is not complete: {error!r}. Restore it, or train again."
        ) from error


def _learned(
    config: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    encoder_folder: Path,
    encoder_model: str | None,
) -> Learned:
    encoder = config["encoder"]
    return Learned(
        encoder=load_encoder(
            encoder["kind"],
            encoder["settings"],
            _under("encoder.", arrays),
            encoder_folder,
            model=encoder_model,
        ),
        heads=LinearHeads(arrays["heads.weights"], arrays["heads.bias"]),
        topics=Topics(tuple(config["topics"]), LinearHeads(arrays["topics.weights"], arrays["topics.bias"])),
        calibration=StackedCalibration(
            arrays["calibration.weights"], arrays["calibration.topic_weights"], arrays["calibration.bias"]
        ),
        pool=PoolStatistics(
            members=tuple(config["members"]),
            base_rates=arrays["pool.base_rates"],
            costs=arrays["pool.costs"],
            latencies=arrays["pool.latencies"],
            fixed_sets={int(size): tuple(names) for size, names in config["fixed_sets"].items()},
            vote=_vote(config["known_answers"], _under("vote.", arrays)),
            operating_points=tuple(_point(point) for point in config["operating_points"]),
            patience=_patience(config["patience"]),
        ),
        summary=_summary(config["training"]),
        trained_on=frozenset(arrays["trained_on"].tolist()),
    )


def _patience_config(patience: Patience | None) -> dict[str, Any] | None:
    if patience is None:
        return None
    return asdict(patience)


def _patience(config: dict[str, Any] | None) -> Patience | None:
    """The tuned level; None where none was tuned."""
    if config is None:
        return None
    return Patience(**config)


def _known_answers(vote: LearnedVote | None) -> list[str] | None:
    if vote is None:
        return None
    return list(vote.known_answers)


def _vote_arrays(vote: LearnedVote | None) -> dict[str, NDArray[Any]]:
    if vote is None:
        return {}
    return {f"vote.{name}": array for name, array in vote.arrays().items()}


def _vote(known_answers: list[str] | None, arrays: dict[str, NDArray[Any]]) -> LearnedVote | None:
    if known_answers is None:
        return None
    return LearnedVote.from_arrays(arrays, known_answers)


def _under(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _point_config(point: OperatingPoint) -> dict[str, Any]:
    config = asdict(point)
    return {**config, "cost_usd": _or_none(point.cost_usd), "latency_s": _or_none(point.latency_s)}


def _point(config: dict[str, Any]) -> OperatingPoint:
    figures = {name: _or_nan(config[name]) for name in ("accuracy", "calls", "cost_usd", "latency_s")}
    return OperatingPoint(rule=CallingRule(**config["rule"]), evidence=config["evidence"], **figures)


def _or_none(value: float) -> float | None:
    """The value; None for NaN, which JSON lacks."""
    if np.isnan(value):
        return None
    return value


def _or_nan(value: float | None) -> float:
    """The value; NaN for None."""
    if value is None:
        return float("nan")
    return value


def _summary_config(summary: TrainingSummary) -> dict[str, Any]:
    return {
        "n_queries": summary.n_queries,
        "outcomes": dict(summary.outcomes),
        "oracle": _or_none(summary.oracle),
        "metrics": dict(summary.metrics),
        "fixed_set_search": summary.fixed_set_search,
        "vote": summary.vote,
        "answer": summary.answer,
        "answer_type": summary.answer_type,
        "labels_from": summary.labels_from,
    }


def _summary(config: dict[str, Any]) -> TrainingSummary:
    return TrainingSummary(**{**config, "oracle": _or_nan(config["oracle"])})
