"""Token counts of prompts over the members of a pool, without downloads or calls."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, get_buffer_string
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.utils.function_calling import convert_to_openai_tool
from typing_extensions import override

# As langchain-core's approximate counter.
_CHARS_PER_TOKEN = 4.0


class TokenCounter(BaseChatModel):
    """A chat model over others that counts the most tokens a prompt has for one of them.

    A model with `custom_get_token_ids` counts with it; this one's own replaces those of the members. The
    others are approximated, because their own methods may download a tokenizer or call the provider.
    """

    @property
    @abstractmethod
    def _members(self) -> list[BaseChatModel]:
        """The chat models of all members."""

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text by `custom_get_token_ids`.

        Raises:
            NotImplementedError: If there is none.
        """
        if self.custom_get_token_ids is None:
            raise NotImplementedError(
                "The members have tokenizers of their own. Pass custom_get_token_ids, or count tokens with "
                "get_num_tokens."
            )
        return self.custom_get_token_ids(text)

    @override
    def get_num_tokens(self, text: str) -> int:
        """Most tokens that the text has for a member."""
        approximate = math.ceil(len(text) / _CHARS_PER_TOKEN)
        return self._most_tokens(text, approximate)

    @override
    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Most tokens that the messages, and tools passed along with them, have for a member."""
        schemas: list[Any] = list(map(convert_to_openai_tool, tools or ()))
        approximate = count_tokens_approximately(messages, tools=schemas)
        return self._most_tokens(get_buffer_string(messages), approximate)

    def _most_tokens(self, text: str, approximate: int) -> int:
        models: list[BaseChatModel] = [self]
        if self.custom_get_token_ids is None:
            models = self._members
        counts = [0]
        for model in models:
            tokenize = model.custom_get_token_ids
            if tokenize is None:
                counts.append(approximate)
            else:
                counts.append(len(tokenize(text)))
        return max(counts)
