"""Every path on which a router can be called: how each is called, and what of it can be streamed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from llama_index.core.base.llms.types import ChatMessage

from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from langchain_selectllm.integrations.llama_index import SelectLLM
from tests.support.tool_models import ToolModel
from tests.support.tools import Sum

PROMPT = "Add 3 and 4."
MESSAGES = {"messages": [HumanMessage(PROMPT)]}


@dataclass(frozen=True)
class Path:
    """One way of calling a router."""

    group: str
    """What stands around it: "SelectLLMRouter", "ChatSelectLLM", "SelectLLMMiddleware" or "SelectLLM"."""
    name: str
    """As a reader would write it."""
    start: Callable[[Any, Any], Any]
    """(router, config) -> a result, a coroutine, or an iterator of texts of either kind."""
    asynchronous: bool
    streams: bool = False
    structured: bool = False

    @property
    def id(self):
        return f"{self.group}: {self.name}"


def router_itself(router):
    return router


def its_chat_model(router):
    return router.as_chat_model()


def chain(model):
    return ChatPromptTemplate.from_messages([("human", "{q}")]) | model | StrOutputParser()


def graph(model):
    def ask(state: MessagesState):
        return {"messages": [model.invoke(state["messages"])]}

    async def aask(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}

    built = StateGraph(MessagesState)
    built.add_node("model", RunnableLambda(ask, aask))
    built.add_edge(START, "model")
    return built.compile()


def middleware_agent(router, **settings):
    never = ToolModel(model="never", error=AssertionError("the agent's own model was called"))
    return create_agent(never, [], middleware=[SelectLLMMiddleware(router)], **settings)


def text_of(chunk):
    return chunk if isinstance(chunk, str) else chunk.text


def texts(stream):
    return (text_of(chunk) for chunk in stream)


async def atexts(stream):
    async for chunk in stream:
        yield text_of(chunk)


async def events_v2(model, config):
    async for event in model.astream_events(PROMPT, config, version="v2"):
        if event["event"] in {"on_chain_stream", "on_chat_model_stream"} and not event["parent_ids"]:
            yield text_of(event["data"]["chunk"])


def events_v3(model, config):
    yield from model.stream_events(PROMPT, config, version="v3").text


async def aevents_v3(model, config):
    # Left by its `async with`, the stream ends the task that feeds it.
    async with await model.astream_events(PROMPT, config, version="v3") as stream:
        async for text in stream.text:
            yield text


def messages_of(runnable, config):
    for message, _ in runnable.stream(MESSAGES, config, stream_mode="messages"):
        if isinstance(message, AIMessage):
            yield message.text


async def amessages_of(runnable, config):
    async for message, _ in runnable.astream(MESSAGES, config, stream_mode="messages"):
        if isinstance(message, AIMessage):
            yield message.text


def of_runnables(group, made):
    """The paths of anything that is a Runnable, alone and in a chain.

    `with_retry` and `with_fallbacks` are LangChain's own compositions of these calls.
    """
    yield from of_modes(group, "", made, PROMPT)
    yield from of_modes(group, "chain.", lambda router: chain(made(router)), {"q": PROMPT})
    yield from of_events_and_objects(group, made)


def of_modes(group, name, build, given):
    """The six ways to call a Runnable."""

    def path(mode, start, *, asynchronous, streams=False):
        return Path(group, f"{name}{mode}", start, asynchronous=asynchronous, streams=streams)

    yield path("invoke", lambda r, c: build(r).invoke(given, c), asynchronous=False)
    yield path("ainvoke", lambda r, c: build(r).ainvoke(given, c), asynchronous=True)
    yield path("batch", lambda r, c: build(r).batch([given], c), asynchronous=False)
    yield path("abatch", lambda r, c: build(r).abatch([given], c), asynchronous=True)
    yield path("stream", lambda r, c: texts(build(r).stream(given, c)), asynchronous=False, streams=True)
    yield path("astream", lambda r, c: atexts(build(r).astream(given, c)), asynchronous=True, streams=True)


def of_events_and_objects(group, made):
    """Events of version v2, and structured output."""
    yield Path(
        group,
        'astream_events(version="v2")',
        lambda r, c: events_v2(made(r), c),
        asynchronous=True,
        streams=True,
    )

    def structured(router):
        return made(router).with_structured_output(Sum)

    name = "with_structured_output()."
    yield Path(
        group,
        f"{name}invoke",
        lambda r, c: structured(r).invoke(PROMPT, c),
        asynchronous=False,
        structured=True,
    )
    yield Path(
        group,
        f"{name}ainvoke",
        lambda r, c: structured(r).ainvoke(PROMPT, c),
        asynchronous=True,
        structured=True,
    )


def of_graphs(group, name, made):
    """The paths of anything that is a LangGraph graph."""
    yield Path(group, f"{name}: invoke", lambda r, c: made(r).invoke(MESSAGES, c), asynchronous=False)
    yield Path(group, f"{name}: ainvoke", lambda r, c: made(r).ainvoke(MESSAGES, c), asynchronous=True)
    streamed = f'{name}: stream(stream_mode="messages")'
    yield Path(group, streamed, lambda r, c: messages_of(made(r), c), asynchronous=False, streams=True)
    streamed = f'{name}: astream(stream_mode="messages")'
    yield Path(group, streamed, lambda r, c: amessages_of(made(r), c), asynchronous=True, streams=True)


def of_objects(group, made):
    """The paths of an agent's structured response by the strategy that LangChain chooses."""
    name = "create_agent(response_format=…)"
    yield Path(
        group,
        f"{name}: invoke",
        lambda r, c: made(r).invoke(MESSAGES, c),
        asynchronous=False,
        structured=True,
    )
    yield Path(
        group,
        f"{name}: ainvoke",
        lambda r, c: made(r).ainvoke(MESSAGES, c),
        asynchronous=True,
        structured=True,
    )


def of_llama_index():
    """The paths of the LlamaIndex LLM."""
    group, asked = "SelectLLM (LlamaIndex)", [ChatMessage(PROMPT)]

    async def adeltas(stream):
        async for response in await stream:
            yield response.delta

    for name, given in (("chat", asked), ("complete", PROMPT)):

        def method(router, prefix, name=name):
            return getattr(SelectLLM(router=router), f"{prefix}{name}")

        yield Path(group, name, lambda r, _, m=method, g=given: m(r, "")(g), asynchronous=False)
        yield Path(group, f"a{name}", lambda r, _, m=method, g=given: m(r, "a")(g), asynchronous=True)
        yield Path(
            group,
            f"stream_{name}",
            lambda r, _, m=method, g=given: (response.delta for response in m(r, "stream_")(g)),
            asynchronous=False,
            streams=True,
        )
        yield Path(
            group,
            f"astream_{name}",
            lambda r, _, m=method, g=given: adeltas(m(r, "astream_")(g)),
            asynchronous=True,
            streams=True,
        )


def all_paths():
    """Every path, in the order of the page."""
    for group, made in (("SelectLLMRouter", router_itself), ("ChatSelectLLM", its_chat_model)):
        yield from of_runnables(group, made)
        yield from of_graphs(group, "create_agent", lambda r, m=made: create_agent(m(r), []))
        yield from of_objects(group, lambda r, m=made: create_agent(m(r), [], response_format=Sum))
        yield from of_graphs(group, "LangGraph node", lambda r, m=made: graph(m(r)))
    chat = "ChatSelectLLM"
    yield Path(
        chat, 'stream_events(version="v3")', lambda r, c: events_v3(its_chat_model(r), c), False, streams=True
    )
    yield Path(
        chat,
        'async with await astream_events(version="v3")',
        lambda r, c: aevents_v3(its_chat_model(r), c),
        True,
        streams=True,
    )
    yield from of_graphs("SelectLLMMiddleware", "create_agent", middleware_agent)
    yield from of_objects("SelectLLMMiddleware", lambda r: middleware_agent(r, response_format=Sum))
    yield from of_llama_index()


PATHS = list(all_paths())
