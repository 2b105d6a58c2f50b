"""The question inside a prompt of a query engine, on which a call is routed."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, TypeVar, cast

from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts import BasePromptTemplate
from pydantic import BaseModel
from typing_extensions import override

from langchain_selectllm.fanout.member_calls import iterate_in_context, iterate_in_context_async

_Method = TypeVar("_Method", bound=Callable[..., Any])

_question: ContextVar[str | None] = ContextVar("selectllm_question", default=None)


def current_question() -> str | None:
    """Question of the prompt template that is being answered; None without a template or a question."""
    return _question.get()


def on_question(method: _Method) -> _Method:
    """The method of an LLM that answers a prompt template, called with the template's question at hand."""

    # `wraps` copies the mark of methods that have a span, so that there is no second one.
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _asking(args, kwargs):
            return method(self, *args, **kwargs)

    return cast("_Method", call)


def on_question_async(method: _Method) -> _Method:
    """The coroutine form of `on_question`."""

    @wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _asking(args, kwargs):
            return await method(self, *args, **kwargs)

    return cast("_Method", call)


def on_question_stream(method: _Method) -> _Method:
    """The form of `on_question` for generators, whose steps run when they are read."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        with _asking(args, kwargs):
            context = copy_context()
        return iterate_in_context(context, context.run(method, self, *args, **kwargs))

    return cast("_Method", call)


def on_question_stream_async(method: _Method) -> _Method:
    """The form of `on_question` for coroutines that return an asynchronous generator."""

    @wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        with _asking(args, kwargs):
            context = copy_context()
            pieces = await method(self, *args, **kwargs)
        return iterate_in_context_async(context, pieces)

    return cast("_Method", call)


class QuestionStructuredLLM(StructuredLLM):
    """The form of `QuestionLLM` with an output class; it hands finished messages to the LLM inside."""

    predict = on_question(StructuredLLM.predict)
    apredict = on_question_async(StructuredLLM.apredict)
    stream = on_question_stream(StructuredLLM.stream)
    astream = on_question_stream_async(StructuredLLM.astream)


class QuestionLLM(FunctionCallingLLM):
    """An LLM whose methods for prompt templates are called with the template's question at hand."""

    @override
    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> StructuredLLM:
        """The LLM whose replies are objects of a class, routed on the question too."""
        return QuestionStructuredLLM(llm=self, output_cls=output_cls, **kwargs)

    predict = on_question(FunctionCallingLLM.predict)
    apredict = on_question_async(FunctionCallingLLM.apredict)
    stream = on_question(FunctionCallingLLM.stream)
    astream = on_question_async(FunctionCallingLLM.astream)
    structured_predict = on_question(FunctionCallingLLM.structured_predict)
    astructured_predict = on_question_async(FunctionCallingLLM.astructured_predict)
    stream_structured_predict = on_question_stream(FunctionCallingLLM.stream_structured_predict)
    astream_structured_predict = on_question_stream_async(FunctionCallingLLM.astream_structured_predict)


@contextmanager
def _asking(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[None]:
    # Finished messages inside an outer call, such as those of a structured LLM, keep its question.
    token = _question.set(_question_of(args, kwargs) or _question.get())
    try:
        yield
    finally:
        _question.reset(token)


def _question_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Returns `query_str`, LlamaIndex's name of the question: an argument, or filled in before."""
    found = kwargs.get("query_str")
    for value in (*args, *kwargs.values()):
        if found is None and isinstance(value, BasePromptTemplate):
            found = value.kwargs.get("query_str")
    if isinstance(found, str):
        return found
    return None
