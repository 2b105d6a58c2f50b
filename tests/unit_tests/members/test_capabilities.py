"""Members whose profiles say that they cannot read a prompt are left out by name."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_selectllm.members.capabilities import Needs
from langchain_selectllm.members.registry import ModelRegistry
from tests.support.message_models import MessageModel
from tests.support.routers import CHOICE, as_facade, call, make_router, metadata_of

IMAGE = {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
REPLY = AIMessage("The answer is (A).")
BLIND = {"image_inputs": False, "max_input_tokens": 1000}


def prompt(*blocks):
    return [HumanMessage([{"type": "text", "text": "What is it?"}, *blocks])]


def make(fitted, profiles, **fields):
    models = {
        name: MessageModel(model=name, message=REPLY, profile=profiles.get(name)) for name in fitted.members
    }
    return make_router(fitted, models, parser=CHOICE, **fields), models


def called(models):
    return {name for name, model in models.items() if model.calls}


@pytest.mark.parametrize("facade", ["router", "chat"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
def test_members_that_read_no_images_are_left_out_by_name(fitted, facade, mode):
    profiles = dict.fromkeys(("calculator", "clockmaker", "generalist"), BLIND)
    router, models = make(fitted, {**profiles, "guesser": {"image_inputs": True}})
    told = metadata_of(call(as_facade(router, facade), prompt(IMAGE), mode))
    # The reader's profile does not say: absent means able.
    assert (called(models), told["calls"], told["failures"]) == ({"guesser", "reader"}, 2, {})
    assert told["left_out"] == dict.fromkeys(profiles, "reads no images")
    assert metadata_of(call(router, "What is it?", mode))["left_out"] == {}


def test_a_selected_member_that_cannot_read_the_prompt_is_replaced(fitted):
    best = make(fitted, {}, policy="single_best")[0].decide("x").selected_members[0]
    router, models = make(fitted, {best: {"audio_inputs": False}}, policy="single_best")
    told = metadata_of(router.invoke(prompt(AUDIO)))
    assert (told["left_out"], told["calls"]) == ({best: "reads no audio"}, 1)
    assert best not in called(models)
    assert router.decide(prompt(AUDIO)).selected_members != (best,)


def test_members_whose_window_is_shorter_than_the_prompt_are_left_out(fitted):
    router, _ = make(fitted, {"reader": {"max_input_tokens": 10}})
    told = metadata_of(router.invoke("word " * 500))
    # 2,500 characters are about 625 tokens.
    assert told["left_out"] == {"reader": "reads 10 tokens, and the prompt has about 625"}


def test_members_without_native_json_are_left_out_where_it_is_prescribed(fitted):
    router, _ = make(fitted, {"reader": {"structured_output": False}})
    message = router.invoke("x", response_format={"type": "json_object"})
    assert metadata_of(message)["left_out"] == {"reader": "has no native JSON"}
    assert metadata_of(router.invoke("x"))["left_out"] == {}


def test_where_no_member_can_by_its_profile_all_are_called(fitted):
    router, models = make(fitted, dict.fromkeys(fitted.members, BLIND))
    assert metadata_of(router.invoke(prompt(IMAGE)))["left_out"] == {}
    assert len(called(models)) == 5


def test_a_member_with_a_fallback_that_can_is_called(fitted):
    blind, seeing = (
        MessageModel(message=REPLY, profile=profile) for profile in (BLIND, {"image_inputs": True})
    )
    router, models = make(fitted, {})
    models = ModelRegistry(
        {**models, "reader": blind.with_fallbacks([seeing]), "guesser": blind.bind(stop=["x"])}
    )
    router = make_router(fitted, models)
    assert metadata_of(router.invoke(prompt(IMAGE)))["left_out"] == {"guesser": "reads no images"}


@pytest.mark.parametrize(
    ("block", "kinds"),
    [
        (IMAGE, {"image"}),
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, {"image"}),
        (AUDIO, {"audio"}),
        ({"type": "video", "url": "https://example.org/a.mp4"}, {"video"}),
        ({"type": "file", "mime_type": "application/pdf", "base64": "aGk="}, {"pdf"}),
        ({"type": "media", "mime_type": "audio/wav", "data": "aGk="}, {"audio"}),
        # OpenAI's chat completions, its responses, and Anthropic.
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}, {"pdf"}),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "aGk="}, {"pdf"}),
        ({"type": "document", "source": {"media_type": "application/pdf", "data": "aGk="}}, {"pdf"}),
        ({"type": "document", "source": {"media_type": "text/plain", "data": "hi"}}, set()),
        ({"type": "file", "file": {"file_id": "file-1"}}, set()),
        ({"type": "file", "mime_type": "text/plain", "text": "hi"}, set()),
        ({"type": "text", "text": "hi"}, set()),
    ],
)
def test_the_kinds_of_blocks_are_known_by_type_or_mime_type(block, kinds):
    assert Needs.of([SystemMessage("x"), HumanMessage(["text", block])], native_json=False).kinds == kinds
