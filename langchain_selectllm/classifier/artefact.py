"""What was learned as a saved folder, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.card import write_card
from langchain_selectllm.classifier.fitted import Learned, TrainingSummary
from langchain_selectllm.classifier.folder import ENCODER_FOLDER, load_folder, save_folder
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.topics import Topics
from langchain_selectllm.encoders import load_encoder
from langchain_selectllm.exceptions import ArtefactCorruptError, SelectLLMError
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedVote


def save_learned(learned: Learned, folder: str | Path, *, validation: float, seed: int) -> None:
    """Save as JSON, safetensors and a card; an artefact that stands there is replaced at once.

    Raises:
        ArtefactError: If something else than an artefact stands there.
    """

    def build(encoder_folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
        settings, encoder_arrays = learned.encoder.save(encoder_folder)
        config: dict[str, Any] = {
            "members": list(learned.pool.members),
            "encoder": {"kind": learned.encoder.kind, "name": learned.encoder.name, "settings": settings},
            "topics": list(learned.topics.names),
            "validation": validation,
            "seed": seed,
            "fixed_sets": {str(size): list(names) for size, names in learned.pool.fixed_sets.items()},
            "operating_points": {
                "adaptive": [_point_config(point) for point in learned.pool.adaptive_points],
                "guarded": [_point_config(point) for point in learned.pool.guarded_points],
            },
            "known_answers": None if learned.pool.vote is None else list(learned.pool.vote.known_answers),
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
            **(
                {}
                if learned.pool.vote is None
                else {f"vote.{n}": a for n, a in learned.pool.vote.arrays().items()}
            ),
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
    points = config["operating_points"]
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
            vote=None
            if config["known_answers"] is None
            else LearnedVote.from_arrays(_under("vote.", arrays), config["known_answers"]),
            adaptive_points=tuple(_point(point) for point in points["adaptive"]),
            guarded_points=tuple(_point(point) for point in points["guarded"]),
        ),
        summary=_summary(config["training"]),
        trained_on=frozenset(arrays["trained_on"].tolist()),
    )


def _under(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _point_config(point: OperatingPoint) -> dict[str, Any]:
    config = asdict(point)
    for name in ("cost_usd", "latency_s"):
        if np.isnan(config[name]):
            config[name] = None
    return config


def _point(config: dict[str, Any]) -> OperatingPoint:
    figures: dict[str, Any] = {name: np.nan if value is None else value for name, value in config.items()}
    figures["rule"] = CallingRule(**config["rule"])
    return OperatingPoint(**figures)


def _summary_config(summary: TrainingSummary) -> dict[str, Any]:
    return {
        "n_queries": summary.n_queries,
        "outcomes": dict(summary.outcomes),
        "oracle": None if np.isnan(summary.oracle) else summary.oracle,
        "metrics": dict(summary.metrics),
        "fixed_set_search": summary.fixed_set_search,
        "vote": summary.vote,
        "answer": summary.answer,
        "answer_type": summary.answer_type,
        "labels_from": summary.labels_from,
    }


def _summary(config: dict[str, Any]) -> TrainingSummary:
    oracle = config["oracle"]
    return TrainingSummary(**{**config, "oracle": float("nan") if oracle is None else oracle})
