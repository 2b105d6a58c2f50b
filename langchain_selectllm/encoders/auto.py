"""From what a user writes as `encoder=` to an encoder, and from a saved one back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from langchain_selectllm.encoders.base import Encoder
from langchain_selectllm.encoders.fine_tuned import FineTunedEncoder
from langchain_selectllm.encoders.hidden_states import HiddenStateEncoder
from langchain_selectllm.encoders.lexical import LexicalEncoder
from langchain_selectllm.encoders.sentence import SentenceEncoder
from langchain_selectllm.exceptions import EncoderError

_KINDS: dict[str, type[Encoder]] = {
    kind.kind: kind for kind in (LexicalEncoder, SentenceEncoder, FineTunedEncoder, HiddenStateEncoder)
}
_FINE_TUNE = "fine-tune:"
_HIDDEN = "hidden:"


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
    if encoder == LexicalEncoder.kind:
        return LexicalEncoder()
    if encoder.startswith(_FINE_TUNE):
        return FineTunedEncoder(encoder.removeprefix(_FINE_TUNE))
    if encoder.startswith(_HIDDEN):
        return HiddenStateEncoder(encoder.removeprefix(_HIDDEN))
    return SentenceEncoder(encoder)


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
    return _KINDS[kind].load(config, arrays, folder, model=model)
