"""Test double: a chat model that replays recorded replies, so that tests run the code of serving."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr
from typing_extensions import override

from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.prompts import last_human_text


class ReplayChatModel(BaseChatModel):
    """Answers each prompt with the reply recorded for its last human text; no network, no randomness."""

    model: str = "replay"
    """Name of the member, reported as the model's name."""
    replies: Mapping[str, str] = {}
    """Reply by prompt text."""
    default: str | None = None
    """Reply to any other prompt; such a prompt is an error when None."""
    delay_s: float = 0.0
    """Seconds before the reply."""
    error: Exception | None = None
    """Raised instead of a reply."""

    _digest: str = PrivateAttr("")

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        time.sleep(self.delay_s)
        return self._result(messages)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await asyncio.sleep(self.delay_s)
        return self._result(messages)

    def _result(self, messages: list[BaseMessage]) -> ChatResult:
        if self.error is not None:
            raise self.error
        text = last_human_text(messages)
        reply = self.replies.get(text, self.default)
        if reply is None:
            raise LookupError(
                f"{self.model!r} has no recorded reply to {text[:80]!r}. Record one, or set `default`."
            )
        n_input, n_output = sum(len(message.text) for message in messages) // 4, len(reply) // 4
        message = AIMessage(
            reply,
            response_metadata={"model_name": self.model},
            usage_metadata={
                "input_tokens": n_input,
                "output_tokens": n_output,
                "total_tokens": n_input + n_output,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def _llm_type(self) -> str:
        return "selectllm-replay"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # Asked for at every call, and the same for ever.
        self._digest = self._digest or hashlib.sha256(repr(sorted(self.replies.items())).encode()).hexdigest()
        return {"model": self.model, "replies": self._digest, "default": self.default}


def replay_models(outcomes: OutcomeTable) -> dict[str, ReplayChatModel]:
    """One replaying chat model a member, with the first recorded reply to each query."""
    return {
        name: ReplayChatModel(
            model=name,
            replies={
                text: cell[0]
                for text, cell in zip(outcomes.texts, outcomes.replies[:, k], strict=True)
                if cell
            },
        )
        for k, name in enumerate(outcomes.members)
    }
