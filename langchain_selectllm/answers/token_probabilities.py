"""Token log-probabilities of a reply, reduced to a few figures about how sure a model was of its answer."""

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self

from langchain_selectllm.answers.letters import lone_letter
from langchain_selectllm.answers.numerals import is_numeral, numerals, render
from langchain_selectllm.answers.statements import own_part

VERSION = "1"
"""Version of the definitions below; figures of another version count as unknown."""
WINDOW = 16
"""Tokens of a window. DeepConf (arXiv 2508.15260) takes 1,024 or 2,048 for reasoning of tens of thousands of
tokens; 16 tokens are a clause, so that replies of some hundred tokens have windows too."""
MAX_ALTERNATIVES = 10
"""Answers kept with their log-probability, the most probable ones."""
_LOWEST = -20.0
"""Log-probabilities below this count as this. OpenAI's servers send -9999 for an improbable token, which
would decide every mean."""


class TokenProbabilitiesError(ValueError):
    """Recorded figures are malformed."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    logprob: float
    alternatives: Sequence[tuple[str, float]] = ()
    """Most probable tokens at this place with their log-probabilities, the drawn one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProbabilities:
    """Figures from the natural log-probabilities of one reply's tokens; None = unknown, never 0."""

    mean: float | None = None
    """Mean over all tokens."""
    lowest_window: float | None = None
    """Lowest mean of `WINDOW` consecutive tokens; that of all tokens in a shorter reply."""
    answer: str | None = None
    """Canonical answer that the figures below are about."""
    answer_mean: float | None = None
    """Mean over the tokens of the answer, where the reply names it last."""
    answer_entropy: float | None = None
    """Entropy in nats of the most probable tokens and all others together, at the first token of the answer;
    unknown where no alternatives came."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """Log-probability of each answer that could stand at that place: the sum over the answer's own tokens,
    and the other letters among the alternatives where the answer is a letter."""

    def log_probability_of(self, answer: str | None) -> float | None:
        """Log-probability that the model gave to an answer; None where it is unknown."""
        if answer is None:
            return None
        return self.answers.get(answer)

    def to_fields(self) -> dict[str, Any]:
        """The known figures and the version, as JSON types."""
        fields: dict[str, Any] = {"version": VERSION}
        for name in _FIGURES:
            value = getattr(self, name)
            if value is not None:
                fields[name] = value
        if self.answers:
            fields["answers"] = dict(self.answers)
        return fields

    @classmethod
    def from_fields(cls, fields: Any) -> Self | None:
        """The figures of a record; None without any, or with those of another version.

        Raises:
            TokenProbabilitiesError: If a figure has the wrong type or range.
        """
        if fields is None:
            return None
        if not isinstance(fields, Mapping):
            raise TokenProbabilitiesError(f"{fields!r} is no object")
        if fields.get("version") != VERSION:
            return None
        answer = fields.get("answer")
        if not (answer is None or isinstance(answer, str)):
            raise TokenProbabilitiesError(f"answer is {answer!r}; it should be a string or null")
        answers = fields.get("answers") or {}
        if not isinstance(answers, Mapping):
            raise TokenProbabilitiesError(f"answers is {answers!r}; it should be an object")
        return cls(
            mean=_at_most_zero(fields, "mean"),
            lowest_window=_at_most_zero(fields, "lowest_window"),
            answer=answer,
            answer_mean=_at_most_zero(fields, "answer_mean"),
            answer_entropy=_number(fields, "answer_entropy"),
            answers={str(name): _known(_at_most_zero(answers, name), name) for name in answers},
        )


_FIGURES = ("mean", "lowest_window", "answer", "answer_mean", "answer_entropy")


def read_token_probabilities(
    response_metadata: Mapping[str, Any], answer: str | None
) -> TokenProbabilities | None:
    """The figures of one message; None where it carries no usable log-probabilities.

    Read are the shapes of `response_metadata["logprobs"]` that LangChain's clients deliver: that of chat
    completions (OpenAI, vLLM, llama.cpp), the bare list of Ollama, and the parallel lists of completions.

    Args:
        response_metadata: The message's own.
        answer: Canonical answer that was read from the reply; None = abstain.
    """
    tokens = list(_tokens(response_metadata.get("logprobs")))
    if not tokens:
        return None
    mean = _mean_of(tokens)
    lowest = min(_mean_of(tokens[i : i + WINDOW]) for i in range(max(len(tokens) - WINDOW, 0) + 1))
    named = _answer_tokens(tokens, answer)
    if answer is None or not named:
        return TokenProbabilities(mean=mean, lowest_window=lowest)
    return TokenProbabilities(
        mean=mean,
        lowest_window=lowest,
        answer=answer,
        answer_mean=_mean_of(named),
        answer_entropy=_entropy(named[0].alternatives),
        answers=_answers(answer, named),
    )


def _tokens(logprobs: Any) -> Iterator[_Token]:
    """The tokens of any known shape; none where a log-probability is missing or no number."""
    entries = logprobs
    if isinstance(logprobs, Mapping):
        entries = logprobs.get("content")
        if entries is None and isinstance(logprobs.get("tokens"), Sequence):
            entries = _paired(logprobs["tokens"], logprobs.get("token_logprobs"))
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return
    read = list(map(_token, entries))
    for token in read:
        if token is None:
            return
    yield from filter(None, read)


def _paired(tokens: Sequence[Any], logprobs: Any) -> list[dict[str, Any]]:
    """Parallel lists of tokens and log-probabilities as entries; none where their lengths differ."""
    if not isinstance(logprobs, Sequence) or len(logprobs) != len(tokens):
        return []
    return [{"token": token, "logprob": logprob} for token, logprob in zip(tokens, logprobs, strict=True)]


def _token(entry: Any) -> _Token | None:
    fields = _fields_of(entry)
    logprob = _bounded(fields.get("logprob"))
    if logprob is None or not isinstance(fields.get("token"), str):
        return None
    alternatives = []
    for other in map(_fields_of, fields.get("top_logprobs") or ()):
        value = _bounded(other.get("logprob"))
        if value is not None and isinstance(other.get("token"), str):
            alternatives.append((other["token"], value))
    return _Token(fields["token"], logprob, alternatives)


def _fields_of(entry: Any) -> Mapping[str, Any]:
    """The fields of an entry; Ollama's client delivers objects with attributes instead of mappings."""
    if isinstance(entry, Mapping):
        return entry
    return {name: getattr(entry, name, None) for name in ("token", "logprob", "top_logprobs")}


def _bounded(value: Any) -> float | None:
    """The log-probability in [_LOWEST, 0]; None for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    # Sums of rounded logits may exceed 0 by a little.
    return min(max(float(value), _LOWEST), 0.0)


def _mean_of(tokens: Sequence[_Token]) -> float:
    return math.fsum(token.logprob for token in tokens) / len(tokens)


def _answer_tokens(tokens: Sequence[_Token], answer: str | None) -> Sequence[_Token]:
    """The tokens of the place where the reply names its answer last; none where there is no such place."""
    text = "".join([token.text for token in tokens])
    span = None
    if answer:
        span = _last_place(own_part(text), answer)
    if span is None:
        return ()
    ends = list(accumulate(len(token.text) for token in tokens))
    named = []
    for token, end in zip(tokens, ends, strict=True):
        if end > span[0] and end - len(token.text) < span[1]:
            named.append(token)
    return named


def _last_place(text: str, answer: str) -> tuple[int, int] | None:
    """Start and end of the last place of a canonical answer: a letter, a number, or a text word for word."""
    if lone_letter(answer) == answer:
        letters = deque(re.finditer(rf"(?<![^\W_]){answer}(?![^\W_])", text), maxlen=1)
        return letters[0].span() if letters else None
    if is_numeral(answer):
        return _last_number(text, answer)
    start = text.lower().rfind(answer.lower())
    if start < 0:
        return None
    return start, start + len(answer)


def _last_number(text: str, answer: str) -> tuple[int, int] | None:
    place = None
    for numeral in numerals(text):
        if numeral.value is not None and render(numeral.value) == answer:
            place = numeral.start
    if place is None:
        return None
    written = re.compile(r"[^\s]*[0-9]").match(text, place)
    if written is None:
        return None
    return written.span()


def _entropy(alternatives: Sequence[tuple[str, float]]) -> float | None:
    if len(alternatives) < 2:
        return None
    shares = [math.exp(logprob) for _, logprob in alternatives]
    shares.append(max(1.0 - math.fsum(shares), 0.0))
    return max(-math.fsum(share * math.log(share) for share in shares if share > 0), 0.0)


def _answers(answer: str, named: Sequence[_Token]) -> dict[str, float]:
    """Log-probability of the answer and, where it is one letter in one token, of the other letters."""
    own = math.fsum(token.logprob for token in named)
    if len(named) > 1 or lone_letter(answer) != answer:
        return {answer: own}
    shares: dict[str, float] = {}
    for text, logprob in named[0].alternatives:
        letter = lone_letter(text)
        if letter is not None:
            shares[letter] = shares.get(letter, 0.0) + math.exp(logprob)
    shares[answer] = max(shares.get(answer, 0.0), math.exp(own))
    likeliest = sorted(shares, key=lambda letter: -shares[letter])[:MAX_ALTERNATIVES]
    found = {}
    for letter in dict.fromkeys([answer, *likeliest]):
        found[letter] = min(math.log(shares[letter]), 0.0)
    return found


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TokenProbabilitiesError(f"{name} is {value!r}; it should be a number or null")
    return float(value)


def _at_most_zero(fields: Mapping[str, Any], name: str) -> float | None:
    value = _number(fields, name)
    if value is not None and value > 0.0:
        raise TokenProbabilitiesError(f"{name} is {value!r}; a log-probability is at most 0")
    return value


def _known(value: float | None, name: str) -> float:
    if value is None:
        raise TokenProbabilitiesError(f"answers[{name!r}] is null; leave unknown answers out")
    return value
