import json

import numpy as np
import pytest

from langchain_selectllm.encoders import get_encoder, load_encoder
from langchain_selectllm.encoders.fine_tuned import FineTunedEncoder
from langchain_selectllm.encoders.hidden_states import HiddenStateEncoder
from langchain_selectllm.encoders.model_files import check_model_folder
from langchain_selectllm.encoders.sentence import SentenceEncoder
from langchain_selectllm.exceptions import EncoderError

TUNING = {"max_length": 8, "batch_size": 1, "epochs": 1, "learning_rates": [1e-5], "class_weights": False}
ROBERTA = {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"]}


@pytest.fixture
def refuse_questions(monkeypatch):
    """Makes a question on standard input a failure."""

    def asked(*_):
        pytest.fail("standard input was read")

    monkeypatch.setattr("builtins.input", asked)


def model_folder(folder, config=ROBERTA, weights="model.safetensors", **others):
    """A folder that looks like a saved model; its weights are empty."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in others.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    if weights:
        (folder / weights).write_bytes(b"")
    return folder


def crafted(folder, marker):
    """A saved encoder whose configuration names a Python file of its own that leaves a mark when it runs."""
    code = f"open({str(marker)!r}, 'w').close()\nfrom transformers import PretrainedConfig as Config\n"
    model_folder(folder, {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}})
    (folder / "code.py").write_text(code)
    return folder


@pytest.mark.usefixtures("refuse_questions")
@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_encoder("fine-tuned", {"model": "x", "tuning": TUNING}, {}, folder),
        lambda folder: FineTunedEncoder(str(folder))._load_pretrained(str(folder), n_members=1),
        lambda folder: HiddenStateEncoder(str(folder)).fit(["a"], np.ones((1, 1)), np.zeros(1, bool)),
        lambda folder: SentenceEncoder(str(folder)).encode(["a"]),
        lambda folder: get_encoder(str(folder)).encode(["a"]),
    ],
)
def test_code_in_a_model_folder_is_neither_run_nor_asked_about(tmp_path, load):
    marker = tmp_path / "it ran"
    with pytest.raises(EncoderError, match="names Python code of its own"):
        load(crafted(tmp_path / "encoder", marker))
    assert not marker.exists()


@pytest.mark.parametrize("file", ["tokenizer_config", "processor_config"])
def test_code_of_a_tokenizer_is_refused_too(tmp_path, file):
    folder = model_folder(
        tmp_path / "m", **{file: {"nested": [{"auto_map": {"AutoTokenizer": ["code.T", None]}}]}}
    )
    with pytest.raises(EncoderError, match=f"{file}.json names Python code"):
        check_model_folder(folder, model_type=True)


@pytest.mark.parametrize("config", [{"model_type": "mine"}, {}])
def test_an_unknown_architecture_is_refused_before_it_is_loaded(tmp_path, config):
    pytest.importorskip("transformers")
    with pytest.raises(EncoderError, match="is no architecture of transformers"):
        check_model_folder(model_folder(tmp_path / "m", config), model_type=True)


def test_pickled_weights_are_refused(tmp_path):
    folder = model_folder(tmp_path / "m", weights="pytorch_model.bin")
    with pytest.raises(EncoderError, match="no safetensors weights"):
        load_encoder("fine-tuned", {"model": "x", "tuning": TUNING}, {}, folder)


def test_an_adapter_that_names_another_model_is_refused(tmp_path):
    folder = model_folder(tmp_path / "m", adapter_config={"base_model_name_or_path": "/somewhere/else"})
    with pytest.raises(EncoderError, match="adapter of another model"):
        check_model_folder(folder, model_type=True)


def test_modules_of_other_libraries_are_refused(tmp_path):
    folder = model_folder(tmp_path / "m", modules=[{"type": "os.system", "path": ""}])
    with pytest.raises(EncoderError, match=r"names the module 'os.system'"):
        SentenceEncoder(str(folder)).encode(["a"])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("router_config", {"types": {"query": "code.Module"}}),
        ("wordembedding_config", {"tokenizer_class": "code.Tokenizer"}),
        ("config", {"activation_function": "os.abort"}),
    ],
)
def test_modules_that_parts_of_a_model_name_are_checked_too(tmp_path, file, content):
    # Before 6.0 sentence-transformers imports such names from a local folder.
    folder = model_folder(tmp_path / "m")
    (folder / "1_Part").mkdir()
    (folder / "1_Part" / f"{file}.json").write_text(json.dumps(content))
    with pytest.raises(EncoderError, match=r"1_Part.*names the module '(code|os)\."):
        SentenceEncoder(str(folder)).encode(["a"])


def test_pickled_weights_of_a_part_are_refused(tmp_path):
    folder = model_folder(tmp_path / "m")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EncoderError, match="2_Dense holds no safetensors weights"):
        SentenceEncoder(str(folder)).encode(["a"])


def test_what_is_loaded_from_safetensors_and_known_modules_is_accepted(tmp_path):
    dense = {"activation_function": "torch.nn.modules.activation.Tanh", "tokenizer_class": "BertTokenizer"}
    folder = model_folder(
        tmp_path / "m", {**ROBERTA, **dense}, router_config={"types": {"a": "sentence_transformers.X"}}
    )
    (folder / "pytorch_model.bin").write_bytes(b"")
    check_model_folder(folder, model_type=False)


def test_a_configuration_that_is_no_json_is_refused(tmp_path):
    folder = model_folder(tmp_path / "m")
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="cannot be read"):
        check_model_folder(folder, model_type=False)


def test_a_missing_folder_of_a_fine_tuned_encoder_is_no_model_id(tmp_path):
    with pytest.raises(EncoderError, match="is not there"):
        load_encoder("fine-tuned", {"model": "x", "tuning": TUNING}, {}, tmp_path / "gone")


def test_the_model_under_hidden_states_is_named_by_the_caller(tmp_path):
    config = {"model": "/from/the/artefact", "revision": None, "max_length": 8, "layer": 1, "pooling": "last"}
    with pytest.raises(EncoderError, match=r"encoder_model='/from/the/artefact'"):
        load_encoder("hidden-states", config, {}, tmp_path)
