"""A verifier: question and reply -> P(the reply is right); fine-tuned by the trainer of the encoder `fine-tune:MODEL`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm import OutcomeTable
from langchain_selectllm.classifier.calibration import sigmoid
from langchain_selectllm.classifier.logistic import LogisticModel, fit_logistic
from langchain_selectllm.encoders.fine_tuned import FineTunedEncoder
from langchain_selectllm.encoders.fine_tuning import FineTuning

TUNING = FineTuning(max_length=128, batch_size=16, epochs=2, learning_rates=(5e-5,))
"""A query brings one pair per member: fewer epochs and smaller batches than for an encoder."""
END_CHARACTERS = 300
"""Of a reply only its end is read, where the answer stands; the question keeps the other half of the tokens."""
VALIDATION = 0.15
"""Share of the queries that choose the checkpoint and calibrate."""
CALIBRATION_C = 100.0
"""Inverse strength of the penalty on the one weight of the calibration: next to none."""


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """A sequence-pair classifier with one output, calibrated on queries that it was not trained on."""

    encoder: FineTunedEncoder
    scale: LogisticModel
    """From the encoder's logit to that of P(right)."""

    @classmethod
    def fit(cls, model: str, outcomes: OutcomeTable, *, tuning: FineTuning | None = None) -> "Verifier":
        """Train on the first recorded reply of every member.

        Args:
            model: Id or folder of a transformers model with safetensors weights; its own code is never run.
            outcomes: Fully observed outcomes with replies.
            tuning: Settings of the training; `TUNING` when None.

        Raises:
            EncoderError: If the model is refused or cannot be loaded.
        """
        pairs, right = pairs_of(outcomes), outcomes.scores.ravel()
        held_out = np.random.default_rng(0).random(len(outcomes)) < VALIDATION
        validation = np.repeat(held_out, len(outcomes.members))
        encoder = FineTunedEncoder(model, tuning=tuning or TUNING).fit(pairs, right[:, None], validation)
        logits = encoder.encode([pair for pair, held in zip(pairs, validation, strict=True) if held])
        scale = fit_logistic(logits, right[validation][:, None], c=CALIBRATION_C, seed=0)[0]
        return cls(encoder=encoder, scale=scale)

    def probabilities(self, outcomes: OutcomeTable) -> NDArray[np.float64]:
        """P(right) of the first recorded reply of every member, (n, K)."""
        logits = self.encoder.encode(pairs_of(outcomes)) @ self.scale.weights + self.scale.bias
        return sigmoid(logits).reshape(len(outcomes), -1)


def pairs_of(outcomes: OutcomeTable) -> list[tuple[str, str]]:
    """Question and end of the first reply, query by query and member by member."""
    pairs = []
    for text, cells in zip(outcomes.texts, outcomes.replies, strict=True):
        pairs += [(text, cell[0][-END_CHARACTERS:] if cell else "") for cell in cells]
    return pairs
