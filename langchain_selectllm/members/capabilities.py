"""Members that cannot read a prompt or reply in its form, by the profiles of their chat models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any

from langchain_core.language_models import ModelProfile
from langchain_core.messages import BaseMessage

from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.members.tool_binding import raw_models

_CHARACTERS_PER_TOKEN = 4
"""The usual estimate for English text, which langchain-core's `count_tokens_approximately` uses too."""

_INPUTS = {"image": "image_inputs", "audio": "audio_inputs", "video": "video_inputs", "pdf": "pdf_inputs"}
"""Field of a profile for each kind of block."""

_BLOCKS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
}
"""Kind of each type of block; the others, such as files, are known by their MIME type."""

_REASONS = {
    "image": "reads no images",
    "audio": "reads no audio",
    "video": "reads no video",
    "pdf": "reads no PDF files",
}


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Capabilities that a prompt needs."""

    kinds: frozenset[str] = frozenset()
    """Kinds of its blocks other than text: "image", "audio", "video", "pdf"."""
    n_tokens: int = 0
    """Estimated tokens of its text."""
    native_json: bool = False
    """Whether a `response_format` prescribes replies in JSON text."""

    @classmethod
    def of(cls, messages: Iterable[BaseMessage], *, native_json: bool) -> "Needs":
        """The needs of a prompt."""
        kinds: set[str] = set()
        n_characters = 0
        for message in messages:
            n_characters += len(message.text)
            if isinstance(message.content, list):
                kinds.update(_kinds_of(message.content))
        return cls(
            kinds=frozenset(kinds), n_tokens=n_characters // _CHARACTERS_PER_TOKEN, native_json=native_json
        )

    def lacking_in(self, profile: ModelProfile) -> str | None:
        """The reason why a model of this profile cannot be called; None where it can, or does not say."""
        stated: Mapping[str, Any] = dict(profile)
        for kind in sorted(self.kinds):
            if stated.get(_INPUTS[kind]) is False:
                return _REASONS[kind]
        if self.native_json and stated.get("structured_output") is False:
            return "has no native JSON"
        window = stated.get("max_input_tokens")
        if window is not None and self.n_tokens > window:
            return f"reads {window} tokens, and the prompt has about {self.n_tokens}"
        return None


def member_profiles(models: ModelRegistry) -> dict[str, tuple[ModelProfile, ...]]:
    """Returns the profiles of each member's chat models, such as a model and its fallbacks."""
    profiles = {}
    for name, member in models.items():
        profiles[name] = tuple(raw.profile or {} for raw in raw_models(member.model))
    return profiles


def unable_members(profiles: Mapping[str, Sequence[ModelProfile]], needs: Needs) -> dict[str, str]:
    """Returns the members none of whose chat models can be called, with the reason.

    A capability that a profile does not state counts as there.
    """
    unable: dict[str, str] = {}
    for name, of_member in profiles.items():
        reasons = [needs.lacking_in(profile) for profile in of_member]
        if reasons and reasons[0] is not None and None not in reasons:
            unable[name] = reasons[0]
    return unable


def _kinds_of(content: Iterable[str | dict[str, Any]]) -> set[str]:
    kinds = set()
    for block in content:
        if not isinstance(block, dict):
            continue
        kind = _BLOCKS.get(str(block.get("type")))
        if kind is None:
            kind = _kind_of_mime_type(block)
        if kind is not None:
            kinds.add(kind)
    return kinds


def _kind_of_mime_type(block: Mapping[str, Any]) -> str | None:
    mime_type = _mime_type_of(block)
    if mime_type == "application/pdf":
        return "pdf"
    family = mime_type.partition("/")[0]
    if family in _INPUTS:
        return family
    return None


def _mime_type_of(block: Mapping[str, Any]) -> str:
    """MIME type of a block by LangChain, Anthropic ("source") or OpenAI ("file"); empty where it has none."""
    for holder in (block, block.get("source"), block.get("file")):
        if not isinstance(holder, Mapping):
            continue
        data, name = str(holder.get("file_data", "")), str(holder.get("filename", ""))
        found = holder.get("mime_type") or holder.get("media_type")
        if not found and data.startswith("data:"):
            found = data.removeprefix("data:").partition(";")[0]
        found = found or guess_type(name)[0]
        if found:
            return str(found)
    return ""
