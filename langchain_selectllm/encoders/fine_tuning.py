"""Settings of fine-tuning."""

from dataclasses import dataclass

Text = str | tuple[str, str]
"""A text, or a pair of texts that are read together, such as a question and a reply."""


@dataclass(frozen=True)
class FineTuning:
    """Settings of the training; the defaults are those of SelectLLM (Maurya et al., 2025), section 3."""

    max_length: int = 128
    """Tokens of a text; longer texts are cut."""
    batch_size: int = 128
    epochs: float = 5
    learning_rates: tuple[float, ...] = (2e-5,)
    """Tried one after the other; the one with the lowest validation loss is kept."""
    class_weights: bool = False
    """Whether right and wrong outcomes of a member have the same total weight in its loss."""
