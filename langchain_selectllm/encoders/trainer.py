"""Fine-tuning on the Hugging Face Trainer; imported only where torch is needed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

if TYPE_CHECKING:
    from langchain_selectllm.encoders.fine_tuning import FineTuning, Text

SEED = 0
"""Seed of the new outputs' weights, of the order of the texts and of dropout."""


def train_model(
    model: Any,
    tokenizer: Any,
    texts: Sequence["Text"],
    scores: NDArray[np.float64],
    validation: NDArray[np.bool_],
    *,
    tuning: "FineTuning",
    rate: float,
    folder: str,
) -> float:
    """Train `model` in place; it ends with the weights of its best epoch.

    Returns:
        The loss on the validation queries at that epoch.
    """
    rows = [_encode(tokenizer, text, target, tuning) for text, target in zip(texts, scores, strict=True)]
    trainer = _MaskedTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=tuning.batch_size,
            per_device_eval_batch_size=tuning.batch_size,
            num_train_epochs=tuning.epochs,
            learning_rate=rate,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            remove_unused_columns=False,
            label_names=["labels"],
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            seed=SEED,
        ),
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=[row for row, held_out in zip(rows, validation, strict=True) if not held_out],
        eval_dataset=[row for row, held_out in zip(rows, validation, strict=True) if held_out],
    )
    trainer.class_weights = _class_weights(scores[~validation]) if tuning.class_weights else None
    trainer.train()
    return float(trainer.evaluate()["eval_loss"])


def predict_logits(
    model: Any, tokenizer: Any, texts: Sequence["Text"], tuning: "FineTuning"
) -> NDArray[np.float32]:
    """Logits of every text, (n, K)."""
    batches = []
    with torch.inference_mode():
        for start in range(0, len(texts), tuning.batch_size):
            batch = texts[start : start + tuning.batch_size]
            inputs = _tokenize(tokenizer, batch, tuning, padding=True, return_tensors="pt")
            batches.append(model(**inputs.to(model.device)).logits.float().cpu().numpy())
    return np.concatenate(batches).astype(np.float32)


class _MaskedTrainer(Trainer):  # type: ignore[misc]
    """A trainer whose loss leaves unobserved cells out."""

    class_weights: torch.Tensor | None = None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        del num_items_in_batch
        scores = inputs.pop("labels")
        outputs = model(**inputs)
        observed = ~torch.isnan(scores)
        targets = torch.nan_to_num(scores)
        weights = observed.to(outputs.logits.dtype)
        if self.class_weights is not None:
            wrong, right = self.class_weights.to(weights.device)
            weights = weights * (targets * right + (1 - targets) * wrong)
        losses = binary_cross_entropy_with_logits(outputs.logits, targets, weight=weights, reduction="sum")
        loss = losses / weights.sum().clamp(min=1e-6)
        return (loss, outputs) if return_outputs else loss


def _encode(
    tokenizer: Any, text: "Text", scores: NDArray[np.float64], tuning: "FineTuning"
) -> dict[str, Any]:
    row = {name: values[0] for name, values in _tokenize(tokenizer, [text], tuning).items()}
    row["labels"] = scores.astype(np.float32)
    return row


def _tokenize(tokenizer: Any, texts: Sequence["Text"], tuning: "FineTuning", **settings: Any) -> Any:
    """Tokens of texts, or of pairs of texts with the model's mark between the two."""
    columns = zip(*((text,) if isinstance(text, str) else text for text in texts), strict=True)
    return tokenizer(*map(list, columns), truncation=True, max_length=tuning.max_length, **settings)


def _class_weights(scores: NDArray[np.float64]) -> torch.Tensor:
    """Weights of wrong and right outcomes per member, (2, K), which give both the same total."""
    observed = np.maximum((~np.isnan(scores)).sum(axis=0), 1)
    right = np.clip(np.nansum(scores, axis=0) / observed, 0.01, 0.99)
    return torch.tensor(np.stack([0.5 / (1 - right), 0.5 / right]), dtype=torch.float32)
