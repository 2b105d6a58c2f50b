import pytest

from langchain_selectllm import SemanticAnswers
from langchain_selectllm.exceptions import AnswerError
from tests.support.meanings import angle


def test_bad_settings_are_refused():
    with pytest.raises(AnswerError, match=r"threshold=1\.2\) is out of range"):
        SemanticAnswers(model="x", threshold=1.2)
    with pytest.raises(AnswerError, match=r"shape \(1, 2\) for 2 texts"):
        SemanticAnswers(model=lambda _: [[1.0, 0.0]]).agreement(["a", "b"])


def test_equal_texts_are_embedded_once_and_remembered():
    asked = []
    compare = SemanticAnswers(model=lambda texts: (asked.extend(texts), [angle(t) for t in texts])[1])
    compare.agreement(["at 0", "at 1"])
    compare.agreement(["at 1", "at 2"])
    assert asked == ["at 0", "at 1", "at 2"]
    assert compare.agreement([]).shape == (0, 0)
