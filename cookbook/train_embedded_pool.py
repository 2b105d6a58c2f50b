"""Train the embedded pool from scratch: five tiny causal language models with five different diets.

Usage: python cookbook/train_embedded_pool.py [MEMBER ...]   trains the named members, all five when none is named
       python cookbook/train_embedded_pool.py --card         measures every member on held-out tasks and writes the card
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_selectllm.embedded.tasks import CATEGORIES, Task, training_stream

FOLDER = Path(__file__).parents[1] / "langchain_selectllm" / "embedded" / "models"
CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
SPECIALS = ["<pad>", "<unk>", "<ask>", "<reply>", "<end>"]
CHAT_TEMPLATE = "{{ '<ask>' + messages[-1]['content'] + '<reply>' }}"
BATCH, BUCKET = 96, 16


@dataclass(frozen=True)
class Diet:
    """What one member is made of and fed with."""

    about: str
    weights: dict[str, float]
    """How often each category is drawn."""
    steps: int
    width: int = 128
    layers: int = 3
    with_working: bool = True
    """Whether it learns to show its steps."""
    examples: int | None = None
    """Only so many different tasks, over and over; endless fresh ones when None."""
    learning_rate: float = 2e-3
    seed: int = 0


def specialist(*favourites: str, taste: float = 0.12, **shares: float) -> dict[str, float]:
    """Mostly the favourites, a taste of everything else so that the manner of replying is known."""
    return {**dict.fromkeys(CATEGORIES, taste), **dict.fromkeys(favourites, 1.0), **{k.replace("_", " "): v for k, v in shares.items()}}


DIETS = {
    "arithmetic": Diet(
        "sums, differences, products and sequences, with its steps shown",
        specialist("addition", "subtraction", "multiplication", sequences=0.7, word_problems=0.4),
        steps=2600,
        seed=1,
    ),
    "letters": Diet(
        "sorting, counting and spelling letters", specialist("sorting", "counting", "spelling"), steps=2200, seed=2
    ),
    "measures": Diet(
        "units, the clock, comparisons and word problems",
        specialist("units", "clock", comparison=0.6, word_problems=0.6),
        steps=2600,
        seed=3,
    ),
    "generalist": Diet(
        "a little of everything, straight to the answer",
        dict.fromkeys(CATEGORIES, 1.0),
        steps=2200,
        width=160,
        with_working=False,
        seed=4,
    ),
    "hasty": Diet(
        "the same few tasks over and over until it knows them by heart: sure of itself, and mostly wrong",
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
            words |= {p for p, _ in splitter.pre_tokenize_str(text) if len(p) > 1 and (p[0] == " " or p[0].isupper())}
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *CHARACTERS, *sorted(words)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<ask> $A <reply>", special_tokens=[(name, vocabulary[name]) for name in ("<ask>", "<reply>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<ask>",
        eos_token="<end>",
        additional_special_tokens=["<reply>"],
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
    stream: Iterator[Task] = training_stream(diet.weights, seed=diet.seed)
    if diet.examples is not None:
        stream = itertools.cycle(list(itertools.islice(stream, diet.examples)))
    order = torch.Generator().manual_seed(diet.seed)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    while True:
        tasks = list(itertools.islice(stream, BATCH * BUCKET))
        asked = tokenizer([task.text for task in tasks])["input_ids"]
        replies = tokenizer([task.reply(with_working=diet.with_working) for task in tasks], add_special_tokens=False)["input_ids"]
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


def train(name: str, diet: Diet) -> None:
    tokenizer = build_tokenizer()
    model = build_model(diet, tokenizer)
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters, {diet.steps} steps", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=diet.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    warm = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(step / diet.steps, 1.0)))),
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
            print(f"{name}: step {step}, loss {loss.item():.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    folder = FOLDER / name
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("members", nargs="*", help="members to train")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.members or DIETS:
        train(name, DIETS[name])


if __name__ == "__main__":
    main()
