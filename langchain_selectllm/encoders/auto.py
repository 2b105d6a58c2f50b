"""From what a user writes as `encoder=` to an encoder, and from a saved one back."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from langchain_selectllm.encoders.base import Encoder
from langchain_selectllm.exceptions import EncoderError

_LEXICAL = "lexical"
_FINE_TUNE = "fine-tune:"
_HIDDEN = "hidden:"
# Module and class: only the module of the encoder that is used is imported.
_KINDS = {
    _LEXICAL: ("lexical", "LexicalEncoder"),
    "sentence-transformers": ("sentence", "SentenceEncoder"),
    "fine-tuned": ("fine_tuned", "FineTunedEncoder"),
    "hidden-states": ("hidden_states", "HiddenStateEncoder"),
}


def get_encoder(encoder: str | Encoder) -> Encoder:
    """The encoder that `encoder` names or is.

    Args:
        encoder: "lexical"; a sentence-transformers model id or folder; "fine-tune:" followed by a
            transformers model id or folder ("fine-tune:roberta-base"); "hidden:" followed by a causal
            language model; or an encoder, returned as it is.

    Raises:
        EncoderError: If the name is empty.
    """
    if not isinstance(encoder, str):
        return encoder
    if not encoder.removeprefix(_FINE_TUNE).removeprefix(_HIDDEN):
        raise EncoderError(
            f"Encoder {encoder!r} names no model. Use 'lexical', a sentence-transformers model id or folder, "
            "or 'fine-tune:MODEL' or 'hidden:MODEL' with a transformers model id or folder."
        )
    made: Encoder
    if encoder == _LEXICAL:
        made = _class_of(_LEXICAL)()
    elif encoder.startswith(_FINE_TUNE):
        made = _class_of("fine-tuned")(encoder.removeprefix(_FINE_TUNE))
    elif encoder.startswith(_HIDDEN):
        made = _class_of("hidden-states")(encoder.removeprefix(_HIDDEN))
    else:
        made = _class_of("sentence-transformers")(encoder)
    return made


def load_encoder(
    kind: str,
    config: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    folder: Path,
    *,
    model: str | None = None,
) -> Encoder:
    """The encoder of that kind from its saved state.

    Args:
        kind: Kind of the encoder.
        config: Its configuration.
        arrays: Its arrays.
        folder: Folder with its files.
        model: Id or folder of the model under the encoder, where the caller names it; "hidden-states" needs
            it.

    Raises:
        EncoderError: If the kind is unknown, its model has to be named, or its state cannot be used.
    """
    if kind not in _KINDS:
        raise EncoderError(f"Encoder kind {kind!r} is unknown. This release knows {', '.join(_KINDS)}.")
    encoder: Encoder = _class_of(kind).load(config, arrays, folder, model=model)
    return encoder


def _class_of(kind: str) -> Any:
    module, name = _KINDS[kind]
    return getattr(import_module(f"langchain_selectllm.encoders.{module}"), name)
