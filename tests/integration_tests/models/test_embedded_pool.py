"""The embedded pool as it is installed: real weights, really sampled."""

import json
import subprocess
import sys

import numpy as np
import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    VotingOutputParser,
    evaluate,
)
from langchain_selectllm.cli import main
from langchain_selectllm.embedded import (
    embedded_models,
    generate_tasks,
    load_embedded,
    read_answer,
    sample_outcomes,
)
from langchain_selectllm.exceptions import EmbeddedModelError

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def table():
    """Four samples of every member on 440 tasks that none was trained on."""
    return OutcomeTable.from_records(
        *sample_outcomes(generate_tasks(440, seed=7), embedded_models(seed=7), n=4)
    )


@pytest.fixture(scope="module")
def classifier(table):
    return SelectLLMClassifier().fit(table.split(0.4)[0])


@pytest.fixture(scope="module")
def router(classifier):
    return SelectLLMRouter(
        classifier=classifier, models=embedded_models(seed=0), parser=VotingOutputParser(answer=read_answer)
    )


def share(table, member, *categories):
    rows = np.isin(table.categories, categories) if categories else np.ones(len(table), dtype=bool)
    return table.scores[rows, table.members.index(f"embedded:{member}")].mean()


def test_each_specialist_beats_the_generalist_on_its_own_diet_and_loses_elsewhere(table):
    for member, own, others in (
        ("arithmetic", ("addition", "subtraction", "multiplication"), ("sorting", "spelling")),
        ("letters", ("sorting", "spelling", "counting"), ("addition", "multiplication", "units")),
        ("measures", ("units", "clock", "comparison"), ("addition", "sorting", "spelling")),
    ):
        assert share(table, member, *own) > share(table, "generalist", *own)
        assert share(table, member, *others) < share(table, "generalist", *others)


def test_the_oracle_is_at_least_15_points_over_the_single_best(table):
    assert table.labels.max(axis=1).mean() - table.labels.mean(axis=0).max() > 0.15


def test_the_hasty_member_is_surer_than_it_is_right(table):
    column = table.answers[:, table.members.index("embedded:hasty")]
    sure = np.mean([max(answers.count(a) for a in answers) / len(answers) for answers in column])
    assert sure > share(table, "hasty") + 0.2


def test_looking_at_the_query_beats_every_control_on_the_pool(table, classifier):
    report = evaluate(
        classifier, table.split(0.4)[1], policies=["weighted_max_conf:1", "weighted_max_conf:3"]
    )
    assert report["weighted_max_conf:3"].versus["single_best"].verdict == "better"
    assert report["weighted_max_conf:1"].versus["fixed_best"].verdict == "better"


def test_a_reply_carries_usage_and_the_name_of_the_model():
    reply = load_embedded("arithmetic", temperature=0).invoke("What is 17 + 25?")
    assert reply.text.endswith("The answer is 42.")
    assert reply.response_metadata == {"model_name": "embedded:arithmetic", "finish_reason": "stop"}
    usage = reply.usage_metadata
    assert usage["input_tokens"] == len(
        ["<ask>", "What", " is", " ", "1", "7", " ", "+", " ", "2", "5", "?", "<reply>"]
    )
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_the_same_seed_gives_the_same_reply_and_temperature_0_always_does():
    prompt = "Sort the letters of 'banodi'."
    seeded = load_embedded("generalist", seed=3, temperature=1.5)
    assert seeded.invoke(prompt).text == seeded.invoke(prompt).text
    drawn = {m.text for m in load_embedded("generalist", seed=3, temperature=1.5).sample([prompt], 20)[0]}
    assert len(drawn) > 1
    greedy = load_embedded("generalist", temperature=0)
    assert len({m.text for m in greedy.sample([prompt], 5)[0]}) == 1
    assert greedy.invoke(prompt).text == seeded.invoke(prompt, temperature=0).text


def test_a_prompt_gets_the_same_reply_alone_and_in_a_batch():
    model = load_embedded("measures", temperature=0)
    prompts = [task.text for task in generate_tasks(33, seed=9)]
    together = [messages[0].text for messages in model.sample(prompts)]
    assert together == [model.invoke(prompt).text for prompt in prompts]


def test_several_replies_come_from_one_call():
    result = load_embedded("letters", seed=0).generate([[HumanMessage("Spell 'kato' backwards.")]], n=3)
    assert len(result.generations[0]) == 3


def test_a_streamed_reply_is_the_same_reply_in_pieces():
    model = load_embedded("arithmetic", seed=5)
    chunks = list(model.stream("What is 17 + 25?"))
    assert len([chunk for chunk in chunks if chunk.text]) > 5
    whole = sum(chunks[1:], chunks[0])
    asked = model.invoke("What is 17 + 25?")
    assert whole.text == asked.text
    assert whole.usage_metadata == asked.usage_metadata
    stopped = model.invoke("What is 17 + 25?", stop=["swer"])
    assert "".join(chunk.text for chunk in model.stream("What is 17 + 25?", stop=["swer"])) == stopped.text
    assert stopped.text.endswith("The an")


def test_stop_and_the_token_limit_end_a_reply():
    model = load_embedded("arithmetic", temperature=0)
    assert model.invoke("What is 17 + 25?", stop=["The answer"]).text.strip().endswith("7+5=12.")
    short = model.invoke("What is 17 + 25?", max_tokens=3)
    assert short.response_metadata["finish_reason"] == "length"
    assert short.usage_metadata["output_tokens"] == 3


async def test_async_calls_answer_alike():
    model = load_embedded("measures", temperature=0)
    assert (await model.ainvoke("How many minutes are 3 hours?")).text == model.invoke(
        "How many minutes are 3 hours?"
    ).text


def test_only_the_last_human_message_is_read():
    model = load_embedded("letters", temperature=0)
    messages = [SystemMessage("Be kind."), HumanMessage("Spell 'kato' backwards.")]
    assert model.invoke(messages).text == model.invoke("Spell 'kato' backwards.").text


def test_settings_out_of_range_and_long_prompts_are_errors():
    model = load_embedded("letters")
    with pytest.raises(
        EmbeddedModelError, match=r"A prompt has \d+ tokens; the embedded models read 448 at most"
    ):
        model.invoke("1" * 500)
    with pytest.raises(
        EmbeddedModelError, match=r"temperature is -1, n is 1, max_tokens is 64\. Use a temperature from 0"
    ):
        model.invoke("What is 1 + 1?", temperature=-1)


def test_the_router_answers_numbers_and_words_live(router):
    reply = router.invoke("What is 21 + 34?")
    told = reply.response_metadata["selectllm"]
    assert told["answer"] == "55"
    assert "embedded:arithmetic" in told["selection"]["members"]
    assert reply.usage_metadata["total_tokens"] > 0
    word = router.invoke("Spell 'kato' backwards.").response_metadata["selectllm"]
    assert word["answer"] == "otak"
    assert "embedded:letters" in word["selection"]["members"]


async def test_the_router_answers_live_and_async(router):
    replies = await router.abatch(["What is 21 + 34?", "How many minutes are 3 hours?"])
    assert [reply.response_metadata["selectllm"]["answer"] for reply in replies] == ["55", "180"]


def test_a_process_ends_cleanly_while_given_up_calls_still_run():
    script = (
        "import threading, time\n"
        "from langchain_selectllm import load_embedded\n"
        "model = load_embedded('generalist', max_tokens=400)\n"
        "model.invoke('What is 1 + 1?')\n"
        "for _ in range(4):\n"
        "    threading.Thread(target=model.sample, args=(['Sort the letters of x.'], 400), daemon=True).start()\n"
        "time.sleep(0.3)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def selectllm(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["selectllm", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


def test_the_demo_tells_the_whole_story_and_what_it_keeps_can_be_asked(selectllm, tmp_path):
    kept = tmp_path / "demo"
    code, out, _ = selectllm("demo", "--queries", 220, "--samples", 3, "--out", kept)
    assert code == 0
    for part in (
        "3,300 replies",
        "some member",
        "Out of fold",
        "oracle",
        "Verdict: ",
        "Prompt: ",
        "Voted answer: ",
        "Done in",
    ):
        assert part in out
    code, out, _ = selectllm("ask", kept / "router", "What is 21 + 34?", "--json")
    assert code == 0
    assert json.loads(out)["answer"] == "55"
    code, out, _ = selectllm("ask", kept / "router", "What is 21 + 34?", "--policy", "max_conf:1")
    assert "Voted answer: 55" in out
    assert len(OutcomeTable.from_folders(kept / "outcomes")) == 220
    code, _, err = selectllm("demo", "--out", kept)
    assert code == 2
    assert "exists and is not an empty folder" in err


def test_replies_carry_the_log_probabilities_of_their_tokens_when_requested():
    silent, model = (load_embedded("arithmetic", seed=3, logprobs=asked) for asked in (False, True))
    (task,) = generate_tasks(1, seed=3)
    message = model.invoke(task.text)
    assert message.text == silent.invoke(task.text).text
    assert "logprobs" not in silent.invoke(task.text).response_metadata
    assert "logprobs" in silent.invoke(task.text, logprobs=True, top_logprobs=2).response_metadata
    said = message.response_metadata["logprobs"]["content"]
    assert "".join(entry["token"] for entry in said) == message.text
    for entry in said:
        listed = {other["token"]: other["logprob"] for other in entry["top_logprobs"]}
        assert len(listed) == 5
        assert sum(map(np.exp, listed.values())) <= 1 + 1e-6
        assert entry["logprob"] == listed.get(entry["token"], entry["logprob"]) <= 0
    streamed = list(model.stream(task.text))
    assert streamed[-1].response_metadata["logprobs"] == message.response_metadata["logprobs"]


def test_sampled_outcomes_hold_figures_about_the_answer_that_is_read():
    records = sample_outcomes(generate_tasks(20, seed=4), embedded_models(seed=4, logprobs=True), n=2)
    table = OutcomeTable.from_records(*records)
    for answers, cell in zip(table.answers.ravel(), table.token_probabilities.ravel(), strict=True):
        for answer, figures in zip(answers, cell, strict=True):
            assert figures.mean <= 0
            assert answer is None or figures.log_probability_of(answer) is not None
