import itertools
import json
import re
from pathlib import Path

import pytest

import langchain_selectllm.embedded
from langchain_selectllm.answers import get_extractor
from langchain_selectllm.answers.base import gold_answer
from langchain_selectllm.embedded import embedded_names, generate_tasks, load_embedded, read_answer
from langchain_selectllm.embedded.task_generator import training_stream
from langchain_selectllm.embedded.task_kinds import CATEGORIES
from langchain_selectllm.exceptions import EmbeddedModelError, OutcomeError

pytestmark = pytest.mark.newest
MODELS = Path(langchain_selectllm.embedded.__file__).parent / "models"
FACTORS = {
    ("hours", "minutes"): 60,
    ("minutes", "seconds"): 60,
    ("days", "hours"): 24,
    ("weeks", "days"): 7,
    ("years", "months"): 12,
    ("feet", "inches"): 12,
    ("metres", "centimetres"): 100,
    ("kilometres", "metres"): 1000,
    ("kilograms", "grams"): 1000,
    ("centimetres", "millimetres"): 10,
}


def solved(task):
    """The answer of a task, found again from its text alone."""
    numbers = [int(n) for n in re.findall(r"\d+", task.text)]
    quoted = re.findall("'([a-z]+)'", task.text)
    return {
        "addition": lambda: sum(numbers),
        "subtraction": lambda: max(numbers) - min(numbers),
        "multiplication": lambda: numbers[0] * numbers[1],
        "sequences": lambda: 2 * numbers[3] - numbers[2],
        "word problems": lambda: told(task.text, numbers),
        "comparison": lambda: max(numbers) if "large" in task.text else min(numbers),
        "units": lambda: converted(task.text, numbers[0]),
        "clock": lambda: clocked(task.text),
        "sorting": lambda: "".join(sorted(quoted[0])),
        "counting": lambda: counted(task.text, quoted),
        "spelling": lambda: spelt(task.text, quoted[0]),
    }[task.category]()


def told(text, numbers):
    a, b = numbers
    if re.search("boxes with|bags of|Each of", text):
        return a * b
    return abs(a - b) if re.search("gives|sold|lost", text) else a + b


def converted(text, n):
    units = [
        word for word in re.findall("[a-z]+", text.lower()) if word in {u for pair in FACTORS for u in pair}
    ]
    source, target = reversed(units) if text.startswith("How") else units
    return n * FACTORS[source, target] if (source, target) in FACTORS else n // FACTORS[target, source]


def clocked(text):
    times = [60 * int(h) + int(m) for h, m in re.findall(r"(\d\d):(\d\d)", text)]
    if len(times) == 2:
        return times[1] - times[0]
    span = int(re.search(r"(\d+) minutes", text)[1])
    then = (times[0] - span if "ago" in text or "before" in text else times[0] + span) % 1440
    return f"{then // 60:02d}:{then % 60:02d}"


def counted(text, quoted):
    if len(quoted) == 1:
        return len(quoted[0])
    letter, word = quoted
    return word.count(letter)


def spelt(text, word):
    if "first" in text:
        return word[0]
    return word[-1] if "last" in text else word[::-1]


@pytest.mark.parametrize("category", CATEGORIES)
def test_references_are_what_the_texts_ask_for(category):
    tasks = generate_tasks(200, seed=3, categories=[category], held_out=None)
    assert {task.category for task in tasks} == {category}
    assert [task.reference for task in tasks] == [str(solved(task)) for task in tasks]


@pytest.mark.parametrize("category", CATEGORIES)
def test_right_replies_are_read_as_right_with_and_without_working(category):
    for task in generate_tasks(100, seed=4, categories=[category], held_out=None):
        extractor = get_extractor(task.answer_type)
        for reply in (task.reply(), task.reply(with_working=True)):
            assert extractor.extract(reply, task.text) == gold_answer(task.reference, extractor)
            assert read_answer(reply) == extractor.canonical(task.reference)


def test_steps_lead_to_the_answer():
    task = next(t for t in generate_tasks(50, categories=["multiplication"]) if int(t.reference) % 10)
    steps = re.findall(r"(\d+)\*(\d+)=(\d+)", task.working)
    assert all(int(a) * int(b) == int(c) for a, b, c in steps)
    assert sum(int(c) for _, _, c in steps) == int(task.reference)
    assert task.reply(with_working=True) == f"{task.working} The answer is {task.reference}."
    assert task.reply() == f"The answer is {task.reference}."


def test_the_same_seed_gives_the_same_tasks_and_another_one_others():
    assert generate_tasks(60, seed=1) == generate_tasks(60, seed=1)
    assert generate_tasks(60, seed=1) != generate_tasks(60, seed=2)


def test_categories_come_in_turn_and_texts_are_distinct():
    tasks = generate_tasks(440)
    assert [task.category for task in tasks[:22]] == [*CATEGORIES, *CATEGORIES]
    assert len({task.text for task in tasks}) == 440


def test_no_held_out_problem_is_ever_trained_on():
    held_out = {task.problem for task in generate_tasks(1100, seed=5)}
    trained = {
        task.problem
        for task in itertools.islice(training_stream(dict.fromkeys(CATEGORIES, 1.0), seed=5), 20_000)
    }
    assert not held_out & trained
    assert not any(task.held_out for task in generate_tasks(110, held_out=False))


def test_a_problem_is_the_same_in_every_phrasing():
    tasks = generate_tasks(3000, seed=6, categories=["addition", "word problems"], held_out=None)
    sums = [task for task in tasks if task.category == "addition" or re.search("buys|found|table", task.text)]
    for task in (task for task in sums if "+" in task.problem):
        assert task.problem == "+".join(str(n) for n in sorted(int(n) for n in re.findall(r"\d+", task.text)))


def test_a_training_stream_follows_its_weights():
    stream = training_stream({"addition": 3.0, "clock": 1.0}, seed=0)
    drawn = [task.category for task in itertools.islice(stream, 2000)]
    assert set(drawn) == {"addition", "clock"}
    assert drawn.count("addition") == pytest.approx(1500, abs=80)


def test_a_task_is_a_query_record():
    task = generate_tasks(1, seed=0, categories=["clock"])[0]
    assert task.query("q1") == {
        "query_id": "q1",
        "query": task.text,
        "reference": task.reference,
        "answer_type": task.answer_type,
        "category": "clock",
    }


def test_an_unknown_category_is_an_error():
    with pytest.raises(OutcomeError, match=r"categories are \('poems',\)\. Use one or more of addition, "):
        generate_tasks(3, categories=["poems"])


def test_more_tasks_than_there_are_is_an_error():
    with pytest.raises(OutcomeError, match="'multiplication' has too few different texts for 5000 tasks"):
        generate_tasks(5000, categories=["multiplication"])


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("30+20=50, 4+7=11. The answer is 61.", "61"),
        ("The answer is -4.", "-4"),
        ("15:25", "15:25"),
        ("eirrv", "eirrv"),
        ("", None),
        ("The answer is unclear.", None),
    ],
)
def test_replies_of_the_pool_are_read_as_number_or_text(reply, answer):
    assert read_answer(reply) == answer


def test_five_models_come_with_the_package_small_and_with_a_card():
    assert embedded_names() == ("arithmetic", "generalist", "hasty", "letters", "measures")
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 12e6
    card = (MODELS / "README.md").read_text(encoding="utf-8")
    for name in embedded_names():
        with (MODELS / name / "model.safetensors").open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = [entry["shape"] for key, entry in header.items() if key != "__metadata__"]
        assert sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes) < 2e6
        assert f"| {name} |" in card


def test_the_oracle_is_far_above_the_single_best():
    points = re.search(
        r"([\d.]+) points over the single best", (MODELS / "README.md").read_text(encoding="utf-8")
    )
    assert float(points[1]) >= 15.0


def test_an_unknown_embedded_model_is_an_error():
    with pytest.raises(
        EmbeddedModelError, match=r"'gpt' is not an embedded model\. Use one of arithmetic, generalist, "
    ):
        load_embedded("gpt")


def test_the_name_says_that_a_member_is_embedded():
    assert load_embedded("letters").model == load_embedded("embedded:letters").model == "embedded:letters"
