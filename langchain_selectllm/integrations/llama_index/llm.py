"""The router as a LlamaIndex LLM."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import Any, Self

from langchain_core.messages import BaseMessage
from llama_index.core.base.llms.generic_utils import (
    achat_to_completion_decorator,
    astream_chat_to_completion_decorator,
    chat_to_completion_decorator,
    stream_chat_to_completion_decorator,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.core.tools.types import BaseTool
from typing_extensions import override

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.exceptions import ToolSupportError
from langchain_selectllm.fanout.member_calls import iterate_in_context, iterate_in_context_async
from langchain_selectllm.integrations.llama_index.instrumentation import RequestSpans
from langchain_selectllm.integrations.llama_index.member import LlamaIndexChatModel, adapted, smallest
from langchain_selectllm.integrations.llama_index.messages import arguments_of, to_langchain
from langchain_selectllm.integrations.llama_index.question import QuestionLLM, current_question
from langchain_selectllm.integrations.llama_index.responses import appended, calls_of, response_of
from langchain_selectllm.integrations.llama_index.tools import choice_of
from langchain_selectllm.members.registry import ChatModel, Member
from langchain_selectllm.members.tool_binding import raw_models
from langchain_selectllm.prompts import last_human_text
from langchain_selectllm.routing.router import SelectLLMRouter

AnyModel = ChatModel | LLM | Member


class SelectLLM(QuestionLLM):
    """A LlamaIndex LLM over a router: calls the members that are predicted to answer correctly, and votes.

    Members are LlamaIndex LLMs, LangChain chat models, or both. `response.additional_kwargs["selectllm"]` and
    `response.raw["selectllm"]` hold the decision and the vote, as the router's message does; token counts are
    sums over all replies.

    A call is routed on the text of the last user message. The prompt of a query engine holds retrieved text
    too: there the question (`query_str` of the prompt template) is routed on. A router with its own `text_of`
    uses that in every case.
    """

    router: SelectLLMRouter = Field(exclude=True, description="Decides, calls the members, and votes.")
    context_window: int | None = Field(
        default=None, description="Tokens of prompt and reply; the smallest member's when None."
    )
    num_output: int | None = Field(
        default=None, description="Tokens of a reply; the smallest member's when None."
    )

    _calls_functions: bool = PrivateAttr(default=False)

    @override
    def model_post_init(self, context: Any, /) -> None:
        """Find out once whether any member can be offered tools."""
        super().model_post_init(context)
        probe = {
            "type": "function",
            "function": {"name": "probe", "description": "", "parameters": {"type": "object"}},
        }
        with suppress(ToolSupportError):
            self._calls_functions = bool(self.router.with_tools([probe]))

    @classmethod
    def from_models(
        cls, classifier: SelectLLMClassifier, models: Mapping[str, AnyModel], **kwargs: Any
    ) -> Self:
        """The LLM over a fitted classifier and its members.

        Args:
            classifier: Fitted for exactly these members.
            models: LlamaIndex LLMs and LangChain chat models by name, or `Member`s where prices are known.
            kwargs: Any field of `SelectLLMRouter`, such as `policy`, `parser` and `deadline_s`.

        Raises:
            MemberMismatchError: If the models are not the classifier's members.
            PolicyError: If the policy is unknown, or does not fit the pool.
        """
        members = {name: adapted(model) for name, model in models.items()}
        return cls(router=SelectLLMRouter(classifier=classifier, models=members, **kwargs))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        models: Mapping[str, AnyModel],
        *,
        encoder_model: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """The LLM over a saved classifier.

        Args:
            folder: Artefact written by `selectllm train` or `save_pretrained`.
            models: As in `from_models`.
            encoder_model: Model under the encoder; see `SelectLLMClassifier.from_pretrained`.
            kwargs: As in `from_models`.

        Raises:
            ArtefactError: If the folder cannot be trusted or read.
            EncoderError: If the encoder's model cannot be loaded, or has to be named.
            MemberMismatchError: If the models are not the classifier's members.
        """
        classifier = SelectLLMClassifier.from_pretrained(folder, encoder_model=encoder_model)
        return cls.from_models(classifier, models, **kwargs)

    @classmethod
    @override
    def class_name(cls) -> str:
        """Name under which LlamaIndex records it."""
        return "SelectLLM"

    @property
    @override
    def metadata(self) -> LLMMetadata:
        """Context window and output length: the smallest of the members that declare theirs."""
        models = [raw for member in self.router.models.values() for raw in raw_models(member.model)]
        known = [model.llm.metadata for model in models if isinstance(model, LlamaIndexChatModel)]
        profiles = [model.profile or {} for model in models]
        windows = [*(m.context_window for m in known), *(p.get("max_input_tokens") for p in profiles)]
        outputs = [*(m.num_output for m in known), *(p.get("max_output_tokens") for p in profiles)]
        return LLMMetadata(
            context_window=self.context_window or smallest(windows, DEFAULT_CONTEXT_WINDOW),
            num_output=self.num_output or smallest(outputs, DEFAULT_NUM_OUTPUTS),
            is_chat_model=True,
            is_function_calling_model=self._calls_functions,
            model_name=f"selectllm({', '.join(self.router.models)})",
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The winning member's reply.

        Args:
            messages: The conversation; the router's `text_of` says what of it is routed on.
            kwargs: Passed on to every member. `tools` (OpenAI specifications), `tool_choice` and
                `allow_parallel_tool_calls` are understood for every kind of member.

        Raises:
            FanOutError: If every called member failed.
        """
        router, prompt, settings, parallel = self._prepared(messages, kwargs)
        spans = RequestSpans()
        with spans.tagged():
            message = router.invoke(prompt, **settings)
        spans.announce(message)
        return response_of(message, parallel=parallel)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The winning member's reply; see `chat`."""
        router, prompt, settings, parallel = self._prepared(messages, kwargs)
        spans = RequestSpans()
        with spans.tagged():
            message = await router.ainvoke(prompt, **settings)
        spans.announce(message)
        return response_of(message, parallel=parallel)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The winning member's reply in the pieces that the router streams; see `chat`."""
        router, prompt, settings, parallel = self._prepared(messages, kwargs)
        spans = RequestSpans()
        context = spans.context()

        def pieces() -> ChatResponseGen:
            whole: Any = None
            stream = context.run(router.stream, prompt, **settings)
            with spans.closing(), closing(iterate_in_context(context, stream)) as chunks:
                for chunk in chunks:
                    whole = appended(whole, chunk)
                    spans.announce(chunk)
                    yield response_of(whole, parallel=parallel, delta=chunk.text)

        return pieces()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The winning member's reply in the pieces that the router streams; see `chat`."""
        router, prompt, settings, parallel = self._prepared(messages, kwargs)
        spans = RequestSpans()
        context = spans.context()

        async def pieces() -> ChatResponseAsyncGen:
            whole: Any = None
            stream = context.run(router.astream, prompt, **settings)
            with spans.closing():
                async with aclosing(iterate_in_context_async(context, stream)) as chunks:
                    async for chunk in chunks:
                        whole = appended(whole, chunk)
                        spans.announce(chunk)
                        yield response_of(whole, parallel=parallel, delta=chunk.text)

        return pieces()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The winning member's reply to one text."""
        return chat_to_completion_decorator(self.chat)(self._text(prompt, formatted=formatted), **kwargs)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The winning member's reply to one text."""
        return await achat_to_completion_decorator(self.achat)(
            self._text(prompt, formatted=formatted), **kwargs
        )

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The winning member's reply to one text, in the pieces that the router streams."""
        return stream_chat_to_completion_decorator(self.stream_chat)(
            self._text(prompt, formatted=formatted), **kwargs
        )

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """The winning member's reply to one text, in the pieces that the router streams."""
        return await astream_chat_to_completion_decorator(self.astream_chat)(
            self._text(prompt, formatted=formatted), **kwargs
        )

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls that won the vote.

        Raises:
            ValueError: If there is none and `error_on_no_tool_call` is set.
        """
        calls = calls_of(response.message)
        if not calls and error_on_no_tool_call:
            raise ValueError("The winning reply calls no tool. Expected at least one call.")
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=arguments_of(call)
            )
            for call in calls
        ]

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        said = ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
        return {
            "messages": [*(chat_history or []), *([said] if said else [])],
            "tools": [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools],
            "tool_choice": tool_choice or ("required" if tool_required else None),
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def _text(self, prompt: str, *, formatted: bool) -> str:
        return prompt if formatted or self.completion_to_prompt is None else self.completion_to_prompt(prompt)

    def _prepared(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> tuple[SelectLLMRouter, list[BaseMessage], dict[str, Any], bool]:
        """Router, prompt and settings of one call, and whether a reply may hold several tool calls."""
        settings = dict(kwargs)
        tools, choice = settings.pop("tools", None), choice_of(settings.pop("tool_choice", None))
        parallel = settings.pop("allow_parallel_tool_calls", True)
        router, question = self.router, current_question()
        if question is not None and router.text_of is last_human_text:
            router = router.model_copy(update={"text_of": lambda _: question})
        if tools:
            router = router.with_tools(tools, tool_choice=choice)
        return router, [to_langchain(message) for message in messages], settings, parallel
