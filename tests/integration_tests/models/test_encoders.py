"""Encoders that need torch: real MiniLM weights, and a small RoBERTa made by the test."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra `fine-tune`)")
pytest.importorskip(
    "sentence_transformers", reason="sentence-transformers is not installed (extra `sentence`)"
)

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.encoders import get_encoder
from langchain_selectllm.encoders.fine_tuned import FineTunedEncoder
from langchain_selectllm.encoders.fine_tuning import FineTuning
from langchain_selectllm.encoders.sentence import SentenceEncoder
from langchain_selectllm.exceptions import EncoderError
from tests.support.small_models import save_llama, save_roberta
from tests.support.worlds import demo_table, score_table

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def small_roberta(tmp_path_factory):
    """A randomly initialised RoBERTa of two layers with a character vocabulary, saved to disk."""
    return str(save_roberta(tmp_path_factory.mktemp("roberta")))


def test_minilm_learns_and_is_saved_by_reference(minilm, tmp_path):
    train, test = demo_table(tmp_path, n_queries=200).split(0.3)
    classifier = SelectLLMClassifier(encoder=minilm).fit(train)
    probabilities = classifier.predict_proba(test.texts)
    counting = np.array(test.categories) == "counting"
    reader = classifier.members.index("reader")
    assert probabilities[counting, reader].mean() > probabilities[~counting, reader].mean() + 0.2
    classifier.save_pretrained(tmp_path / "router")
    assert sum(path.stat().st_size for path in (tmp_path / "router").rglob("*")) < 1_000_000
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    np.testing.assert_array_equal(loaded.predict_proba(test.texts), probabilities)


def test_minilm_embeddings_mean_something(minilm):
    embeddings = get_encoder(minilm).encode(
        ["a cat sat on the mat", "a kitten rested on the rug", "interest rates rose"]
    )
    assert embeddings.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    assert embeddings[0] @ embeddings[1] > 0.4 > embeddings[0] @ embeddings[2] + 0.2


def test_a_changed_model_is_refused_at_loading(minilm, tmp_path):
    fitted = SentenceEncoder(minilm).fit(["a cat", "a dog", "a bird"], np.zeros((3, 1)), np.zeros(3, bool))
    config, arrays = fitted.save(tmp_path)
    with pytest.raises(EncoderError, match="is not the model that the heads were fitted on"):
        SentenceEncoder.load(config, {**arrays, "probe": -arrays["probe"]}, tmp_path)


def test_what_is_unlike_all_training_texts_shrinks_towards_the_base_rates(minilm, tmp_path):
    train, test = demo_table(tmp_path, n_queries=200).split(0.3)
    classifier = SelectLLMClassifier(encoder=minilm).fit(train)
    encoder = classifier.learned.encoder
    strange = [
        "The minister resigned after the vote in parliament.",
        "Simmer the onions in butter until they are golden.",
    ]
    known, unknown = (encoder.novelty(texts, encoder.encode(texts)) for texts in (test.texts, strange))
    assert known.mean() < 0.05
    assert unknown.min() > 0.3
    distance = np.abs(classifier.predict_proba(strange) - classifier.pool.base_rates).mean()
    assert distance < np.abs(classifier.predict_proba(test.texts) - classifier.pool.base_rates).mean()


def test_a_model_that_cannot_be_found_is_an_encoder_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        SentenceEncoder(str(tmp_path / "nothing")).encode(["x"])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        SelectLLMClassifier(encoder=f"fine-tune:{tmp_path / 'nothing'}").fit(score_table(np.eye(4)))


@pytest.fixture(scope="module")
def topics():
    """Member 0 answers sums, member 1 answers spelling; a third of the cells is unobserved."""
    rng = np.random.default_rng(0)
    sums = rng.random(240) < 0.5
    scores = np.stack([sums, ~sums], axis=1).astype(float)
    scores[rng.random(scores.shape) < 1 / 3] = np.nan
    scores[:2] = [[1, 0], [0, 1]]
    table = score_table(scores)
    texts = tuple("12345 + 67890" if is_sum else "spell a word" for is_sum in sums)
    object.__setattr__(table, "texts", texts)
    return table


@pytest.mark.parametrize("class_weights", [False, True])
def test_fine_tuning_learns_from_observed_cells_alone(small_roberta, topics, tmp_path, class_weights):
    tuning = FineTuning(
        max_length=32, batch_size=16, epochs=6, learning_rates=(1e-5, 3e-3), class_weights=class_weights
    )
    encoder = FineTunedEncoder(small_roberta, tuning=tuning)
    classifier = SelectLLMClassifier(encoder=encoder).fit(topics)
    probabilities = classifier.predict_proba(["12345 + 67890", "spell a word"])
    assert probabilities[0, 0] > 0.7 > 0.3 > probabilities[1, 0]
    assert probabilities[1, 1] > 0.7 > 0.3 > probabilities[0, 1]
    classifier.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    np.testing.assert_array_equal(
        loaded.predict_proba(["12345 + 67890", "x"]), classifier.predict_proba(["12345 + 67890", "x"])
    )
    assert (tmp_path / "router" / "encoder" / "model.safetensors").is_file()


def test_fine_tuning_twice_gives_the_same_encoder(small_roberta, topics):
    import torch

    tuning = FineTuning(max_length=32, batch_size=64, epochs=1, learning_rates=(3e-3,))
    # Three members: the saved model has two outputs, so that new ones are drawn.
    scores, validation = np.nan_to_num(topics.scores)[:, [0, 1, 0]], np.arange(len(topics)) < 40
    logits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        encoder = FineTunedEncoder(small_roberta, tuning=tuning).fit(topics.texts, scores, validation)
        logits.append(encoder.encode(topics.texts[:2]))
    np.testing.assert_array_equal(*logits)


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory, small_roberta):
    """A randomly initialised causal model of four layers with the tokenizer of the small RoBERTa."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("llama")
    sizes = {"num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 256}
    return str(save_llama(folder, AutoTokenizer.from_pretrained(small_roberta), **sizes))


def test_hidden_states_of_a_causal_model_are_features(small_llama, topics, tmp_path):
    classifier = SelectLLMClassifier(encoder=f"hidden:{small_llama}").fit(topics)
    texts = ["12345 + 67890", "spell a word"]
    probabilities = classifier.predict_proba(texts)
    assert probabilities[0, 0] > 0.8 > 0.2 > probabilities[1, 0]
    encoder = classifier.learned.encoder
    assert encoder.layer in {2, 3, 4}
    assert encoder.pooling in {"last", "mean"}
    # A longer neighbour pads the batch; what a text is read as stays.
    np.testing.assert_allclose(encoder.encode(texts)[1], encoder.encode(texts[1:])[0], atol=1e-4)
    classifier.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router", encoder_model=small_llama)
    np.testing.assert_allclose(loaded.predict_proba(texts), probabilities, atol=1e-5)
    with pytest.raises(EncoderError, match="Name the model that you trust: .*encoder_model="):
        SelectLLMClassifier.from_pretrained(tmp_path / "router")


def test_validation_queries_are_never_trained_on(small_roberta, topics, monkeypatch):
    from langchain_selectllm.encoders import trainer

    seen = {}

    def spy(model, tokenizer, texts, scores, validation, **kwargs):
        seen["validation"] = validation.copy()
        return 0.0

    monkeypatch.setattr(trainer, "train_model", spy)
    SelectLLMClassifier(encoder=FineTunedEncoder(small_roberta), validation=0.25).fit(topics)
    assert seen["validation"].mean() == pytest.approx(0.25)


def test_the_loss_is_masked_cross_entropy_by_hand(small_roberta):
    import torch

    from langchain_selectllm.encoders.trainer import _MaskedTrainer

    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    scores = torch.tensor([[1.0, float("nan")], [0.3, 0.0]])
    trainer = _MaskedTrainer.__new__(_MaskedTrainer)
    loss = trainer.compute_loss(lambda **_: type("Out", (), {"logits": logits})(), {"labels": scores})
    cells = [np.log(2), np.log1p(np.exp(-1)) * 0.3 + np.log1p(np.exp(1)) * 0.7, np.log1p(np.exp(-1))]
    assert float(loss) == pytest.approx(np.mean(cells), rel=1e-5)
