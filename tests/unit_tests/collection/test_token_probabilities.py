"""Log-probabilities of replies, from the call to the table."""

import math

from langchain_core.messages import AIMessage
from sqlalchemy import text

from langchain_selectllm import collect_outcomes, grade_outcomes
from langchain_selectllm.collection.export import export_outcomes, read_outcomes
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.outcomes import OutcomeTable
from tests.support.live_models import CountingModel
from tests.support.logprobs import stated_letter

QUERIES = [
    {"query_id": "q0", "query": "Which?\n(A) one\n(B) two", "reference": "B"},
    {"query_id": "q1", "query": "Which one?\n(A) one\n(B) two", "reference": "A"},
]


class SureModel(CountingModel):
    """Says B, as sure as it is made."""

    share: float = 0.75

    def _result(self, messages):
        result = super()._result(messages)
        logprobs = stated_letter("B", self.share, A=1 - self.share)
        message = AIMessage("The answer is (B).", response_metadata={"logprobs": logprobs})
        result.generations[0].message = message
        return result


def test_the_figures_of_each_reply_reach_the_table_and_the_raw_lists_stay_out(tmp_path):
    store = f"sqlite:///{tmp_path}/outcomes.db"
    collect_outcomes({"sure": SureModel(), "silent": CountingModel()}, QUERIES, store, samples=2)
    table = read_outcomes(store, members=["sure", "silent"])
    figures = table.token_probabilities[0, 0]
    assert [found.answer for found in figures] == ["B", "B"]
    assert figures[0].answers["B"] == math.log(0.75)
    assert table.token_probabilities[0, 1] == (None, None)
    with open_store(store) as opened, opened.engine.connect() as connection:
        stored = [
            row[0] for row in connection.execute(text("SELECT token_probabilities FROM selectllm_replies"))
        ]
    assert stored.count(None) == 4
    assert all(len(cell) < 300 and "content" not in cell for cell in stored if cell is not None)


def test_export_keeps_the_figures_and_how_they_were_computed(tmp_path):
    store = f"sqlite:///{tmp_path}/outcomes.db"
    collect_outcomes({"sure": SureModel()}, QUERIES, store, samples=1)
    grade_outcomes(store)
    export_outcomes(store, tmp_path / "out")
    read = OutcomeTable.from_folders(tmp_path / "out")
    assert read.token_probabilities.tolist() == read_outcomes(store).token_probabilities.tolist()
    with open_store(store) as opened:
        (fields, *_) = [row["token_probabilities"] for row in opened.read_replies()]
    assert fields["version"] == "1"


def test_a_store_of_the_first_format_is_migrated_and_its_replies_have_no_figures(tmp_path):
    store = f"sqlite:///{tmp_path}/outcomes.db"
    collect_outcomes({"sure": SureModel()}, QUERIES, store, samples=1)
    with open_store(store) as opened, opened.engine.begin() as connection:
        connection.execute(text("ALTER TABLE selectllm_replies DROP COLUMN token_probabilities"))
        connection.execute(text("UPDATE selectllm_about SET value = '1' WHERE name = 'format'"))
    assert read_outcomes(store).token_probabilities.tolist() == [[(None,)], [(None,)]]
    collect_outcomes({"sure": SureModel()}, QUERIES, store, samples=2)
    table = read_outcomes(store)
    assert [figures is None for figures in table.token_probabilities[0, 0]] == [True, False]
