from pathlib import Path

import numpy as np
import pytest

from langchain_selectllm.encoders import SparseRows, get_encoder, is_slow, row_dots
from langchain_selectllm.encoders.fine_tuned import FineTunedEncoder
from langchain_selectllm.encoders.lexical import LexicalEncoder
from langchain_selectllm.encoders.ngrams import HASH_BITS, MAX_CHARACTERS, MAX_TEXTS, ngram_hashes
from langchain_selectllm.encoders.novelty import Familiarity
from langchain_selectllm.encoders.sentence import SentenceEncoder
from langchain_selectllm.encoders.surface import _CUES as CUES
from langchain_selectllm.encoders.surface import N_SURFACE, surface_features
from langchain_selectllm.encoders.vocabulary import Vocabulary
from langchain_selectllm.exceptions import EncoderError, MissingDependencyError, NotFittedError


def sparse_rows(rows, n_columns):
    parts = [SparseRows(np.array([0, len(columns)]), columns, values, n_columns) for columns, values in rows]
    return SparseRows.below(parts, n_columns)


def words(text):
    return ngram_hashes([text]).tolist()


def test_a_word_has_one_hash_wherever_it_stands():
    # Three words and two pairs each; the word "sum" is the second word of one text and the first of the other.
    one, other = words("the sum is"), words("sum of two")
    assert len(one) == len(other) == 5
    assert one[1] == other[0]
    assert words("Sum") == words("sum")
    assert words("sum, is") == words("sum is")
    assert words("a b") != words("b a")


def test_scripts_without_spaces_are_read_character_by_character():
    for text in ("東京都", "ไทย", "ខ្ម", "한국어", "𠮷𠮷野"):
        assert len(words(text)) == 3 + 2
    assert words("東京")[0] == words("京東")[1]


@pytest.mark.parametrize("text", ["", " ", "x", "\n\n", "\ud800", "🙂", "a" * (2 * MAX_CHARACTERS)])
def test_any_text_can_be_encoded(text):
    encoder = LexicalEncoder().fit(["one two three", "two three four"], np.zeros((2, 1)), np.zeros(2, bool))
    assert np.isfinite(encoder.encode([text]).values).all()


def test_features_of_a_text_do_not_depend_on_its_neighbours():
    texts = ["what is two plus two", "what is the capital of France", "name the capital of Spain"]
    encoder = LexicalEncoder().fit(texts, np.zeros((3, 1)), np.zeros(3, bool))
    together, alone = encoder.encode(texts), encoder.encode(texts[1:2])
    np.testing.assert_array_equal(together.to_scipy()[1].toarray(), alone.to_scipy().toarray())


def test_a_text_keeps_its_features_beside_texts_beyond_ascii():
    texts = ["1. what is two plus two", "where is 東京", "name the capital of Spain"]
    encoder = LexicalEncoder().fit([*texts, *texts], np.zeros((6, 1)), np.zeros(6, bool))
    together = encoder.encode(texts).to_scipy()
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row].toarray(), encoder.encode([text]).to_scipy().toarray())


def test_a_vocabulary_of_many_columns_has_the_same_features(monkeypatch):
    texts = ["what is two plus two", "what is the capital of France", "name the capital of Spain"]
    encoder = LexicalEncoder().fit(texts, np.zeros((3, 1)), np.zeros(3, bool))
    narrow = encoder.encode(texts)
    monkeypatch.setattr("langchain_selectllm.encoders.weighting._NARROW_BITS", 0)
    again = LexicalEncoder().fit(texts, np.zeros((3, 1)), np.zeros(3, bool)).encode(texts)
    np.testing.assert_array_equal(again.columns, narrow.columns)
    np.testing.assert_array_equal(again.values, narrow.values)


def test_values_of_words_have_length_one_in_every_row_that_has_some():
    texts = ["two plus two is two", "two plus one", "", "plus", "one plus"]
    encoder = LexicalEncoder().fit(texts, np.zeros((5, 1)), np.zeros(5, bool))
    rows = encoder.encode(texts).to_scipy().toarray()
    n_words = len(encoder.save(Path())[1]["words"])
    assert rows.shape[1] == n_words + N_SURFACE
    np.testing.assert_allclose(np.linalg.norm(rows[:, :n_words], axis=1), [1, 1, 0, 1, 1], rtol=1e-6)


def test_a_batch_of_several_chunks_has_the_features_of_its_texts_alone():
    # 80 texts of 4,000 characters are more than two chunks; blank and long texts and line breaks stand between.
    rng = np.random.default_rng(0)
    vocabulary = np.array(["red", "green", "blue", "sum", "of", "two", "naïve", "東京", "x=1", "A) one"])
    texts = [" ".join(rng.choice(vocabulary, 900)) for _ in range(80)]
    texts[3:3] = ["", "\n\nA) red\nB) green\n", " ", "\ud800 red", "a" * (2 * MAX_CHARACTERS)]
    encoder = LexicalEncoder().fit(texts[:20], np.zeros((20, 1)), np.zeros(20, bool))
    together = encoder.encode(texts)
    assert together.shape[0] == len(texts)
    novelty = encoder.novelty(texts, together)
    for number, text in enumerate(texts):
        alone = encoder.encode([text])
        row = together[np.array([number])]
        np.testing.assert_array_equal(row.columns, alone.columns)
        np.testing.assert_array_equal(row.values, alone.values)
        assert encoder.novelty([text], alone) == novelty[number]


def test_more_texts_than_are_hashed_at_once_keep_their_own_words():
    texts = [f"word{number} word{number + 1}" for number in range(2 * MAX_TEXTS + 3)]
    encoder = LexicalEncoder().fit(texts, np.zeros((len(texts), 1)), np.zeros(len(texts), bool))
    rows = encoder.encode(texts).to_scipy()[:, : len(encoder.save(Path())[1]["words"])]
    # Each inner text shares one word with its neighbour on either side: 2 known words, the pair is its own.
    assert np.diff(rows.indptr).tolist() == [1, *[2] * (len(texts) - 2), 1]


def test_only_n_grams_of_several_training_texts_are_kept():
    encoder = LexicalEncoder().fit(
        ["alpha beta", "alpha gamma", "alpha delta"], np.zeros((3, 1)), np.zeros(3, bool)
    )
    assert len(encoder.save(Path())[1]["words"]) == 1


def test_novelty_is_the_share_of_unseen_words_beyond_the_usual():
    encoder = LexicalEncoder().fit(["red green", "red green"], np.zeros((2, 1)), np.zeros(2, bool))
    # Two words and their pair: one of the three is known of "red blue", none of "blue".
    texts = ["red green", "blue", "", "red blue"]
    assert encoder.novelty(texts, encoder.encode(texts)).tolist() == pytest.approx([0, 1, 1, 2 / 3])


def test_dense_embeddings_are_novel_beyond_the_usual_distance_from_the_nearest():
    # Around the centre (0, 0) at 0, 10, 90 and 180 degrees; 80 degrees are usual.
    angles = np.radians([0.0, 10.0, 90.0, 180.0])
    seen = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    familiarity = Familiarity(np.zeros(2, np.float32), seen, np.array([1 - np.cos(np.radians(80.0))]))
    far = np.radians([45.0, 180.0, 270.0])
    told = familiarity.novelty(np.stack([np.cos(far), np.sin(far)], axis=1).astype(np.float32))
    assert told.tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    fitted = Familiarity.fit(seen - seen.mean(axis=0))
    np.testing.assert_allclose(np.linalg.norm(fitted.references, axis=1), 1.0, rtol=1e-6)
    assert 0.0 < float(fitted.usual[0]) < 1.0


def test_familiar_texts_are_a_spread_sample():
    assert Familiarity.sample(["a", "b"]) == ["a", "b"]
    texts = [str(i) for i in range(10_000)]
    sample = Familiarity.sample(texts)
    assert (len(sample), sample[0], sample[-1]) == (500, "0", "9999")
    assert Familiarity.fit(np.ones((1, 4), np.float32)).novelty(np.ones((2, 4), np.float32)).tolist() == [
        0.0,
        0.0,
    ]


def test_an_unfitted_encoder_says_so():
    with pytest.raises(NotFittedError, match="has not seen any text"):
        LexicalEncoder().encode(["x"])
    with pytest.raises(NotFittedError, match="not fine-tuned yet"):
        FineTunedEncoder("x").encode(["x"])


def test_saved_arrays_that_do_not_fit_are_refused(tmp_path):
    encoder = LexicalEncoder().fit(["red green", "red green"], np.zeros((2, 1)), np.zeros(2, bool))
    config, arrays = encoder.save(tmp_path)
    with pytest.raises(EncoderError, match="needs the arrays"):
        LexicalEncoder.load(config, {name: a for name, a in arrays.items() if name != "words_idf"}, tmp_path)
    with pytest.raises(EncoderError, match="1 surface features"):
        LexicalEncoder.load(config, arrays | {"surface_mean": np.zeros(1)}, tmp_path)


def test_row_products_agree_between_sparse_and_dense():
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32)
    rows = [(np.flatnonzero(row), row[row != 0]) for row in dense]
    sparse = sparse_rows(rows, 3)
    weights = np.array([[1, 10, 100], [0, 1, 0]], dtype=np.float32)
    assert row_dots(sparse, weights).tolist() == [[20, 2], [0, 0], [301, 0]]
    assert row_dots(dense, weights).tolist() == [[20, 2], [0, 0], [301, 0]]
    # Neither rows nor weights.
    assert row_dots(sparse_rows([], 3), weights).shape == (0, 2)
    assert row_dots(sparse, weights[:0]).shape == (3, 0)
    # The rows taken have the products of the rows that they are.
    assert row_dots(sparse[np.array([2, 0, 2])], weights[:1]).tolist() == [[301], [20], [301]]
    assert row_dots(sparse[np.array([1])], weights[:1]).tolist() == [[0]]
    assert sparse[np.array([], dtype=np.intp)].shape == (0, 3)


def test_a_sparse_row_has_the_same_bits_alone_in_a_batch_and_at_its_end():
    rng = np.random.default_rng(0)
    rows = [(np.arange(n), rng.normal(size=n).astype(np.float32)) for n in range(100, 600, 7)]
    sparse = sparse_rows(rows, 600)
    weights = rng.normal(size=(2, 600)).astype(np.float32)
    batch = row_dots(sparse, weights)
    for i in range(len(rows)):
        assert row_dots(sparse[np.array([i])], weights).tolist() == [batch[i].tolist()]
    for end in (5, 20, len(rows)):
        assert row_dots(sparse[np.arange(end)], weights).tolist() == batch[:end].tolist()


@pytest.mark.parametrize("most", [1, 2000, 1 << 20])
def test_a_weight_vector_gives_the_same_bits_alone_and_beside_others(monkeypatch, most):
    monkeypatch.setattr("langchain_selectllm.encoders.sparse._MOST_PRODUCTS", most)
    rng = np.random.default_rng(0)
    rows = [(np.arange(n), rng.normal(size=n).astype(np.float32)) for n in (0, 1, 130, 400)]
    sparse, dense = sparse_rows(rows, 400), rng.normal(size=(4, 400)).astype(np.float32)
    weights = rng.normal(size=(5, 400)).astype(np.float32)
    for features in (sparse, dense):
        together = row_dots(features, weights)
        for k in range(len(weights)):
            assert row_dots(features, weights[[k]])[:, 0].tolist() == together[:, k].tolist()


def test_names_become_encoders():
    assert isinstance(get_encoder("lexical"), LexicalEncoder)
    assert get_encoder("some/model").name == "some/model"
    assert isinstance(get_encoder("some/model"), SentenceEncoder)
    assert get_encoder("fine-tune:roberta-base").model == "roberta-base"
    encoder = LexicalEncoder()
    assert get_encoder(encoder) is encoder
    for name in ("", "fine-tune:"):
        with pytest.raises(EncoderError, match="names no model"):
            get_encoder(name)


def test_a_missing_package_is_named_with_its_pip_line(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises((MissingDependencyError, ImportError), match="sentence"):
        get_encoder("some/model").encode(["x"])


@pytest.mark.parametrize(
    ("name", "slow"), [("lexical", False), ("some/model", True), ("fine-tune:x", True), ("hidden:x", True)]
)
def test_encoders_name_whether_they_are_slow(name, slow):
    assert is_slow(get_encoder(name)) is slow


def test_a_custom_encoder_that_does_not_name_its_speed_counts_as_slow():
    class Custom:
        kind = "custom"

    class Fast(Custom):
        is_slow = False

    assert is_slow(Custom())
    assert not is_slow(Fast())


def test_options_are_counted_at_the_start_of_a_line_alone():
    texts = ["A)\nB) x\n (C) y", "see A) and B) here", "\tA. q\nA:\tz", "A) one\r\nB) two", ""]
    counts = surface_features(texts)
    n_options = N_SURFACE - 4
    assert counts[:, n_options].tolist() == [3, 0, 2, 2, 0]
    # The stem ends where the first option starts.
    np.testing.assert_allclose(np.expm1(counts[:, 1]), [0, 18, 0, 0, 0])


def test_cues_are_counted_in_each_text_alone():
    texts = ["Which is true? ____ = 5 %", "no cue", "which one, WHICH two", "tru", "e"]
    logs = surface_features(texts)[:, 5 : N_SURFACE - 4]
    counts = np.round(np.expm1(logs)).astype(int)
    first = {"?": 1, "___": 1, "which": 1, "true": 1, "=": 1, "%": 1}
    assert counts[0].tolist() == [first.get(cue, 0) for cue in CUES]
    assert counts[2].tolist() == [2 if cue == "which" else 0 for cue in CUES]
    assert not counts[[1, 3, 4]].any()


def test_shares_are_of_digits_capitals_and_characters_beyond_ascii():
    shares = surface_features(["A1b2", "", "東京AB", "x"])[:, -3:]
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0], [0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]])


def test_a_vocabulary_finds_each_of_its_hashes_and_no_other():
    step = ~HASH_BITS + np.uint64(1)
    drawn = np.random.default_rng(0).integers(0, 1 << 64, 500, dtype=np.uint64) & HASH_BITS
    # Neighbouring hashes share their first bits; 0 and the largest one have none before and behind them.
    ends = np.array([0, HASH_BITS], dtype=np.uint64)
    hashes = np.unique(np.concatenate([drawn, drawn[:100] + step, ends]))
    unknown = hashes[:-1][np.diff(hashes) > step] + step
    vocabulary = Vocabulary(hashes, np.ones(len(hashes), dtype=np.float32))
    number_of_text = np.uint64(MAX_TEXTS - 1)
    columns, known = vocabulary.find(np.concatenate([hashes, unknown, hashes | number_of_text]))
    assert known.tolist() == [True] * len(hashes) + [False] * len(unknown) + [True] * len(hashes)
    assert columns[known].tolist() == [*range(len(hashes)), *range(len(hashes))]
    smaller = Vocabulary(hashes[:-1], np.ones(len(hashes) - 1, dtype=np.float32))
    assert not smaller.find(hashes[-1:])[1].any()
