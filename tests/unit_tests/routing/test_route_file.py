import gzip
import json
import tracemalloc

import pytest

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.routing.route_file import route_file
from langchain_selectllm.selection.policy_names import parse_policy

POLICY = parse_policy("weighted_max_conf:2")


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
    routed = route_file(fitted, POLICY, prompts, target, block_lines=4)
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
    route_file(fitted, POLICY, prompts, target, block_lines=4)
    whole = target.read_bytes()
    lines = whole.splitlines(keepends=True)
    # A killed process leaves complete lines and a part of the next one.
    rest = b"".join(lines[complete:])[:cut]
    target.write_bytes(b"".join(lines[:complete]) + rest)
    routed = route_file(fitted, POLICY, prompts, target, block_lines=6)
    assert (routed.n_lines, routed.n_earlier) == (25, complete)
    assert [one["selection"] for one in read(target)] == [json.loads(line)["selection"] for line in lines]
    assert [one["line"] for one in read(target)] == list(range(1, 26))


def test_prompts_that_are_added_later_are_routed_in_the_next_run(fitted, prompts, target):
    route_file(fitted, POLICY, prompts, target)
    with prompts.open("a") as more:
        more.write(json.dumps({"query": "One more?"}) + "\n")
    routed = route_file(fitted, POLICY, prompts, target)
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
    routed = route_file(fitted, POLICY, prompts, target)
    assert (routed.n_lines, routed.n_unreadable) == (3, 1)
    assert routed.first_error.startswith(f"{prompts}:2: ")
    first, second, third = read(target)
    assert first["selection"] == third["selection"]
    with pytest.raises(AssertionError, match=error):
        raise AssertionError(second["error"])
    # Nothing is left to do.
    assert route_file(fitted, POLICY, prompts, target).n_earlier == 3


def test_an_output_of_another_policy_input_or_program_is_refused_and_kept(fitted, prompts, tmp_path, target):
    route_file(fitted, POLICY, prompts, target)
    before = target.read_bytes()
    with pytest.raises(OutcomeError, match="decisions.jsonl:25 is no decision of this router and policy"):
        route_file(fitted, parse_policy("max_conf:1"), prompts, target)
    with pytest.raises(OutcomeError, match="is no decision of this router and policy"):
        route_file(fitted, POLICY, write_prompts(tmp_path / "other.jsonl", 25, start=100), target)
    with pytest.raises(OutcomeError, match="has 25 lines, more than"):
        route_file(fitted, POLICY, write_prompts(tmp_path / "short.jsonl", 24), target)
    assert target.read_bytes() == before
    target.write_text("my notes\n")
    with pytest.raises(OutcomeError, match="decisions.jsonl:1 is no decision"):
        route_file(fitted, POLICY, prompts, target)
    assert target.read_text() == "my notes\n"


def test_the_input_is_never_its_own_output(fitted, prompts):
    before = prompts.read_bytes()
    with pytest.raises(OutcomeError, match="is both the input and the output"):
        route_file(fitted, POLICY, prompts, prompts)
    assert prompts.read_bytes() == before


def test_packed_prompts_are_read_and_a_cut_off_file_is_an_error(fitted, prompts, tmp_path, target):
    packed = tmp_path / "prompts.jsonl.gz"
    packed.write_bytes(gzip.compress(prompts.read_bytes()))
    assert route_file(fitted, POLICY, packed, target).n_lines == 25
    packed.write_bytes(packed.read_bytes()[:-20])
    target.unlink()
    with pytest.raises(OutcomeError, match=r"prompts.jsonl.gz cannot be read: .* Is it complete, and gzip\?"):
        route_file(fitted, POLICY, packed, target)


def test_progress_counts_the_lines_that_are_decided(fitted, prompts, target):
    seen = []
    route_file(fitted, POLICY, prompts, target, block_lines=10, on_progress=seen.append)
    assert seen == [10, 20, 25]


def test_memory_does_not_grow_with_the_number_of_lines(fitted, tmp_path):
    def peak(n):
        prompts = write_prompts(tmp_path / f"{n}.jsonl", n)
        tracemalloc.start()
        try:
            route_file(fitted, POLICY, prompts, tmp_path / f"{n}.out", block_lines=100)
            # The second run passes over the lines that have their decision.
            route_file(fitted, POLICY, prompts, tmp_path / f"{n}.out", block_lines=100)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)
    # Ten times as many lines; lines that were kept would take ten times the memory.
    assert peak(4000) < 2 * peak(400)
