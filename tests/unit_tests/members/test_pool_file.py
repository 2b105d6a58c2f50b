import sys
import types

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import ModelRegistry
from langchain_selectllm.exceptions import MissingDependencyError, PoolFileError
from langchain_selectllm.members.pool_file import read_pool_file

WHOLE = """
members:
  small: {model: "openai:gpt-4o-mini", base_url: "http://127.0.0.1:8000/v1", temperature: 0.7, max_tokens: 750, system_prompt: "Think step by step.",
          timeout_s: 30, max_concurrency: 16, requests_per_second: 50, price_input_usd_per_million: 0.15, price_output_usd_per_million: 0.60}
  tiny:  {model: "embedded:arithmetic"}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "pool.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def embedded(monkeypatch):
    """Stands for the embedded pool: what it was asked to load."""
    loaded = []

    def load_embedded(name, **settings):
        loaded.append((name, settings))
        return RunnableLambda(lambda prompt: prompt)

    module = types.ModuleType("langchain_selectllm.embedded")
    module.load_embedded = load_embedded
    monkeypatch.setitem(sys.modules, "langchain_selectllm.embedded", module)
    return loaded


def test_members_stand_in_the_order_of_the_file_with_everything_but_the_model_optional(write):
    members = read_pool_file(write(WHOLE)).members
    assert list(members) == ["small", "tiny"]
    small, tiny = members.values()
    assert (small.timeout_s, small.max_concurrency, small.requests_per_second) == (30, 16, 50)
    assert small.price_output_usd_per_million == 0.6
    assert (tiny.temperature, tiny.max_tokens, tiny.base_url, tiny.requests_per_second) == (
        None,
        None,
        None,
        None,
    )


def test_what_decides_the_replies_is_not_where_or_how_fast_they_are_asked_for(write):
    small, tiny = read_pool_file(write(WHOLE)).members.values()
    assert small.parameters == {
        "model": "openai:gpt-4o-mini",
        "temperature": 0.7,
        "max_tokens": 750,
        "system_prompt": "Think step by step.",
    }
    assert tiny.parameters == {"model": "embedded:arithmetic"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pool.yaml:1: the file holds no mapping"),
        ("- a\n", "pool.yaml:1: the file holds no mapping"),
        ("members:\n  a: {model: x\n", "pool.yaml:3: not valid YAML"),
        ("members: {}\n", "pool.yaml:1: members; .* at least 1 item"),
        ("members:\n  a:\n    temperature: 1\n", "pool.yaml:2: members.a.model is missing. It is required"),
        (
            "members:\n  a: {model: x}\n  b:\n    model: y\n    temperatur: 1\n",
            "pool.yaml:5: members.b.temperatur is unknown. Use model,",
        ),
        (
            "members:\n  a:\n    model: x\n    temperature: -1\n",
            "pool.yaml:4: members.a.temperature is -1; should be greater than",
        ),
        (
            "members:\n  a:\n    model: x\n\n    max_tokens: many\n",
            "pool.yaml:5: members.a.max_tokens is 'many'; should be a valid integer",
        ),
        ("members:\n  a: {model: x}\n  a: {model: y}\n", "pool.yaml:3: 'a' stands twice"),
        ("members:\n  a: openai:gpt-4o\n", "pool.yaml:2: members.a holds no settings. Give it a model"),
        ("members:\n  a: {model: x}\nmember: 1\n", "pool.yaml:3: member is unknown. Use members"),
        (
            "members:\n  a: {model: x, base_url: 'ftp://host'}\n",
            "pool.yaml:2: members.a.base_url .* should start with http",
        ),
        ("members:\n  ' a': {model: x}\n", "pool.yaml:1: members; every member needs a printable name"),
        ("members:\n  a: &loop {model: x, more: *loop}\n", "pool.yaml:2: members.a.more is unknown"),
        (
            "members: !!python/object/apply:os.system ['true']\n",
            "pool.yaml:1: not valid YAML .could not determine a constructor",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_the_line(write, text, message):
    with pytest.raises(PoolFileError, match=message):
        read_pool_file(write(text))


@pytest.mark.parametrize(
    "entry",
    [
        "api_key: hunter2hunter2",
        "openai_api_key: hunter2hunter2",
        "token: hunter2hunter2",
        "Authorization: hunter2hunter2",
        "system_prompt: 'sk-proj-hunter2hunter2hunter2hunter2'",
        "base_url: 'https://me:hunter2hunter2@host/v1'",
        "base_url: 'https://host/v1?key=hunter2hunter2'",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(write, entry):
    with pytest.raises(
        PoolFileError, match=r"pool.yaml:4: .*API keys are read from the environment only"
    ) as refused:
        read_pool_file(write(f"members:\n  a:\n    model: x\n    {entry}\n"))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PoolFileError, match="nowhere.yaml cannot be read"):
        read_pool_file(tmp_path / "nowhere.yaml")


def test_only_a_collection_switches_the_retries_of_the_providers_client_off(write, monkeypatch):
    from langchain_selectllm.collection.inputs import read_pool

    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    path = write("members:\n  small: {model: 'openai:gpt-4o-mini'}\n")
    assert ModelRegistry.from_file(path)["small"].model.max_retries == 2
    assert read_pool(path)[0].registered.model.max_retries == 0


def test_the_registry_comes_from_the_same_file(write, monkeypatch, embedded):
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    registry = ModelRegistry.from_file(write(WHOLE))
    assert list(registry) == ["small", "tiny"]
    assert registry["small"].price_input_usd_per_million == 0.15
    # The chat model behind the system prompt.
    model = registry["small"].model.last
    assert (model.model_name, model.temperature, model.max_tokens, model.request_timeout) == (
        "gpt-4o-mini",
        0.7,
        750,
        30,
    )
    assert (model.openai_api_base, model.max_retries) == ("http://127.0.0.1:8000/v1", 2)
    assert embedded == [("arithmetic", {})]


def test_the_system_prompt_stands_before_every_kind_of_prompt(write, embedded):
    text = "members: {a: {model: 'embedded:echo', system_prompt: Be brief., temperature: 0.3, max_tokens: 9}}"
    model = ModelRegistry.from_file(write(text))["a"].model
    assert model.invoke("hello") == [SystemMessage("Be brief."), HumanMessage("hello")]
    assert model.invoke([("human", "hello")]) == [SystemMessage("Be brief."), HumanMessage("hello")]
    assert embedded == [("echo", {"temperature": 0.3, "max_tokens": 9})]


def test_a_provider_that_lacks_its_key_or_its_package_is_a_clear_error(write, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(
        PoolFileError, match=r"Member 'a' \(openai:x\) cannot be set up: .* key is in the environment"
    ):
        ModelRegistry.from_file(write("members: {a: {model: 'openai:x'}}"))
    with pytest.raises(
        PoolFileError, match=r"Member 'a' \(nobody:x\) cannot be set up: Unable to infer model provider"
    ):
        ModelRegistry.from_file(write("members: {a: {model: 'nobody:x'}}"))
    with pytest.raises(MissingDependencyError, match=r"Member 'a' \(mistralai:x\): .*langchain-mistralai"):
        ModelRegistry.from_file(write("members: {a: {model: 'mistralai:x'}}"))
