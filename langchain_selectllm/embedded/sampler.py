"""Sampling from a small causal language model: many prompts and many samples at once."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as remembered
from inspect import signature
from itertools import starmap
from pathlib import Path
from typing import Any, Self

from langchain_selectllm._optional import require
from langchain_selectllm.embedded.shutdown import SHUTDOWN
from langchain_selectllm.exceptions import EmbeddedModelError

MAX_PROMPT_TOKENS = 448
"""Longest prompt; the tasks that the models were trained on have fewer than 60."""

_WEIGHTS = "model.safetensors"
_ROWS = 512
"""Replies that are sampled at once."""

LogProbs = tuple[float, Sequence[tuple[int, float]]]
"""Log-probability of a drawn token, and the most probable token ids with theirs."""
_Step = tuple[list[int], list[int], list[LogProbs] | None]
"""Unfinished rows, the next token id of each, and its log-probabilities where they are requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One sampled reply."""

    text: str
    input_tokens: int
    output_tokens: int
    """Tokens drawn, the end mark included."""
    finished: bool
    """Whether the model ended the reply itself, before the limit."""
    logprobs: Sequence[Mapping[str, Any]] | None = None
    """One entry per token of the text, as OpenAI's chat completions have them; None unless requested."""


class Sampler:
    """A causal language model with its tokenizer; safe to use from several threads."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))], skip_special_tokens=True)
        self._marks = [i for i in tokenizer.all_special_ids if i != tokenizer.eos_token_id]
        self._torch = require("torch", extra="embedded", needed_by="The embedded pool")
        # Renamed in transformers 5.24; the old name then warns.
        self._cache_name = "past_key_values"
        if "cache" in signature(model.forward).parameters:
            self._cache_name = "cache"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Loads config.json, model.safetensors and tokenizer.json of a folder, on the CPU in float32."""
        require("torch", extra="embedded", needed_by="The embedded pool")
        transformers = require("transformers", extra="embedded", needed_by="The embedded pool")
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig.from_pretrained(folder, local_files_only=True)
        )
        # Not from_pretrained: it draws a progress bar for a megabyte. The output layer is the embedding,
        # stored once.
        weights = require("safetensors.torch", extra="embedded", needed_by="The embedded pool").load_file(
            folder / _WEIGHTS
        )
        model.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]})
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        return cls(model.eval().requires_grad_(requires_grad=False), tokenizer)

    def sample(
        self,
        texts: Sequence[str],
        *,
        n: int = 1,
        temperature: float = 0.7,
        max_tokens: int = 64,
        seed: int | None = None,
        stop: Sequence[str] = (),
        top_logprobs: int | None = None,
    ) -> list[list[Sampled]]:
        """Returns replies to each text.

        Args:
            texts: Prompts; prompts of like length are sampled together.
            n: Replies per prompt.
            temperature: 0 takes the most probable token every time.
            max_tokens: Tokens per reply, at most.
            seed: Equal seeds and texts give equal replies; fresh randomness when None.
            stop: A reply is cut in front of the first of these.
            top_logprobs: Alternatives per token that are listed with their log-probabilities; replies have no
                log-probabilities at all when None.

        Raises:
            EmbeddedModelError: If a prompt is longer than MAX_PROMPT_TOKENS, or a setting is out of its
            range.
        """
        prompts = self._checked(texts, n=n, temperature=temperature, max_tokens=max_tokens)
        generator = self._generator(seed)
        results: list[list[Sampled]] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda i: len(prompts[i]))
        for rows in _chunks(order, max(_ROWS // n, 1)):
            drawn = [_Drawn() for _ in range(len(rows) * n)]
            batch = [prompts[i] for i in rows]
            for step in _guarded(self._steps(batch, n, temperature, max_tokens, generator, top_logprobs)):
                _append(drawn, step)
            for position, i in enumerate(rows):
                replies = drawn[position * n : (position + 1) * n]
                results[i] = [self._sampled(reply, len(prompts[i]), stop) for reply in replies]
        return results

    def stream(
        self,
        text: str,
        *,
        temperature: float = 0.7,
        max_tokens: int = 64,
        seed: int | None = None,
        stop: Sequence[str] = (),
        top_logprobs: int | None = None,
    ) -> Iterator[Sampled]:
        """Yields the growing reply to one text, token by token; it ends as the reply that `sample` draws.

        Raises:
            EmbeddedModelError: If the prompt is longer than MAX_PROMPT_TOKENS, or a setting is out of its
            range.
        """
        prompts = self._checked([text], n=1, temperature=temperature, max_tokens=max_tokens)
        reply, generator = _Drawn(), self._generator(seed)
        for step in _guarded(self._steps(prompts, 1, temperature, max_tokens, generator, top_logprobs)):
            _append([reply], step)
            yield self._sampled(reply, len(prompts[0]), stop)

    def _checked(
        self, texts: Sequence[str], *, n: int, temperature: float, max_tokens: int
    ) -> list[list[int]]:
        """Returns the token ids of each text, after checking the settings."""
        if not (temperature >= 0.0 and n >= 1 and max_tokens >= 1):
            raise EmbeddedModelError(
                f"temperature is {temperature}, n is {n}, max_tokens is {max_tokens}. "
                "Use a temperature from 0, n and max_tokens from 1."
            )
        prompts: list[list[int]] = [self._tokenizer(text)["input_ids"] for text in texts]
        longest = max(map(len, prompts), default=0)
        if longest > MAX_PROMPT_TOKENS:
            raise EmbeddedModelError(
                f"A prompt has {longest} tokens; the embedded models read {MAX_PROMPT_TOKENS} at most. "
                "Shorten it."
            )
        return prompts

    def _generator(self, seed: int | None) -> Any:
        generator = self._torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        return generator

    def _steps(
        self,
        prompts: Sequence[list[int]],
        n: int,
        temperature: float,
        max_tokens: int,
        generator: Any,
        top_logprobs: int | None,
    ) -> Iterator[_Step]:
        """Yields step by step the unfinished rows and their next token ids; n consecutive rows per prompt."""
        torch, model = self._torch, self._model
        padded = self._tokenizer.pad({"input_ids": list(prompts)}, return_tensors="pt")
        mask, ids = padded["attention_mask"], padded["input_ids"]
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = require("transformers", extra="embedded", needed_by="The embedded pool").DynamicCache()
        remembers = {"use_cache": True, self._cache_name: cache}
        out = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, **remembers)
        logits = out.logits[:, -1].repeat_interleave(n, dim=0)
        cache.batch_repeat_interleave(n)
        mask, position = mask.repeat_interleave(n, dim=0), positions[:, -1:].repeat_interleave(n, dim=0)
        alive = torch.arange(len(logits))
        # Marks are no part of a reply, and a reply has one token at least.
        logits[:, self._tokenizer.eos_token_id] = -torch.inf
        for _ in range(max_tokens):
            logits[:, self._marks] = -torch.inf
            token = _next_token(torch, logits, temperature, generator)
            logprobs = None
            if top_logprobs is not None:
                logprobs = _log_probabilities(torch, logits, token, top_logprobs)
            yield alive.tolist(), token.tolist(), logprobs
            going = (token != self._tokenizer.eos_token_id).nonzero()[:, 0]
            if not len(going):
                return
            if len(going) < len(alive):
                # Finished rows leave the batch, so that a long reply does not keep the short ones busy.
                alive, token, mask, position = alive[going], token[going], mask[going], position[going]
                cache.batch_select_indices(going)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            position = position + 1
            out = model(input_ids=token[:, None], attention_mask=mask, position_ids=position, **remembers)
            logits = out.logits[:, -1]

    def _sampled(self, drawn: "_Drawn", input_tokens: int, stop: Sequence[str]) -> Sampled:
        reply = drawn.tokens
        finished = reply[-1] == self._tokenizer.eos_token_id
        text = self._tokenizer.decode(reply, skip_special_tokens=True)
        cuts = [text.index(mark) for mark in stop if mark and mark in text]
        if cuts:
            text, finished = text[: min(cuts)], True
        return Sampled(
            text=text,
            input_tokens=input_tokens,
            output_tokens=len(reply),
            finished=finished,
            logprobs=self._entries(drawn, text),
        )

    def _entries(self, drawn: "_Drawn", text: str) -> list[dict[str, Any]] | None:
        """Log-probabilities of the tokens that make up the text, in OpenAI's shape; None unless requested."""
        if drawn.logprobs is None:
            return None
        entries: list[dict[str, Any]] = []
        length = 0
        for token, (logprob, likeliest) in zip(drawn.tokens, drawn.logprobs, strict=True):
            if length >= len(text):
                break
            entry = self._entry(token, logprob)
            entry["top_logprobs"] = list(starmap(self._entry, likeliest))
            entries.append(entry)
            length += len(entry["token"])
        return entries

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        """One token with its log-probability; the models read and write characters, one per token."""
        return {"token": self._texts[token], "logprob": logprob, "bytes": None}


@dataclass(slots=True)
class _Drawn:
    """Tokens of one reply so far, with their log-probabilities where they are requested."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[LogProbs] | None = None


def _append(drawn: Sequence[_Drawn], step: _Step) -> None:
    rows, tokens, logprobs = step
    for i, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        drawn[row].tokens.append(token)
        if logprobs is not None:
            drawn[row].logprobs = [*(drawn[row].logprobs or ()), logprobs[i]]


def _log_probabilities(torch: Any, logits: Any, tokens: Any, top: int) -> list[LogProbs]:
    """Log-probabilities at temperature 1, as servers report them, whatever the sampling temperature."""
    logprobs = torch.log_softmax(logits, dim=-1)
    drawn = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
    likeliest = logprobs.topk(top, dim=-1)
    rows = zip(drawn, likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    found: list[LogProbs] = []
    for logprob, ids, values in rows:
        found.append((logprob, list(zip(ids, values, strict=True))))
    return found


_LOADING = threading.Lock()


def shared_sampler(folder: Path) -> Sampler:
    """Returns the sampler of a folder, loaded once per process and shared by its chat models."""
    with _LOADING, SHUTDOWN:
        return _load(folder)


@remembered
def _load(folder: Path) -> Sampler:
    return Sampler.load(folder)


def _guarded(steps: Iterator[_Step]) -> Iterator[_Step]:
    """Yields the steps, each of which ends before the interpreter does."""
    while True:
        with SHUTDOWN:
            step = next(steps, None)
        if step is None:
            return
        yield step


def _next_token(torch: Any, logits: Any, temperature: float, generator: Any) -> Any:
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator)[:, 0]


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
