"""A transformers encoder fine-tuned end to end with one logit per member."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require
from langchain_selectllm.encoders.base import Features
from langchain_selectllm.encoders.fine_tuning import FineTuning, Text
from langchain_selectllm.encoders.model_files import load_pretrained
from langchain_selectllm.exceptions import EncoderError, NotFittedError


class FineTunedEncoder:
    """A sequence-classification model trained by masked binary cross-entropy on the members' success rates.

    Training runs on the Hugging Face Trainer, hence on several processes or machines under `accelerate
    launch` or `torchrun`. The features are the K logits of the best checkpoint by validation loss.
    """

    kind: ClassVar[str] = "fine-tuned"
    supervised: ClassVar[bool] = True
    head_c: ClassVar[float] = 1.0
    is_slow: ClassVar[bool] = True

    def __init__(
        self, model: str = "roberta-base", *, tuning: FineTuning | None = None, revision: str | None = None
    ) -> None:
        self.model = model
        self.tuning = tuning or FineTuning()
        self.revision = revision
        self._model: Any = None
        self._tokenizer: Any = None

    @property
    def name(self) -> str:
        """The prefix "fine-tune:" and the id or folder of the model that training started from."""
        return f"fine-tune:{self.model}"

    def fit(self, texts: Sequence[Text], scores: NDArray[np.float64], validation: NDArray[np.bool_]) -> Self:
        """Train on the queries outside `validation`, choose checkpoint and learning rate on those inside.

        Raises:
            EncoderError: If the model cannot be loaded.
            MissingDependencyError: If torch, transformers or accelerate is not installed.
        """
        for module in ("torch", "transformers", "accelerate"):
            require(module, extra="fine-tune", needed_by=f"Encoder {self.name!r}")
        from transformers import set_seed

        from langchain_selectllm.encoders.trainer import SEED, train_model

        best_loss = float("inf")
        for rate in self.tuning.learning_rates:
            # The trainer seeds what comes after the weights of the new outputs are drawn.
            set_seed(SEED)
            model, tokenizer = self._load_pretrained(self.model, n_members=scores.shape[1])
            with tempfile.TemporaryDirectory() as checkpoints:
                loss = train_model(
                    model,
                    tokenizer,
                    texts,
                    scores,
                    validation,
                    tuning=self.tuning,
                    rate=rate,
                    folder=checkpoints,
                )
            if loss < best_loss:
                best_loss, self._model, self._tokenizer = loss, model.eval(), tokenizer
        return self

    def encode(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Logits, (n, K).

        Raises:
            NotFittedError: If called before `fit`.
        """
        if self._model is None:
            raise NotFittedError(f"Encoder {self.name!r} is not fine-tuned yet. Call fit first.")
        from langchain_selectllm.encoders.trainer import predict_logits

        return predict_logits(self._model, self._tokenizer, texts, self.tuning)

    def novelty(self, texts: Sequence[str], features: Features) -> NDArray[np.float64]:  # noqa: ARG002
        """Zeros: this encoder does not measure novelty."""
        return np.zeros(len(texts))

    def save(self, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The configuration; weights and tokenizer go into `folder` as transformers writes them."""
        self._model.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)
        return {"model": self.model, "revision": self.revision, "tuning": asdict(self.tuning)}, {}

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],  # noqa: ARG003
        folder: Path,
        *,
        model: str | None = None,  # noqa: ARG003
    ) -> Self:
        """The fine-tuned encoder of a saved folder; `model` is not used, since the folder holds the model.

        Raises:
            EncoderError: If the folder brings code or pickled weights, or its model cannot be loaded.
        """
        tuning = dict(config["tuning"])
        tuning["learning_rates"] = tuple(tuning["learning_rates"])
        encoder = cls(str(config["model"]), tuning=FineTuning(**tuning), revision=config.get("revision"))
        if not folder.is_dir():
            raise EncoderError(
                f"{folder} is not there. Restore the folder of the fine-tuned encoder, or train again."
            )
        encoder._model, encoder._tokenizer = encoder._load_pretrained(str(folder))
        encoder._model.eval()
        return encoder

    def _load_pretrained(self, source: str, n_members: int | None = None) -> tuple[Any, Any]:
        """Model and tokenizer of a saved encoder, or of the model to start from."""
        kwargs: dict[str, Any] = {"ignore_mismatched_sizes": True}
        revision = None
        if n_members is not None:
            kwargs |= {"num_labels": n_members, "problem_type": "multi_label_classification"}
            revision = self.revision
        tokenizer, model = load_pretrained(
            "AutoModelForSequenceClassification",
            source,
            revision=revision,
            needed_by=f"Encoder {self.name!r}",
            **kwargs,
        )
        return model, tokenizer
