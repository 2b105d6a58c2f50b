import subprocess
import sys

import pytest

import langchain_selectllm

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "sklearn",
    "scipy",
    "pandas",
    "sqlalchemy",
    "jsonschema",
)


def modules_after(code):
    script = (
        f"import sys, json\n{code}\nprint(','.join(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.strip().split(","))


def test_importing_the_package_loads_nothing_heavy():
    assert not modules_after("import langchain_selectllm") & {*HEAVY, "langchain_core", "numpy"}


def test_a_router_loads_no_embedded_model():
    code = "import sys\nfrom langchain_selectllm import SelectLLMRouter\n"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}print(*sys.modules)"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "langchain_selectllm.embedded.names" in loaded
    assert "langchain_selectllm.embedded.chat_model" not in loaded


@pytest.mark.parametrize(
    "unused",
    [
        "answers.choice",
        "answers.json_value",
        "answers.number",
        "answers.token_probabilities",
        "answers.tool_calls",
        "classifier.artefact",
        "classifier.card",
        "classifier.logistic",
        "encoders.fine_tuned",
        "encoders.hidden_states",
        "encoders.lexical",
        "encoders.sentence",
        "fanout.member_calls",
        "fanout.parallel",
        "members.pool_file",
        "outcomes",
        "routing.candidate_vote",
        "routing.chat_model",
        "routing.configurable",
        "routing.election",
        "routing.engine",
        "routing.judge",
        "routing.object_election",
        "routing.request",
        "routing.settings",
        "routing.structured_output",
        "selection.operating_points",
        "selection.policy_names",
        "voting.grounding",
        "voting.learned_vote",
        "voting.token_signals",
    ],
)
def test_importing_the_router_leaves_out_what_comes_with_its_first_use(unused, modules_of_the_router):
    assert f"langchain_selectllm.{unused}" not in modules_of_the_router


@pytest.fixture(scope="module")
def modules_of_the_router():
    code = "import sys; from langchain_selectllm import SelectLLMRouter; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_an_encoder_comes_without_the_others():
    code = (
        "import sys; from langchain_selectllm.encoders import get_encoder\n"
        "get_encoder('lexical'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "langchain_selectllm.encoders.lexical" in loaded.split()
    assert "langchain_selectllm.encoders.sentence" not in loaded.split()


def test_importing_every_public_name_loads_nothing_heavy():
    assert not modules_after("from langchain_selectllm import *") & set(HEAVY)


def test_serving_a_saved_lexical_router_needs_no_sklearn(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    code = (
        "from langchain_selectllm import SelectLLMClassifier\n"
        f"SelectLLMClassifier.from_pretrained({str(tmp_path / 'router')!r}).predict_proba(['What is 2 + 2?'])"
    )
    assert not modules_after(code) & set(HEAVY)


def test_public_names_are_sorted_and_exist():
    assert langchain_selectllm.__all__ == sorted(langchain_selectllm.__all__)
    assert all(hasattr(langchain_selectllm, name) for name in langchain_selectllm.__all__)
    assert set(langchain_selectllm.__all__) == set(langchain_selectllm._HOMES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        langchain_selectllm.Nonsense  # noqa: B018
