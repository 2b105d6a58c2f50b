"""Embedded language models as LangChain chat models."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typing_extensions import override

from langchain_selectllm.embedded.sampler import Sampled, shared_sampler
from langchain_selectllm.prompts import last_human_text


class EmbeddedChatModel(BaseChatModel):
    """Chat model over a small causal language model of the package: real weights, on the CPU, no network.

    It reads the last human message alone, and knows short tasks only (see
    `langchain_selectllm.embedded.task_generator`). The weights are loaded by the first call and shared by all
    chat models over the same folder.
    """

    model: str
    """Name of the member, reported as the model's name."""
    folder: Path
    """Folder with the weights and the tokenizer."""
    temperature: float = 0.7
    """Temperature of the sampling; 0 takes the most probable token every time."""
    max_tokens: int = 64
    """Tokens per reply, at most."""
    seed: int | None = None
    """Seed of the sampling: equal seeds and prompts give equal replies; fresh randomness when None."""

    logprobs: bool = False
    """Whether replies carry the log-probabilities of their tokens, in the shape of OpenAI's chat completions,
    under `response_metadata["logprobs"]`."""
    top_logprobs: int = 5
    """Most probable tokens per place that are listed with them."""

    def sample(self, prompts: Sequence[str], n: int = 1) -> list[list[AIMessage]]:
        """Returns several replies to each prompt, sampled in large batches: much faster than single calls.

        Args:
            prompts: Prompts as plain strings.
            n: Replies per prompt.

        Raises:
            EmbeddedModelError: If a prompt is too long.
        """
        sampled = shared_sampler(self.folder).sample(prompts, n=n, **self._settings({}))
        return [list(map(self._message, replies)) for replies in sampled]

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings = self._settings(kwargs)
        sampled = shared_sampler(self.folder).sample(
            [last_human_text(messages)], n=kwargs.get("n", 1), stop=stop or (), **settings
        )
        return ChatResult(generations=[ChatGeneration(message=self._message(reply)) for reply in sampled[0]])

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        replies = shared_sampler(self.folder).stream(
            last_human_text(messages), stop=stop or (), **self._settings(kwargs)
        )
        sent = ""
        for reply in replies:
            # What may be the beginning of a stop mark must not be out before the mark is known to be none.
            if not stop and reply.text != sent:
                yield _reported(AIMessageChunk(content=reply.text[len(sent) :]), run_manager)
                sent = reply.text
            if reply.finished:
                break
        whole = self._message(reply)
        yield _reported(
            AIMessageChunk(
                content=whole.text[len(sent) :],
                response_metadata=whole.response_metadata,
                usage_metadata=whole.usage_metadata,
                chunk_position="last",
            ),
            run_manager,
        )

    def _settings(self, overrides: dict[str, Any]) -> dict[str, Any]:
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        settings = {name: overrides.get(name, value) for name, value in own.items()}
        settings["top_logprobs"] = None
        if overrides.get("logprobs", self.logprobs):
            settings["top_logprobs"] = overrides.get("top_logprobs", self.top_logprobs)
        return settings

    def _message(self, reply: Sampled) -> AIMessage:
        finish_reason = "length"
        if reply.finished:
            finish_reason = "stop"
        metadata: dict[str, Any] = {"model_name": self.model, "finish_reason": finish_reason}
        if reply.logprobs is not None:
            metadata["logprobs"] = {"content": list(reply.logprobs), "refusal": None}
        return AIMessage(
            reply.text,
            response_metadata=metadata,
            usage_metadata={
                "input_tokens": reply.input_tokens,
                "output_tokens": reply.output_tokens,
                "total_tokens": reply.input_tokens + reply.output_tokens,
            },
        )

    @property
    def _llm_type(self) -> str:
        return "selectllm-embedded"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "folder": str(self.folder), **self._settings({})}


def _reported(message: AIMessageChunk, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    """Returns the chunk after reporting it to the callbacks."""
    chunk = ChatGenerationChunk(message=message)
    if run_manager is not None:
        run_manager.on_llm_new_token(message.text, chunk=chunk)
    return chunk
