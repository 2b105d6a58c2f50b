"""Which property holds on which path: the one table that the tests check and `docs/reference/paths.md` shows."""

from pathlib import Path as File

from tests.unit_tests.paths.calls import PATHS

PAGE = File(__file__).parents[3] / "docs/reference/paths.md"

NESTED, ONE_RUN, UNDER_NODE = "members under the router", "one run", "members under the model node"
ONCE = "yes"
CANCELLED = "every member"
ON_TIME = "on time"
REACHES, KEPT = "reaches members", "kept from members"
LIVE = "as it comes"

PROPERTIES = {
    "nested traces": "where the runs of members stand in a trace, tagged `selectllm:member:NAME`",
    "usage once": "whether `UsageMetadataCallbackHandler` counts every token of every member, and once",
    "cancellation": "which calls are cancelled with the task that waits for the reply",
    "deadline": "when a reply comes with `deadline_s` and a member that hangs",
    "config": "whether metadata and configurable values of the caller's config reach members",
    "streaming": "how the words of one chosen member come; those of several come after their vote, on every path",
}

SYNC = "Python cannot cancel a call that runs in this very thread. Bound it with `deadline_s`."
WHOLE = "Returns its result whole."
NO_CONFIG = "LlamaIndex hands no LangChain config to its models."
LLAMA_TRACES = "LlamaIndex has events and spans of its own; callbacks of LangChain are given to no LLM of it."


class Not(str):
    """Why a property does not apply to a path."""

    __slots__ = ()


def expected(path, name):
    """What holds on a path: a word for the cell, or why there is none."""
    llama = path.group.startswith("SelectLLM (")
    if name == "nested traces":
        traces = {"SelectLLMRouter": NESTED, "ChatSelectLLM": ONE_RUN, "SelectLLMMiddleware": UNDER_NODE}
        return Not(LLAMA_TRACES) if llama else traces[path.group]
    if name == "config":
        return Not(NO_CONFIG) if llama else KEPT if path.group == "ChatSelectLLM" else REACHES
    if name == "cancellation":
        return CANCELLED if path.asynchronous else Not(SYNC)
    if name == "streaming":
        return LIVE if path.streams else Not(WHOLE)
    return {"usage once": ONCE, "deadline": ON_TIME}[name]


def cells(name):
    """(path, what holds) for every path that a property applies to."""
    return [(path, word) for path in PATHS if not isinstance(word := expected(path, name), Not)]


HEAD = """# Paths

Every way in which a router can be called, and what holds there. Each cell is a test, and this page is written by them: it is out of
date only when they fail.

{properties}

Where several members are chosen, no word can come before their vote: the winner's message is then handed on in pieces, or whole where
the path knows only messages. A footnote says why a property does not apply.
"""
FOOT = """
Runnables other than chat models have no events of version `"v3"`; `SelectLLMRouter` refuses them, as LangChain's own do.

Time that a call adds to its slowest member, with eight members that reply at once, in the median: 2.1 and 3.4 ms with `invoke`,
2.1 and 2.8 ms with `ainvoke`, on two machines of two cores each. `make benchmark` measures it.
"""


def page():
    """The reference page."""
    notes = []
    text = HEAD.format(
        properties="\n".join(f"- **{name}**: {meaning}" for name, meaning in PROPERTIES.items())
    )
    for group in dict.fromkeys(path.group for path in PATHS):
        text += f"\n## {group}\n\n| path | {' | '.join(PROPERTIES)} |\n|{'---|' * (1 + len(PROPERTIES))}\n"
        for path in PATHS:
            if path.group == group:
                words = [_cell(expected(path, name), notes) for name in PROPERTIES]
                written = path.name.replace("|", "\\|")
                text += f"| `{written}` | {' | '.join(words)} |\n"
    return text + FOOT + "".join(f"\n{i}. {note}" for i, note in enumerate(notes, 1)) + "\n"


def _cell(word, notes):
    if not isinstance(word, Not):
        return word
    if word not in notes:
        notes.append(word)
    return f"– ({notes.index(word) + 1})"


if __name__ == "__main__":
    PAGE.write_text(page())
