"""The kinds of tasks: arithmetic, comparisons, units, the clock, letters, small word problems."""

import random
from collections.abc import Callable, Mapping

from langchain_selectllm.embedded.task import Task


def _addition(rng: random.Random) -> Task:
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    text = rng.choice(
        (
            "What is {a} + {b}?",
            "Add {a} and {b}.",
            "{a} plus {b}",
            "What is the sum of {a} and {b}?",
            "Calculate {a}+{b}.",
        )
    )
    working = f"{a - a % 10}+{b - b % 10}={a + b - a % 10 - b % 10}, {a % 10}+{b % 10}={a % 10 + b % 10}."
    return _number("addition", text.format(a=a, b=b), a + b, _sum(a, b), working)


def _subtraction(rng: random.Random) -> Task:
    b, a = sorted((rng.randint(2, 99), rng.randint(2, 99)))
    text = rng.choice(
        (
            "What is {a} - {b}?",
            "Subtract {b} from {a}.",
            "{a} minus {b}",
            "What is the difference of {a} and {b}?",
            "Calculate {a}-{b}.",
        )
    )
    tens = a - (b - b % 10)
    working = f"{a}-{b - b % 10}={tens}, {tens}-{b % 10}={a - b}."
    return _number("subtraction", text.format(a=a, b=b), a - b, f"{a}-{b}", working)


def _multiplication(rng: random.Random) -> Task:
    a, b = rng.randint(11, 60), rng.randint(2, 9)
    text = rng.choice(
        (
            "What is {a} * {b}?",
            "Multiply {a} by {b}.",
            "{a} times {b}",
            "What is the product of {a} and {b}?",
            "Calculate {a}*{b}.",
        )
    )
    return _number("multiplication", text.format(a=a, b=b), a * b, f"{a}*{b}", _product(a, b))


def _comparison(rng: random.Random) -> Task:
    top = rng.choice((99, 999))
    numbers = rng.sample(range(2, top), rng.choice((2, 2, 3)))
    word, answer = rng.choice((("larg", max(numbers)), ("small", min(numbers))))
    listed = ", ".join(map(str, numbers[:-1])) + f" or {numbers[-1]}"
    ending = "est"
    if len(numbers) == 2:
        ending = "er"
    text = rng.choice(
        (
            "Which is {word}{ending}, {listed}?",
            "What is the {word}{ending} number: {listed}?",
            "{listed}: which is {word}{ending}?",
        )
    )
    problem = f"{word}est of {sorted(numbers)}"
    return _number("comparison", text.format(word=word, ending=ending, listed=listed), answer, problem)


_UNITS = (
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("years", "months", 12),
    ("feet", "inches", 12),
    ("metres", "centimetres", 100),
    ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000),
    ("centimetres", "millimetres", 10),
)


def _units(rng: random.Random) -> Task:
    large, small, factor = rng.choice(_UNITS)
    n = rng.randint(2, 40)
    problem = f"{n} {large}"
    if rng.random() < 0.3:
        text = rng.choice(("Convert {n} {small} to {large}.", "How many {large} are {n} {small}?"))
        return _number("units", text.format(n=n * factor, small=small, large=large), n, problem + " back")
    text = rng.choice(
        ("Convert {n} {large} to {small}.", "How many {small} are {n} {large}?", "{n} {large} in {small}?")
    )
    working = ""
    if factor in {60, 24, 12, 7}:
        working = _product(n, factor)
    return _number("units", text.format(n=n, small=small, large=large), n * factor, problem, working)


def _clock(rng: random.Random) -> Task:
    start, span = 5 * rng.randrange(288), 5 * rng.randint(1, 23)
    if rng.random() < 0.3:
        start = min(start, 24 * 60 - 5 - span)
        text = rng.choice(
            ("How many minutes is it from {a} to {b}?", "It is {a}. How many minutes is it until {b}?")
        )
        return _number(
            "clock", text.format(a=_time(start), b=_time(start + span)), span, f"{start} until {span}"
        )
    if rng.random() < 0.5:
        text = rng.choice(
            ("It is {a}. What time is it in {n} minutes?", "What time is it {n} minutes after {a}?")
        )
        answer = _time(start + span)
    else:
        text = rng.choice(
            ("It is {a}. What time was it {n} minutes ago?", "What time is it {n} minutes before {a}?")
        )
        answer = _time(start - span)
    return _text("clock", text.format(a=_time(start), n=span), answer, f"{start} plus or minus {span}")


def _sorting(rng: random.Random) -> Task:
    word = _word(rng, 3, 6)
    text = rng.choice(
        (
            "Sort the letters of '{w}'.",
            "Put the letters of '{w}' in alphabetical order.",
            "What are the letters of '{w}', sorted?",
        )
    )
    return _text("sorting", text.format(w=word), "".join(sorted(word)), f"sort {word}")


def _counting(rng: random.Random) -> Task:
    word = _word(rng, 3, 9)
    if rng.random() < 0.4:
        text = rng.choice(
            (
                "How many letters has the word '{w}'?",
                "Count the letters of '{w}'.",
                "How long is the word '{w}'?",
            )
        )
        return _number("counting", text.format(w=word), len(word), f"length of {word}")
    letter = rng.choice(word + "aeiou")
    text = rng.choice(("How many times does '{x}' occur in '{w}'?", "Count the letter '{x}' in '{w}'."))
    return _number("counting", text.format(w=word, x=letter), word.count(letter), f"{letter} in {word}")


def _spelling(rng: random.Random) -> Task:
    word = _word(rng, 3, 6)
    kind = rng.choice(("backwards", "backwards", "first", "last"))
    if kind == "backwards":
        text = rng.choice(("Spell '{w}' backwards.", "Write '{w}' in reverse.", "What is '{w}' backwards?"))
        answer = word[::-1]
    else:
        text = rng.choice(("What is the {kind} letter of '{w}'?", "Give the {kind} letter of '{w}'."))
        answer = {"first": word[0], "last": word[-1]}[kind]
    return _text("spelling", text.format(w=word, kind=kind), answer, f"{kind} of {word}")


_NAMES = ("Anna", "Tom", "Mia", "Ben", "Lena", "Omar", "Ravi", "Zoe")
_THINGS = ("apples", "pens", "books", "coins", "cards", "eggs", "stamps", "shells")
_GAINS = (
    "{who} has {a} {what} and buys {b} more. How many {what} has {who} now?",
    "{who} had {a} {what} and found {b} {what}. How many are there now?",
    "There are {a} {what} on a table and {b} in a box. How many {what} are there?",
)
_LOSSES = (
    "{who} has {a} {what} and gives {b} away. How many {what} are left?",
    "Of {a} {what}, {who} sold {b}. How many remain?",
    "{who} had {a} {what} and lost {b}. How many {what} has {who} now?",
)
_PACKS = (
    "There are {b} boxes with {a} {what} each. How many {what} are there?",
    "{who} buys {b} bags of {a} {what}. How many {what} is that?",
    "Each of {b} friends has {a} {what}. How many {what} have they together?",
)


def _word_problem(rng: random.Random) -> Task:
    who, what = rng.choice(_NAMES), rng.choice(_THINGS)
    b, a = sorted(rng.sample(range(2, 40), 2))
    kind = rng.choice("+-*")
    if kind == "*":
        b = rng.randint(2, 6)
    answer = {"+": a + b, "-": a - b, "*": a * b}[kind]
    text = rng.choice({"+": _GAINS, "-": _LOSSES, "*": _PACKS}[kind]).format(who=who, what=what, a=a, b=b)
    problem = f"{a}{kind}{b}"
    if kind == "+":
        problem = _sum(a, b)
    return _number("word problems", text, answer, problem, f"{a}{kind}{b}={answer}.")


def _sequence(rng: random.Random) -> Task:
    start, step = rng.randint(1, 40), rng.randint(2, 12)
    if rng.random() < 0.3:
        start, step = start + 4 * step, -step
    shown = ", ".join(str(start + i * step) for i in range(4))
    text = rng.choice(("What comes next: {s}?", "Continue: {s}, ...", "{s}. Which number is next?"))
    answer = start + 4 * step
    working = f"{answer - step}{step:+d}={answer}."
    return _number("sequences", text.format(s=shown), answer, f"from {start} by {step}", working)


CATEGORIES: Mapping[str, Callable[[random.Random], Task]] = {
    "addition": _addition,
    "subtraction": _subtraction,
    "multiplication": _multiplication,
    "sequences": _sequence,
    "word problems": _word_problem,
    "comparison": _comparison,
    "units": _units,
    "clock": _clock,
    "sorting": _sorting,
    "counting": _counting,
    "spelling": _spelling,
}
"""Function that draws a task, by category."""


def _number(category: str, text: str, answer: int, problem: str, working: str = "") -> Task:
    return Task(
        category=category,
        text=text,
        reference=str(answer),
        answer_type="number",
        problem=problem,
        working=working,
    )


def _text(category: str, text: str, answer: str, problem: str) -> Task:
    return Task(category=category, text=text, reference=answer, answer_type="text", problem=problem)


def _sum(a: int, b: int) -> str:
    """Returns the problem of a sum, equal for both orders of its numbers."""
    return f"{min(a, b)}+{max(a, b)}"


def _product(a: int, b: int) -> str:
    """Returns the steps of a product by tens and ones of `a`."""
    tens, ones = a - a % 10, a % 10
    if not tens or not ones:
        return f"{a}*{b}={a * b}."
    return f"{tens}*{b}={tens * b}, {ones}*{b}={ones * b}."


def _time(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _word(rng: random.Random, shortest: int, longest: int) -> str:
    """Returns a pronounceable word of no language: there are more of them than a model can memorise."""
    sounds = ("bcdfghklmnprstvw", "aeiou")
    first = rng.randrange(2)
    letters = (rng.choice(sounds[(first + i) % 2]) for i in range(rng.randint(shortest, longest)))
    return "".join(letters)
