import json

import pytest

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes.folders import read_queries
from langchain_selectllm.outcomes.import_csv import import_questions


def csv_file(folder, text, name="questions.csv", encoding="utf-8"):
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def queries(folder):
    return [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]


def test_usual_headings_are_recognised(tmp_path):
    file = csv_file(tmp_path, 'ID,Question,Answer,Subject\na1,What is 2 + 2?,4,sums\na2,"Why, oh why?",,\n')
    imported = import_questions(file, tmp_path / "out")
    assert imported.n_queries == 2
    assert dict(imported.columns) == {
        "query_id": "ID",
        "query": "Question",
        "reference": "Answer",
        "category": "Subject",
    }
    assert queries(tmp_path / "out") == [
        {"query_id": "a1", "query": "What is 2 + 2?", "reference": "4", "category": "sums"},
        {"query_id": "a2", "query": "Why, oh why?"},
    ]
    assert [query.query_id for query in read_queries(tmp_path / "out")] == ["a1", "a2"]


def test_named_columns_win_over_usual_ones_and_questions_are_numbered(tmp_path):
    file = csv_file(tmp_path, "text;question;kind\none;two;number\n")
    import_questions(file, tmp_path / "out", question="text", answer_type="kind")
    assert queries(tmp_path / "out") == [{"query_id": "q00001", "query": "one", "answer_type": "number"}]


def test_one_kind_may_hold_for_all_questions(tmp_path):
    file = csv_file(tmp_path, "prompt\tgold\n1 + 1?\t2\n2 + 2?\t4\n")
    import_questions(file, tmp_path / "out", answer_type="number")
    assert {query["answer_type"] for query in queries(tmp_path / "out")} == {"number"}


def test_a_byte_order_mark_blank_lines_and_fields_of_several_lines_are_read(tmp_path):
    file = csv_file(tmp_path, '\ufeffquestion,answer\n\n"one\ntwo",B\n\n"say ""hi""",C\n')
    import_questions(file, tmp_path / "out")
    assert [query["query"] for query in queries(tmp_path / "out")] == ["one\ntwo", 'say "hi"']


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("", {}, "has no question"),
        ("question,answer\n", {}, "has no question"),
        ("words,numbers\na,1\n", {}, "no column of questions .* Headings: words, numbers"),
        ("question\na\n", {"reference": "gold"}, "has no column 'gold'. Headings: question"),
        ("question,answer\na,1\n,2\n", {}, r"questions.csv:3: the question is empty"),
        ('question,answer\n"a\nb",1\nc\n', {}, r"questions.csv:4: 1 fields, but the header has 2"),
        (
            "id,question\nx,a\ny,b\nx,c\n",
            {},
            r"questions.csv:4: the id 'x' already stands at .*questions.csv:2",
        ),
        ("question,answer_type\na,digits\n", {}, r"questions.csv:2: answer_type is 'digits'"),
        ('question,answer\n"a,1\n', {}, r"questions.csv:2: .*Close every quote"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_nothing_is_written(tmp_path, text, named, message):
    file = csv_file(tmp_path, text)
    with pytest.raises(OutcomeError, match=message):
        import_questions(file, tmp_path / "out", **named)
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read_and_folders_in_use_are_refused(tmp_path):
    with pytest.raises(OutcomeError, match="cannot be read"):
        import_questions(tmp_path / "nowhere.csv", tmp_path / "out")
    with pytest.raises(OutcomeError, match="cannot be read"):
        import_questions(csv_file(tmp_path, "question\né\n", encoding="latin-1"), tmp_path / "out")
    with pytest.raises(OutcomeError, match="not an empty folder"):
        import_questions(csv_file(tmp_path, "question\na\n"), tmp_path)
