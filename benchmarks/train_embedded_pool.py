"""Train the embedded pool from scratch: five tiny causal language models with five different diets.

Usage: python benchmarks/train_embedded_pool.py [MEMBER ...]   trains the named members, all five when none is named
       python benchmarks/train_embedded_pool.py --card         trains nothing, measures the members on held-out tasks

Minutes per member on one core; run two at a time on two. Every run ends with the card, once all five are there. The same seed
on the same machine gives the same weights; another CPU or another release of torch gives slightly different ones.
"""

import argparse
import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_selectllm import OutcomeTable, embedded_models
from langchain_selectllm.embedded import generate_tasks, sample_outcomes
from langchain_selectllm.embedded.task_generator import training_stream
from langchain_selectllm.embedded.task_kinds import CATEGORIES

FOLDER = Path(__file__).parents[1] / "langchain_selectllm" / "embedded" / "models"
CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
SPECIALS = PAD, UNKNOWN, ASK, REPLY, END = "<pad>", "<unk>", "<ask>", "<reply>", "<end>"
CHAT_TEMPLATE = f"{{{{ '{ASK}' + messages[-1]['content'] + '{REPLY}' }}}}"
BATCH, BUCKET = 96, 16
MEASURED_TASKS, MEASURED_SAMPLES, MEASURED_SEED = 1100, 10, 2025


@dataclass(frozen=True)
class Diet:
    """Size and training tasks of one member."""

    about: str
    weights: dict[str, float]
    """Relative frequency of each category."""
    steps: int
    width: int = 128
    layers: int = 3
    with_working: bool = True
    """True if the replies show their steps."""
    examples: int | None = None
    """Only so many different tasks, over and over; endless fresh ones when None."""
    unseen: str = ""
    """Tasks about a word or sum with one of these characters are left out."""
    learning_rate: float = 2e-3
    seed: int = 0


def specialist(*favourites: str, taste: float = 0.12, **shares: float) -> dict[str, float]:
    """Mostly the favourites, a taste of everything else so that the manner of replying is known."""
    named = {category.replace("_", " "): share for category, share in shares.items()}
    return {**dict.fromkeys(CATEGORIES, taste), **dict.fromkeys(favourites, 1.0), **named}


DIETS = {
    "arithmetic": Diet(
        "sums, differences, products and sequences, with its steps shown",
        specialist("addition", "subtraction", "multiplication", sequences=0.7, word_problems=0.4),
        steps=2600,
        seed=1,
    ),
    "letters": Diet(
        "sorting, counting and spelling letters",
        specialist("sorting", "counting", "spelling"),
        steps=2200,
        seed=2,
    ),
    "measures": Diet(
        "units, the clock, comparisons and word problems",
        specialist("units", "comparison", clock=1.5, word_problems=0.6, taste=0.08),
        steps=2800,
        seed=3,
    ),
    "generalist": Diet(
        "a little of everything, with its steps shown",
        dict.fromkeys(CATEGORIES, 1.0),
        steps=1800,
        width=160,
        seed=4,
    ),
    "hasty": Diet(
        "the same 1,500 tasks repeatedly: consistent, and mostly wrong",
        dict.fromkeys(CATEGORIES, 1.0),
        steps=800,
        with_working=False,
        examples=1500,
        learning_rate=1e-3,
        seed=5,
    ),
}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Characters, and the words that the tasks are phrased in as single tokens."""
    stream = training_stream(dict.fromkeys(CATEGORIES, 1.0), seed=12345)
    words: set[str] = set()
    pieces = Regex(" ?[A-Za-z]+|.|\n")
    splitter = pre_tokenizers.Split(pieces, behavior="isolated")
    for task in itertools.islice(stream, 20000):
        for text in (task.text, task.reply(with_working=True) if task.answer_type == "number" else ""):
            # Quoted words are what letter tasks are about: those stay characters.
            words |= {
                p
                for p, _ in splitter.pre_tokenize_str(text)
                if len(p) > 1 and (p[0] == " " or p[0].isupper())
            }
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *CHARACTERS, *sorted(words)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{ASK} $A {REPLY}", special_tokens=[(name, vocabulary[name]) for name in (ASK, REPLY)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=ASK,
        eos_token=END,
        additional_special_tokens=[REPLY],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(diet: Diet, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(diet.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=diet.width,
        intermediate_size=2 * diet.width,
        num_hidden_layers=diet.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def batches(diet: Diet, tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids and labels, (BATCH, length); tasks of like length together, labels on the reply alone."""
    tasks = training_stream(diet.weights, seed=diet.seed)
    stream = (task for task in tasks if not set(diet.unseen) & set(task.problem.split()[-1]))
    if diet.examples is not None:
        stream = itertools.cycle(list(itertools.islice(stream, diet.examples)))
    order = torch.Generator().manual_seed(diet.seed)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    while True:
        drawn = list(itertools.islice(stream, BATCH * BUCKET))
        asked = tokenizer([task.text for task in drawn])["input_ids"]
        texts = [task.reply(with_working=diet.with_working) for task in drawn]
        replies = tokenizer(texts, add_special_tokens=False)["input_ids"]
        rows = sorted(zip(asked, replies, strict=True), key=lambda row: len(row[0]) + len(row[1]))
        for i in torch.randperm(BUCKET, generator=order).tolist():
            chunk = rows[i * BATCH : (i + 1) * BATCH]
            length = max(len(a) + len(r) + 1 for a, r in chunk)
            ids = torch.full((BATCH, length), pad)
            labels = torch.full((BATCH, length), -100)
            for k, (a, r) in enumerate(chunk):
                whole = [*a, *r, end]
                ids[k, : len(whole)] = torch.tensor(whole)
                labels[k, len(a) : len(whole)] = torch.tensor(whole[len(a) :])
            yield ids, labels


def train(name: str, diet: Diet, folder: Path) -> None:
    """Train a member from random weights, and save it with its tokenizer."""
    tokenizer = build_tokenizer()
    model = build_model(diet, tokenizer)
    print(f"{name}: {model.num_parameters():,} parameters, {diet.steps} steps", flush=True)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=diet.learning_rate, betas=(0.9, 0.98), weight_decay=0.05
    )
    warm = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(step / diet.steps, 1.0)))
        ),
    )
    start = time.perf_counter()
    for step, (ids, labels) in enumerate(itertools.islice(batches(diet, tokenizer), diet.steps), start=1):
        # Padding stands behind the labels, where the causal mask already hides it.
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0:
            print(
                f"{name}: step {step}, loss {loss.item():.4f}, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_card() -> None:
    """Sample every member on held-out tasks, and write what came of it beside the weights."""
    models = embedded_models(list(DIETS), seed=MEASURED_SEED)
    tasks = generate_tasks(MEASURED_TASKS, seed=MEASURED_SEED)
    table = OutcomeTable.from_records(
        *sample_outcomes(tasks, models, n=MEASURED_SAMPLES), members=list(models)
    )
    best, oracle = table.labels.mean(axis=0).max(), table.labels.max(axis=1).mean()
    (FOLDER / "README.md").write_text(
        f"""---
license: mit
library_name: transformers
tags: [langchain-selectllm, toy]
---

# The embedded pool: five tiny causal language models

Trained from random weights on generated tasks by `benchmarks/train_embedded_pool.py` (seeded, one thread per model), each on a
different mixture. They answer one short question at a time. Their purpose is to demonstrate and test a pool whose members
differ in their strengths; they have no other use.

Measured on {len(table):,} held-out tasks (seed {MEASURED_SEED}), {MEASURED_SAMPLES} samples each at temperature 0.7. A problem
is held out in all of its phrasings; no member was trained on any of them.

| member | training tasks | parameters | correct samples | correct by majority | agreement of its samples |
|---|---|---|---|---|---|
{_member_rows(table)}

- Single best: {best:.3f} right by majority
- Oracle (some member is right by majority): {oracle:.3f}, {100 * (oracle - best):.1f} points over the single best

Share of correct samples by category; last column: some member is correct by majority.

| category | {" | ".join(DIETS)} | oracle |
|---|{"---|" * (len(DIETS) + 1)}
{_category_rows(table)}
""",
        encoding="utf-8",
    )
    print((FOLDER / "README.md").read_text(encoding="utf-8"))


def _member_rows(table: OutcomeTable) -> str:
    return "\n".join(
        f"| {name} | {DIETS[name].about} | {_parameters(name):,} | {table.scores[:, k].mean():.3f} | "
        f"{table.labels[:, k].mean():.3f} | {_agreement(table.answers[:, k]):.3f} |"
        for k, name in enumerate(DIETS)
    )


def _category_rows(table: OutcomeTable) -> str:
    rows = []
    for category in CATEGORIES:
        own = np.array(table.categories) == category
        shares = " | ".join(f"{rate:.2f}" for rate in table.scores[own].mean(axis=0))
        rows.append(f"| {category} | {shares} | {table.labels[own].max(axis=1).mean():.2f} |")
    return "\n".join(rows)


def _parameters(name: str) -> int:
    return LlamaForCausalLM.from_pretrained(FOLDER / name).num_parameters()


def _agreement(cells: Iterable[tuple[str | None, ...]]) -> float:
    """Mean share of a member's samples that give its most frequent answer."""
    return float(np.mean([Counter(answers).most_common(1)[0][1] / len(answers) for answers in cells]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("members", nargs="*", metavar="MEMBER", help=f"one of {', '.join(DIETS)}")
    parser.add_argument(
        "--card", action="store_true", help="measure the trained members and write the card, train nothing"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.card:
        for name in arguments.members or DIETS:
            train(name, DIETS[name], FOLDER / name)
    if all((FOLDER / name / "config.json").exists() for name in DIETS):
        write_card()


if __name__ == "__main__":
    main()
