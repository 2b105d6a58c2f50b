"""LlamaIndex LLMs as members of a LangChain router, and messages on the way from one framework to the other."""

import asyncio
import base64
import json

import pytest

pytest.importorskip("llama_index.core")

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import ChatMessage as RoleMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import MockLLM

from langchain_selectllm import SelectLLMRouter
from langchain_selectllm.integrations.llama_index import LlamaIndexChatModel
from langchain_selectllm.integrations.llama_index.messages import to_langchain, to_llama_index
from tests.support.llamas import FIELDS, LETTERS, PlainLlama, ScriptedLlama, add, llamas, make, user


def test_a_llama_index_llm_is_a_member_of_a_langchain_router(fitted):
    models = {name: LlamaIndexChatModel(llm=llm) for name, llm in llamas(LETTERS).items()}
    counter = UsageMetadataCallbackHandler()
    router = SelectLLMRouter(classifier=fitted, models=models, **FIELDS)
    message = router.invoke("x", {"callbacks": [counter]})
    assert message.text == "The answer is (A)."
    assert {name: usage["total_tokens"] for name, usage in counter.usage_metadata.items()} == dict.fromkeys(
        LETTERS, 14
    )


def test_a_llama_index_llm_streams_its_own_pieces():
    model = LlamaIndexChatModel(llm=ScriptedLlama("one two three", model="m"))

    async def stream():
        return [chunk async for chunk in model.astream("x")]

    for chunks in (list(model.stream("x")), asyncio.run(stream())):
        assert [chunk.text for chunk in chunks] == ["one", " two", " three", ""]
        whole = sum(chunks[1:], chunks[0])
        assert whole.usage_metadata == {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
        assert whole.response_metadata["model_name"] == "m"


def test_langchain_tools_are_offered_to_a_llama_index_llm():
    llm = ScriptedLlama([("add", {"a": 1, "b": 2})], model="m")
    model = LlamaIndexChatModel(llm=llm).bind_tools([add], tool_choice="any")
    assert [(c["name"], c["args"]) for c in model.invoke("x").tool_calls] == [("add", {"a": 1, "b": 2})]
    whole = sum(list(model.stream("x"))[1:], next(iter(model.stream("x"))))
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("add", {"a": 1, "b": 2})]
    offered = llm.asked[0]["tools"][0]["function"]
    assert (offered["name"], set(offered["parameters"]["properties"])) == ("add", {"a", "b"})
    assert llm.asked[0]["required"]


@pytest.mark.parametrize("choice", ["add", {"type": "function", "function": {"name": "add"}}])
def test_a_tool_may_be_asked_for_in_openais_words(choice):
    llm = ScriptedLlama([("add", {"a": 1, "b": 2})], model="m")
    LlamaIndexChatModel(llm=llm).bind_tools([add], tool_choice=choice).invoke("x")
    assert (llm.asked[0]["tool_choice"], llm.asked[0]["required"]) == ("add", False)


@pytest.mark.parametrize(
    ("choice", "required"), [(True, True), ("required", True), (False, False), ("auto", False)]
)
def test_choices_that_name_no_tool(choice, required):
    llm = ScriptedLlama([("add", {"a": 1, "b": 2})], model="m")
    LlamaIndexChatModel(llm=llm).bind_tools([add], tool_choice=choice).invoke("x")
    assert (llm.asked[0]["required"], llm.asked[0].get("tool_choice")) == (required, None)


def test_an_llm_without_functions_refuses_tools():
    with pytest.raises(NotImplementedError, match=r"'plain' \(custom_llm\) cannot call functions"):
        LlamaIndexChatModel(llm=PlainLlama()).bind_tools([add])


def test_stop_words_reach_the_llm():
    llm = ScriptedLlama()
    LlamaIndexChatModel(llm=llm).invoke("x", stop=["END"])
    assert llm.asked[0]["stop"] == ["END"]


def test_a_reply_without_counts_has_no_usage():
    assert LlamaIndexChatModel(llm=MockLLM()).invoke("x").usage_metadata is None


def test_two_llms_of_other_settings_share_no_cache_entry():
    one, two = (LlamaIndexChatModel(llm=PlainLlama(reply=reply)) for reply in "ab")
    assert one._identifying_params != two._identifying_params


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(role="system", content="s"),
        ChatMessage(role="user", content="u"),
        ChatMessage(role="assistant", content="a"),
        ChatMessage(role="user", blocks=[TextBlock(text="a"), TextBlock(text="b")]),
        ChatMessage(
            role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1})]
        ),
        ChatMessage(role="tool", content="7", additional_kwargs={"tool_call_id": "1"}),
        ChatMessage(
            role="user", blocks=[ImageBlock(image=PNG, image_mimetype="image/png"), TextBlock(text="what?")]
        ),
        ChatMessage(role="user", blocks=[ImageBlock(url="https://example.org/x.png")]),
        ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFFxx", format="wav")]),
        ChatMessage(
            role="user",
            blocks=[DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf", title="x.pdf")],
        ),
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="hm", additional_information={"signature": "s"}),
                TextBlock(text="a"),
            ],
        ),
        ChatMessage(
            role="user",
            blocks=[TextBlock(text="a"), CachePoint(cache_control=CacheControl(type="ephemeral"))],
        ),
    ],
    ids=lambda message: "+".join([message.role.value, *(block.block_type for block in message.blocks)]),
)
def test_messages_come_back_as_they_went(message):
    there = to_langchain(message)
    assert to_llama_index(there) == message
    json.dumps(there.model_dump())


def test_langchain_sees_only_what_it_has_words_for():
    thought = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="a")])
    assert to_langchain(thought).content == "a"
    picture = to_langchain(
        ChatMessage(role="user", blocks=[ImageBlock(image=PNG, image_mimetype="image/png")])
    )
    assert picture.content == [
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
    ]


def test_thinking_of_the_winner_is_kept(fitted):
    blocks = [
        ThinkingBlock(content="hm", additional_information={"signature": "s"}),
        TextBlock(text="The answer is (A)."),
    ]
    response = make(fitted, {name: ScriptedLlama(blocks) for name in LETTERS}).chat(user("x"))
    assert response.message.blocks == blocks


def test_arguments_as_json_text_are_read():
    message = ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_name="add", tool_kwargs='{"a": 1}', tool_call_id="1")]
    )
    assert to_langchain(message).tool_calls[0]["args"] == {"a": 1}


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (RoleMessage("x", role="judge"), "no counterpart for a ChatMessage"),
        (
            HumanMessage([{"type": "video", "url": "https://example.org/x.mp4"}]),
            "no counterpart for a 'video' block",
        ),
    ],
)
def test_what_llama_index_has_no_word_for_is_refused(message, complaint):
    with pytest.raises(ValueError, match=complaint):
        to_llama_index(message)


def test_langchain_conversations_are_understood():
    said = [SystemMessage("s"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="1")]
    assert [(m.role.value, m.content) for m in map(to_llama_index, said)] == [
        ("system", "s"),
        ("user", "h"),
        ("assistant", "a"),
        ("tool", "t"),
    ]
