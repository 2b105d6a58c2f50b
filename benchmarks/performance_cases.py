"""The parts of the table of performance, each with what it is compared with."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import patch_config
from synthetic import LETTERS, texts
from timing import Row, blocking, in_turns

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.encoders import get_encoder
from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.routing.election import Election, ElectionTerms
from langchain_selectllm.selection.policy_names import parse_policy

TURNS = 7
BATCH = 10_000
SENTENCE_BATCH = 256
PROMPT = "Is it (A) or (B)?"


def imports() -> Iterator[Row]:
    """The package over the modules of langchain_core that it loads, each in fresh processes.

    Both are loaded from bytecode, as after an installation: the first import, which is not counted, writes it.
    """
    ours = "from langchain_selectllm import SelectLLMRouter"
    listed = f"import sys; {ours}; print(*[m for m in sys.modules if m.startswith('langchain_core')])"
    with tempfile.TemporaryDirectory() as bytecode:
        modules = _python(listed, bytecode).split()
        both = {"ours": ours, "core": f"import {', '.join(modules)}"}
        works = {name: partial(_python, code, bytecode) for name, code in both.items()}
        turns = in_turns(works, turns=TURNS)
    added = statistics.median(
        one - two for one, two in zip(turns.seconds["ours"], turns.seconds["core"], strict=True)
    )
    yield Row(
        name="import `SelectLLMRouter`, beyond its modules of langchain_core",
        figure=f"{added:.3f} s",
        ratio=added / 0.15,
        compared_with="0.15 s",
        target=1,
    )


def _python(code: str, bytecode: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def loading(folder: Path) -> Iterator[Row]:
    """An artefact of eight members from the disk."""
    turns = in_turns({"load": lambda: SelectLLMClassifier.from_pretrained(folder)}, turns=TURNS)
    yield Row(name="load an artefact of 8 members", figure=f"{1000 * turns.median('load'):.1f} ms")


def decisions(eight: SelectLLMClassifier, many: SelectLLMClassifier) -> Iterator[Row]:
    """One decision, a batch of them, and one over many members."""
    from sklearn.feature_extraction.text import HashingVectorizer

    policy, hashing = parse_policy("weighted_max_conf:3"), HashingVectorizer()
    prompts = cycle(texts(500, seed=1))
    turns = in_turns(
        {
            "one": lambda: decide_all(eight, policy, [next(prompts)]),
            "hashing": lambda: hashing.transform([next(prompts)]),
            "many": lambda: decide_all(many, policy, [next(prompts)]),
        },
        turns=TURNS,
        repeat=200,
    )
    yield Row(
        name="one decision, 8 members, 80 words",
        figure=_us(turns.median("one")),
        ratio=turns.ratio("one", "hashing"),
        compared_with="HashingVectorizer",
        target=3,
    )
    n_members = len(many.members)
    yield Row(
        name=f"one decision, {n_members} members",
        figure=_us(turns.median("many")),
        ratio=turns.ratio("many", "one"),
        compared_with="8 members",
        target=1.5,
    )
    batch = texts(BATCH, seed=2)
    whole = in_turns({"batch": lambda: decide_all(eight, policy, batch)}, turns=3).median("batch") / BATCH
    yield Row(
        name=f"decision per prompt, {BATCH:,} prompts at once",
        figure=_us(whole),
        ratio=whole / turns.median("one"),
        compared_with="one decision",
        target=0.1,
    )


def encoders(eight: SelectLLMClassifier, sentence_model: str | None) -> Iterator[Row]:
    """One prompt with each encoder, and prompts in a batch."""
    prompts = cycle(texts(100, seed=3))
    lexical = eight.learned.encoder
    known: dict[str, Any] = {"lexical": lexical}
    if sentence_model:
        try:
            known["sentence"] = get_encoder(sentence_model)
        except SelectLLMError as error:
            yield Row(name="sentence encoder", figure=f"not measured: {error}")
    else:
        yield Row(name="sentence encoder", figure="not measured: no `--sentence-model` given")
    batch = texts(SENTENCE_BATCH, seed=4)
    for name, encoder in known.items():
        one = in_turns({"one": lambda e=encoder: e.encode([next(prompts)])}, turns=3, repeat=20).median("one")
        whole = in_turns({"all": lambda e=encoder: e.encode(batch)}, turns=3).median("all") / len(batch)
        yield Row(name=f"{name} encoder, one prompt", figure=_us(one))
        yield Row(
            name=f"{name} encoder, per prompt of {len(batch)}",
            figure=_us(whole),
            ratio=whole / one,
            compared_with="one prompt",
        )


def election(eight: SelectLLMClassifier) -> Iterator[Row]:
    """Reading and voting on eight replies."""
    decision = decide_all(eight, parse_policy("learned:8"), [texts(1, seed=5)[0]])[0]
    terms = ElectionTerms(
        members=decision.members,
        probabilities=decision.vote_probabilities,
        vote=decision.vote,
        reader=VotingOutputParser(answer="choice").reader,
        query=decision.text,
        latencies=eight.pool.latencies,
    )

    def vote() -> None:
        held = Election(terms)
        for k in range(len(eight.members)):
            held.add(k, AIMessage(f"Let me think. The answer is ({LETTERS[k % 3]})."))
        held.tally()

    turns = in_turns({"vote": vote}, turns=TURNS, repeat=50)
    yield Row(name="read 8 replies and vote (learned)", figure=_us(turns.median("vote")))


class Sleeper(BaseChatModel):
    """Replies after `delay_s` seconds, with as little work of its own as a chat model can have."""

    delay_s: float = 0.0

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        time.sleep(self.delay_s)
        return _result()

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        await asyncio.sleep(self.delay_s)
        return _result()

    @property
    def _llm_type(self) -> str:
        return "sleeper"


def _result() -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage("The answer is (A)."))])


def router_of(classifier: SelectLLMClassifier, policy: str, delay_s: float) -> SelectLLMRouter:
    """A router of members that reply after `delay_s` seconds."""
    return SelectLLMRouter(
        classifier=classifier,
        models={name: Sleeper(delay_s=delay_s) for name in classifier.members},
        policy=policy,
        parser=VotingOutputParser(answer="choice"),
        early_stop=False,
    )


def fan_out(eight: SelectLLMClassifier) -> Iterator[Row]:
    """One request of eight members over one call of the slowest of them."""
    delay_s = 0.05
    router = router_of(eight, "all_members", delay_s)
    alone = next(iter(router.models.values())).model
    kinds = {
        "invoke": (lambda: router.invoke(PROMPT), lambda: alone.invoke(PROMPT)),
        "ainvoke": (blocking(lambda: router.ainvoke(PROMPT)), blocking(lambda: alone.ainvoke(PROMPT))),
    }
    for kind, (routed, single) in kinds.items():
        turns = in_turns({"routed": routed, "alone": single}, turns=TURNS, repeat=10)
        yield Row(
            name=f"`{kind}` over 8 members of {1000 * delay_s:.0f} ms",
            figure=f"{1000 * turns.median('routed'):.1f} ms",
            ratio=turns.ratio("routed", "alone"),
            compared_with="one member",
        )
    still = router_of(eight, "selectllm:4", 0.0)

    async def hundred() -> None:
        for _ in range(100):
            await still.ainvoke(PROMPT)

    turns = in_turns(
        {"sync": lambda: [still.invoke(PROMPT) for _ in range(100)], "async": blocking(hundred)}, turns=3
    )
    yield Row(
        name="`ainvoke` of `selectllm:4`, members without latency",
        figure=f"{10 * turns.median('async'):.2f} ms",
        ratio=turns.ratio("async", "sync"),
        compared_with="`invoke`",
        target=1.5,
    )


def concurrency(eight: SelectLLMClassifier) -> Iterator[Row]:
    """Concurrent requests over the bare gather of the same member calls."""
    for policy in ("weighted_max_conf:8", "all_members"):
        router = router_of(eight, policy, 0.02)
        members = [member.model for member in router.models.values()]
        for n in (200, 1_000):

            async def bare(n: int = n, members: list[Any] = members) -> None:
                await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(n) for model in members))

            async def routed(n: int = n, router: SelectLLMRouter = router) -> None:
                await asyncio.gather(*(router.ainvoke(PROMPT) for _ in range(n)))

            turns = in_turns({"routed": blocking(routed), "bare": blocking(bare)}, turns=3)
            target = {1_000: 1.3}.get(n)
            yield Row(
                name=f"{n:,} concurrent `ainvoke`s of `{policy}`, 8 members of 20 ms",
                figure=f"{turns.median('routed'):.2f} s",
                ratio=turns.ratio("routed", "bare"),
                compared_with="bare `asyncio.gather`",
                target=target,
            )


class Chain(Runnable[str, Any]):
    """The calls of the members as children of one run, and nothing else: the least that a Runnable can do."""

    def __init__(self, members: list[Any]) -> None:
        self.members = members

    def invoke(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def ainvoke(self, input: str, config: Any = None, **_: Any) -> Any:  # noqa: A002
        return await self._acall_with_config(self._call_all, input, config)

    async def _call_all(self, prompt: str, run_manager: Any, config: Any) -> Any:
        child = patch_config(config, callbacks=run_manager.get_child())
        return await asyncio.gather(*(model.ainvoke(prompt, child) for model in self.members))


def chains(eight: SelectLLMClassifier, n: int = 1_000) -> Iterator[Row]:
    """What langchain_core itself takes for a run with the calls as its children, over the bare gather of the same calls."""
    members = [member.model for member in router_of(eight, "all_members", 0.02).models.values()]
    chain = Chain(members)

    async def bare() -> None:
        await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(n) for model in members))

    async def chained() -> None:
        await asyncio.gather(*(chain.ainvoke(PROMPT) for _ in range(n)))

    turns = in_turns({"chained": blocking(chained), "bare": blocking(bare)}, turns=3)
    yield Row(
        name=f"{n:,} concurrent `ainvoke`s of a chain that only makes the same calls, 8 members of 20 ms",
        figure=f"{turns.median('chained'):.2f} s",
        ratio=turns.ratio("chained", "bare"),
        compared_with="bare `asyncio.gather`",
    )


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.0f} µs"
