"""Agreement of the answer extractors with the answers that the sources of the recorded replies read.

Usage: python benchmarks/answer_agreement.py DATA_FOLDER [--write docs/reference/answer-agreement.md]

No reply is printed: only counts.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markers import write_section

from langchain_selectllm.answers.choice import ChoiceExtractor
from langchain_selectllm.answers.number import NumberExtractor
from langchain_selectllm.outcomes.folders import read_queries, read_replies

_SOURCE_READS = re.compile(r"answer is \(?([A-J])\)?|[aA]nswer:\s*([A-J])")
_STATED = re.compile(r"(?i:answers?)\b[^\n.]{0,60}?(?:\bis\b|\bare\b|:)[\s*_`(\[]*([A-J])\b(?!\w|['’])")
_SEVERAL = re.compile(
    r"(?i:answers?)\b[^\n.]{0,60}?(?:\bis\b|\bare\b|:)[\s*_`(\[]*[A-J]\b[)\].*_`]*(?:[^\n.()]{0,30}\))?"
    r"\s?(?:,|/|&|,?\s?\b(?:and|or)\b)\s*(?:also\s|option\s)?[(\[*]*[A-J]\b"
)
_WORD = re.compile(r"answer is \(?[A-J][a-z]")
_LISTED = re.compile(r"\b(?:choices?|options?):\s*\(?A\b")
_ENDED = re.compile(r"[.!?:)\]}$*\"”']\s*$")
_REASONED = re.compile(r'"reasoning"\s*:\s*"(.*)"\s*,\s*"answer"\s*:\s*"?([^"]*)"?\s*\}', re.DOTALL)
OTHER = "other"
CLASSES = {
    "ours": (
        "letter in other words",
        "first of a list of options",
        "option text",
        "option text in a reply that was cut off",
    ),
    "both": ("first and last statement differ", OTHER),
    "source": (
        "nothing stated, source filled in a guess",
        "several letters in one statement",
        "three or more different statements",
        "letter that the query does not offer",
        "word taken for a letter by the source",
        OTHER,
    ),
}
TITLES = {
    "ours": "this package reads a letter, the source none",
    "both": "both read a letter, not the same",
    "source": "the source reads a letter, this package abstains",
}


@dataclass(frozen=True)
class Reading:
    """One reply as read by this package and by its source."""

    member: str
    ours: str | None
    source: str | None
    gold: str | None
    reply: str

    @property
    def kind(self) -> str:
        """Who read a letter."""
        if self.source is None:
            return "ours"
        return "source" if self.ours is None else "both"

    @property
    def right(self) -> str:
        """Whose letter is the reference."""
        if self.ours == self.gold:
            return "ours"
        return "source" if self.source == self.gold else "neither"


def read_choices(data: Path) -> Iterator[Reading]:
    """Every reply of mmlu_pro."""
    queries = {query.query_id: query for query in read_queries(data / "mmlu_pro")}
    extractor = ChoiceExtractor()
    for reply in read_replies(data / "mmlu_pro"):
        query = queries[reply.query_id]
        text = reply.text or ""
        ours = extractor.extract(text, query.text)
        yield Reading(reply.member, ours, reply.fields["upstream_answer"], query.reference, text)


def class_of(reading: Reading, guessing: set[str]) -> str:
    """Class of the difference between the two readings, by the wording of the reply.

    Args:
        reading: A reply that was read differently.
        guessing: Members for which the source filled in a guess where it could read nothing.
    """
    stated = _STATED.findall(reading.reply)
    alone = ChoiceExtractor().extract(reading.reply)
    if reading.kind == "ours":
        # An extractor that is not shown the query knows no option texts.
        if alone != reading.ours:
            return CLASSES["ours"][2 if _ENDED.search(reading.reply) else 3]
        return CLASSES["ours"][bool(_LISTED.search(reading.reply)) and alone == "A"]
    if reading.kind == "both":
        differ = len(set(stated)) > 1 and stated[-1] == reading.ours and reading.source in stated
        return CLASSES["both"][not differ]
    signs = (
        reading.member in guessing and not _SOURCE_READS.search(reading.reply),
        bool(_SEVERAL.search(reading.reply)),
        len(set(stated)) > 2,
        alone == reading.source,
        bool(_WORD.search(reading.reply)),
        True,
    )
    return CLASSES["source"][signs.index(True)]


def choice_tables(data: Path) -> str:
    """Agreement per member, and the classes of disagreement."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    different: list[Reading] = []
    for reading in read_choices(data):
        count = counts[reading.member]
        count["replies"] += 1
        count["null"] += reading.source is None
        if reading.ours == reading.source:
            count["agree"] += 1
        else:
            count[reading.kind] += 1
            different.append(reading)
    guessing = {member for member, count in counts.items() if not count["null"]}
    lines = [
        "| member | replies | agree | only this package | both, differ | only the source |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for member, count in sorted(counts.items()):
        name = f"{member} (source guesses)" if member in guessing else member
        share = f"{100 * count['agree'] / count['replies']:.2f} %"
        lines.append(
            f"| {name} | {count['replies']:,} | {share} | {count['ours']} | {count['both']} | {count['source']} |"
        )
    classes = Counter((reading.kind, class_of(reading, guessing), reading.right) for reading in different)
    lines += [
        "",
        "| reading | class | replies | this package is right | the source is right | neither |",
    ]
    lines += ["|---|---|---:|---:|---:|---:|"]
    for kind, names in CLASSES.items():
        for name in names:
            by = [classes[kind, name, who] for who in ("ours", "source", "neither")]
            lines.append(f"| {TITLES[kind]} | {name} | {sum(by):,} | {by[0]:,} | {by[1]:,} | {by[2]:,} |")
    return "\n".join(lines)


def number_table(data: Path) -> str:
    """Agreement of the graded numbers with the recorded correctness of gsm8k_solutions."""
    extractor = NumberExtractor()
    golds = {
        query.query_id: extractor.canonical(query.reference or "")
        for query in read_queries(data / "gsm8k_solutions")
    }
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for reply in read_replies(data / "gsm8k_solutions"):
        right = extractor.extract(reply.text or "") == golds[reply.query_id]
        counts[reply.member][right == reply.fields["upstream_correct"]] += 1
    lines = ["| member | replies | agree | disagree |", "|---|---:|---:|---:|"]
    for member, count in sorted(counts.items()):
        share = 100 * count[True] / count.total()
        lines.append(f"| {member} | {count.total():,} | {share:.2f} % | {count[False]} |")
    return "\n".join(lines)


def plain_table(data: Path) -> str:
    """Reading of zeroeval's reasoning alone, which ends in a plain sentence, against the answer stated apart from it."""
    extractor = NumberExtractor()
    kinds = {query.query_id: query for query in read_queries(data / "zeroeval")}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for reply in read_replies(data / "zeroeval"):
        parts = _REASONED.search(reply.text or "")
        if parts is None or kinds[reply.query_id].category != "gsm8k":
            continue
        stated = extractor.canonical(parts[2])
        if stated is None:
            continue
        answer = extractor.extract(parts[1].replace("\\n", "\n").replace('\\"', '"'))
        count = counts[reply.member]
        count["replies"] += 1
        count["read"] += answer is not None
        count["equal"] += answer == stated
    lines = [
        "| member | replies | read | equal to the stated answer, of those read |",
        "|---|---:|---:|---:|",
    ]
    for member, count in sorted(counts.items()):
        read, equal = count["read"] / count["replies"], count["equal"] / count["read"]
        lines.append(f"| {member} | {count['replies']:,} | {100 * read:.1f} % | {100 * equal:.1f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the extractors with what the sources read.")
    parser.add_argument("data", type=Path, help="folder with mmlu_pro, gsm8k_solutions and zeroeval")
    parser.add_argument("--write", type=Path, help="file whose agreement sections are replaced")
    given = parser.parse_args()
    choices, numbers = choice_tables(given.data), number_table(given.data)
    plain = plain_table(given.data)
    print(f"{choices}\n\n{numbers}\n\n{plain}")
    if given.write is not None:
        write_section(given.write, "choices", choices)
        write_section(given.write, "numbers", numbers)
        write_section(given.write, "plain", plain)


if __name__ == "__main__":
    main()
