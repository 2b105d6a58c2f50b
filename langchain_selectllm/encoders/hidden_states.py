"""Hidden states of a frozen causal language model after reading a prompt, as features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.model_files import load_pretrained
from langchain_selectllm.encoders.novelty import Familiarity, KnowsTexts
from langchain_selectllm.exceptions import EncoderError, NotFittedError

_POOLINGS = ("last", "mean")
_DEPTHS = (0.5, 0.75, 1.0)
_PROBE = "Which of these language models answers this question?"
_SAME_MODEL = 0.99
_RIDGE = 10.0


class HiddenStateEncoder(KnowsTexts):
    """Prefill activations of any causal language model, standardised; the model is not trained.

    Layer (at half, three quarters and all of the depth) and pooling (last token or mean over tokens) are
    those whose ridge regression on the training queries predicts the success rates of the validation queries
    best. After "Prefill activations as routing signal" (arXiv 2603.20895). The artefact holds the model's id
    or folder, not the model.
    """

    kind: ClassVar[str] = "hidden-states"
    supervised: ClassVar[bool] = False
    head_c: ClassVar[float] = 0.01
    is_slow: ClassVar[bool] = True

    def __init__(
        self, model: str, *, revision: str | None = None, max_length: int = 512, batch_size: int = 16
    ) -> None:
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.batch_size = batch_size
        self.layer: int | None = None
        """Hidden layer that is read, 0 = embeddings; None before `fit`."""
        self.pooling: str = "last"
        self._mean: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._scale: NDArray[np.float32] = np.ones(0, dtype=np.float32)
        self._loaded: Any = None

    @property
    def name(self) -> str:
        """The prefix "hidden:" and the model's id or folder."""
        return f"hidden:{self.model}"

    def fit(self, texts: Sequence[str], scores: NDArray[np.float64], validation: NDArray[np.bool_]) -> Self:
        """Choose layer and pooling on the validation queries, and learn the features' scale.

        Raises:
            EncoderError: If the model cannot be loaded.
            MissingDependencyError: If torch or transformers is not installed.
        """
        n_layers = int(self._load()[1].config.num_hidden_layers)
        layers = sorted({max(round(depth * n_layers), 1) for depth in _DEPTHS})
        states = self._states(texts, layers)
        errors = {
            choice: _validation_error(
                features[~validation], scores[~validation], features[validation], scores[validation]
            )
            for choice, features in states.items()
        }
        self.layer, self.pooling = min(errors, key=lambda choice: errors[choice])
        chosen = states[self.layer, self.pooling]
        self._mean, self._scale = chosen.mean(axis=0), np.maximum(chosen.std(axis=0), 1e-6)
        self.familiarity = Familiarity.fit(self.encode(Familiarity.sample(texts)))
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Standardised hidden states, (n, hidden_size).

        Raises:
            NotFittedError: If called before `fit`.
        """
        if self.layer is None:
            raise NotFittedError(f"Encoder {self.name!r} has no layer chosen yet. Call fit first.")
        states: NDArray[np.float32] = self._states(texts, [self.layer])[self.layer, self.pooling]
        return (states - self._mean) / self._scale

    def save(self, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:  # noqa: ARG002
        """Model, layer and pooling as JSON; scale, probe sentence and familiar texts as arrays.

        Raises:
            NotFittedError: If called before `fit`.
        """
        probe = self.encode([_PROBE])
        settings = {
            name: getattr(self, name) for name in ("model", "revision", "max_length", "layer", "pooling")
        }
        return settings, {
            "mean": self._mean,
            "scale": self._scale,
            "probe": probe,
            **self.familiarity.arrays(),
        }

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        folder: Path,  # noqa: ARG003
        *,
        model: str | None = None,
    ) -> Self:
        """The encoder over the same model. The caller names it: it is never taken from an artefact.

        Raises:
            EncoderError: If `model` is None, the model cannot be loaded, or it reads the probe sentence
                unlike the one it was fitted with.
        """
        if model is None:
            raise EncoderError(
                f"The router reads hidden states of the model {config['model']!r}, which is not part of its "
                "folder and is never loaded by a name from a file. Name the model that you trust: "
                f"from_pretrained(folder, encoder_model={config['model']!r})."
            )
        encoder = cls(model, revision=config["revision"], max_length=int(config["max_length"]))
        encoder.layer, encoder.pooling = int(config["layer"]), str(config["pooling"])
        encoder._mean, encoder._scale = arrays["mean"], arrays["scale"]
        encoder.familiarity = Familiarity.from_arrays(arrays)
        probe, expected = encoder.encode([_PROBE]), arrays["probe"]
        norm = float(np.linalg.norm(probe) * np.linalg.norm(expected))
        if probe.shape != expected.shape or float((probe * expected).sum()) < _SAME_MODEL * norm:
            raise EncoderError(
                f"Encoder {encoder.name!r} is not the model that the heads were fitted on: it reads a probe "
                "sentence differently. Restore that model, or train again."
            )
        return encoder

    def _states(
        self, texts: Sequence[str], layers: Sequence[int]
    ) -> dict[tuple[int, str], NDArray[np.float32]]:
        """Hidden states by layer and pooling, (n, hidden_size) each."""
        import torch

        tokenizer, model = self._load()
        parts: dict[tuple[int, str], list[NDArray[np.float32]]] = {
            (at, how): [] for at in layers for how in _POOLINGS
        }
        for start in range(0, len(texts), self.batch_size):
            batch = [text or " " for text in texts[start : start + self.batch_size]]
            inputs = tokenizer(
                batch, return_tensors="pt", padding=True, truncation=True, max_length=self.max_length
            )
            with torch.inference_mode():
                hidden = model(
                    input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
                ).hidden_states
            mask = inputs["attention_mask"]
            ends = mask.sum(dim=1) - 1
            for at in layers:
                state = hidden[at].float()
                mean = (state * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
                parts[at, "last"].append(state[torch.arange(len(batch)), ends].numpy())
                parts[at, "mean"].append(mean.numpy())
        return {choice: np.concatenate(rows) for choice, rows in parts.items()}

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            tokenizer, model = load_pretrained(
                "AutoModel",
                self.model,
                revision=self.revision,
                needed_by=f"Encoder {self.name!r}",
                output_hidden_states=True,
            )
            # On the right, so that the last token stands where the mask ends.
            tokenizer.padding_side = "right"
            tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
            self._loaded = (tokenizer, model.eval())
        return self._loaded  # type: ignore[no-any-return]


def _validation_error(
    features: NDArray[np.float32],
    scores: NDArray[np.float64],
    held_out: NDArray[np.float32],
    truth: NDArray[np.float64],
) -> float:
    """Mean squared error on held-out success rates of a ridge regression on standardised features."""
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    x, x_held_out = (features - mean) / scale, (held_out - mean) / scale
    rates = np.where(np.isnan(scores), np.nanmean(scores, axis=0), scores)
    gram = x.T @ x + _RIDGE * len(x) / x.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (rates - rates.mean(axis=0)))
    return float(np.nanmean((x_held_out @ weights + rates.mean(axis=0) - truth) ** 2))
