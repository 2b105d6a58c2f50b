import gzip
import json
import tracemalloc

import pytest

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.routing.prompt_files import Piece, cut, read_blocks
from langchain_selectllm.routing.route_file import Decider, route_file
from langchain_selectllm.selection.policy_names import parse_policy

POLICY = parse_policy("weighted_max_conf:2")


def route(classifier, source, target, *, policy=POLICY, block_lines=1000, **options):
    decider = Decider(classifier=classifier, policy=policy, block_lines=block_lines)
    return route_file(decider, source, target, **options)


def write_prompts(path, n, start=0):
    lines = [json.dumps({"query_id": f"q{i}", "query": f"What is {i} * 7?"}) for i in range(start, start + n)]
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def prompts(tmp_path):
    return write_prompts(tmp_path / "prompts.jsonl", 25)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "decisions.jsonl"


def test_each_line_has_the_decision_of_its_prompt_in_order(fitted, prompts, target):
    routed = route(fitted, prompts, target, block_lines=4)
    assert (routed.n_lines, routed.n_earlier, routed.n_unreadable, routed.first_error) == (25, 0, 0, None)
    entries = read(target)
    assert [(one["line"], one["query_id"]) for one in entries] == [(i + 1, f"q{i}") for i in range(25)]
    for i, decision in enumerate(decide_all(fitted, POLICY, [f"What is {i} * 7?" for i in range(25)])):
        assert entries[i]["selection"] == list(decision.selected_members)
        assert entries[i]["reason"] == decision.reason
        assert list(entries[i]["probabilities"].values()) == pytest.approx(decision.probabilities, abs=1e-6)


@pytest.mark.parametrize("cut", [0, 1, 30])
@pytest.mark.parametrize("complete", [0, 1, 7, 25])
def test_an_interrupted_run_ends_with_the_output_of_an_uninterrupted_one(
    fitted, prompts, target, complete, cut
):
    route(fitted, prompts, target, block_lines=4)
    whole = target.read_bytes()
    lines = whole.splitlines(keepends=True)
    # A killed process leaves complete lines and a part of the next one.
    rest = b"".join(lines[complete:])[:cut]
    target.write_bytes(b"".join(lines[:complete]) + rest)
    routed = route(fitted, prompts, target, block_lines=6)
    assert (routed.n_lines, routed.n_earlier) == (25, complete)
    assert [one["selection"] for one in read(target)] == [json.loads(line)["selection"] for line in lines]
    assert [one["line"] for one in read(target)] == list(range(1, 26))


def test_prompts_that_are_added_later_are_routed_in_the_next_run(fitted, prompts, target):
    route(fitted, prompts, target)
    with prompts.open("a") as more:
        more.write(json.dumps({"query": "One more?"}) + "\n")
    routed = route(fitted, prompts, target)
    assert (routed.n_lines, routed.n_earlier) == (26, 25)
    assert "query_id" not in read(target)[-1]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"not JSON", "no JSON in UTF-8: Expecting value"),
        (b'{"query": "\xff"}', "no JSON in UTF-8: .* can't decode"),
        (b"[1]", 'no JSON object with a text as "query"'),
        (b'{"query": 5}', 'no JSON object with a text as "query"'),
        (b'{"query": "a", "query_id": 5}', "query_id is 5, not a text"),
        (b'{"query": "\\ud800"}', "the text is not Unicode"),
        (b"", "no JSON in UTF-8: Expecting value"),
        (b"[" * 100_000, "no JSON in UTF-8: .*recursion"),
    ],
)
def test_a_line_without_a_prompt_is_an_error_in_its_place_and_loses_no_other(
    fitted, tmp_path, target, line, error
):
    prompts = tmp_path / "prompts.jsonl"
    good = b'{"query": "What is 1 + 2?"}'
    prompts.write_bytes(b"\n".join([good, line, good]) + b"\n")
    routed = route(fitted, prompts, target)
    assert (routed.n_lines, routed.n_unreadable) == (3, 1)
    assert routed.first_error.startswith(f"{prompts}:2: ")
    first, second, third = read(target)
    assert first["selection"] == third["selection"]
    with pytest.raises(AssertionError, match=error):
        raise AssertionError(second["error"])
    # Nothing is left to do.
    assert route(fitted, prompts, target).n_earlier == 3


def test_an_output_of_another_policy_input_or_program_is_refused_and_kept(fitted, prompts, tmp_path, target):
    route(fitted, prompts, target)
    before = target.read_bytes()
    with pytest.raises(OutcomeError, match="decisions.jsonl:25 is no decision of this router and policy"):
        route(fitted, prompts, target, policy=parse_policy("max_conf:1"))
    with pytest.raises(OutcomeError, match="is no decision of this router and policy"):
        route(fitted, write_prompts(tmp_path / "other.jsonl", 25, start=100), target)
    with pytest.raises(OutcomeError, match="has 25 lines, more than"):
        route(fitted, write_prompts(tmp_path / "short.jsonl", 24), target)
    assert target.read_bytes() == before
    target.write_text("my notes\n")
    with pytest.raises(OutcomeError, match="decisions.jsonl:1 is no decision"):
        route(fitted, prompts, target)
    assert target.read_text() == "my notes\n"


def test_the_input_is_never_its_own_output(fitted, prompts):
    before = prompts.read_bytes()
    with pytest.raises(OutcomeError, match="is both the input and the output"):
        route(fitted, prompts, prompts)
    assert prompts.read_bytes() == before


def test_packed_prompts_are_read_and_a_cut_off_file_is_an_error(fitted, prompts, tmp_path, target):
    packed = tmp_path / "prompts.jsonl.gz"
    packed.write_bytes(gzip.compress(prompts.read_bytes()))
    assert route(fitted, packed, target).n_lines == 25
    packed.write_bytes(packed.read_bytes()[:-20])
    target.unlink()
    with pytest.raises(OutcomeError, match=r"prompts.jsonl.gz cannot be read: .* Is it complete, and gzip\?"):
        route(fitted, packed, target)


def test_progress_counts_the_lines_that_are_decided(fitted, prompts, target):
    seen = []
    route(fitted, prompts, target, block_lines=10, on_progress=seen.append)
    assert seen == [10, 20, 25]


@pytest.mark.newest
def test_memory_does_not_grow_with_the_number_of_lines(fitted, tmp_path):
    def peak(n):
        prompts = write_prompts(tmp_path / f"{n}.jsonl", n)
        tracemalloc.start()
        try:
            route(fitted, prompts, tmp_path / f"{n}.out", block_lines=100)
            # The second run passes over the lines that have their decision.
            route(fitted, prompts, tmp_path / f"{n}.out", block_lines=100)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)
    # Ten times as many lines; lines that were kept would take ten times the memory.
    assert peak(4000) < 2 * peak(400)


@pytest.fixture
def folder(tmp_path):
    """Two files of prompts, one of them packed, and a file that is none."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    write_prompts(folder / "a.jsonl", 7)
    (folder / "b.jsonl.gz").write_bytes(
        gzip.compress(write_prompts(tmp_path / "b.jsonl", 5, 50).read_bytes())
    )
    (folder / "notes.txt").write_text("no prompts")
    return folder


def test_a_folder_has_one_output_per_file_as_if_each_were_routed_alone(fitted, folder, tmp_path):
    routed = route(fitted, folder, tmp_path / "out", block_lines=3)
    assert (routed.n_lines, routed.n_earlier) == (12, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jsonl", "b.jsonl"]
    for name, source in (("a", folder / "a.jsonl"), ("b", folder / "b.jsonl.gz")):
        route(fitted, source, tmp_path / "alone.jsonl", block_lines=3)
        assert (tmp_path / "out" / f"{name}.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
        (tmp_path / "alone.jsonl").unlink()


def test_a_folder_is_continued_file_by_file(fitted, folder, tmp_path):
    route(fitted, folder, tmp_path / "out", block_lines=3)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "b.jsonl").write_bytes(whole["b.jsonl"][: len(whole["b.jsonl"]) // 2])
    routed = route(fitted, folder, tmp_path / "out", block_lines=3)
    assert 7 < routed.n_earlier < 12
    assert routed.n_lines == 12
    assert {name: read(tmp_path / "out" / name) for name in whole} == {
        name: list(map(json.loads, lines.splitlines())) for name, lines in whole.items()
    }


def test_a_folder_without_prompts_or_with_two_files_of_one_output_is_refused(
    fitted, folder, tmp_path, target
):
    (folder / "b.jsonl").write_text("")
    with pytest.raises(OutcomeError, match=r"b.jsonl and .*b.jsonl.gz would have the same output"):
        route(fitted, folder, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutcomeError, match="empty has no .jsonl or .jsonl.gz file"):
        route(fitted, tmp_path / "empty", tmp_path / "out")
    target.write_text("")
    with pytest.raises(OutcomeError, match="prompts is a folder, and the output .* is a file"):
        route(fitted, folder, target)
    with pytest.raises(OutcomeError, match="is a file, and the output .* is a folder"):
        route(fitted, folder / "a.jsonl", tmp_path / "empty")


@pytest.mark.parametrize("n_lines", [1, 4, 100])
def test_the_pieces_of_a_file_are_its_lines_in_order(prompts, n_lines):
    whole = Piece(source=prompts, file=0, first_line=1, offset=0)
    (all_lines,) = read_blocks(whole, 100)
    pieces = list(cut(whole, n_lines))
    assert [piece.n_lines for piece in pieces[:-1]] == [n_lines] * (len(pieces) - 1)
    assert [line for piece in pieces for block in read_blocks(piece, 3) for line in block] == all_lines
