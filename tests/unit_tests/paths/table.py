"""Which property holds on which path: the one table that the tests check and `docs/reference/paths.md` shows."""

from pathlib import Path as File

from tests.unit_tests.paths.calls import PATHS

PAGE = File(__file__).parents[3] / "docs/reference/paths.md"

LLAMA_SPANS = "spans of LlamaIndex members under its own"
NESTED, ONE_RUN, UNDER_NODE = "members under the router", "one run", "members under the model node"
ONCE = "yes"
CANCELLED = "every member"
ON_TIME = "on time"
REACHES, KEPT = "reaches members", "kept from members"
LIVE = "as it arrives"

PROPERTIES = {
    "nested traces": "where a trace shows the members' runs, which are tagged `selectllm:member:NAME`; in LlamaIndex, "
    "spans, tagged `selectllm:member`",
    "usage once": "`UsageMetadataCallbackHandler` counts every token of every member exactly once",
    "cancellation": "calls that are cancelled together with the awaiting task",
    "deadline": "arrival of the reply though a member hangs: with `deadline_s`, which bounds one call, and with "
    "`request_deadline_s`, which bounds the whole request",
    "config": "metadata and configurable values of the caller's config: passed to members or not",
    "streaming": "tokens of a single selected member; tokens of several members come after the vote, on every path",
}

SYNC = "Python cannot cancel a call that runs in the calling thread. Bound it with `deadline_s`."
WHOLE = "Returns the complete result."
NO_CONFIG = "LlamaIndex passes no LangChain config to its models."


class Not(str):
    """Why a property does not apply to a path."""

    __slots__ = ()


def expected(path, name):
    """What holds on a path: a word for the cell, or why there is none."""
    llama = path.group.startswith("SelectLLM (")
    if name == "nested traces":
        traces = {"SelectLLMRouter": NESTED, "ChatSelectLLM": ONE_RUN, "SelectLLMMiddleware": UNDER_NODE}
        return LLAMA_SPANS if llama else traces[path.group]
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

Every way to call a router, and the properties that hold there. Calls with the same properties share a row. The tests check every
call against this table and write this page.

{properties}

If several members are selected, no token can be sent before their vote. The winning message is then sent in pieces, or as one
message where the path supports only complete messages. A footnote says why a property does not apply.

`chain` is `prompt | router | parser`. Compositions of LangChain such as `with_retry()` and `with_fallbacks()` call these methods and are not listed.
"""
FOOT = """
`deadline_s` is given to every call anew: a member called because others failed, or in a further round, has all of it. With
`request_deadline_s` such members and the judge have what is left; when it is over, nobody else is called and the replies that have
come vote. A request takes at most the smaller of `request_deadline_s` and the sum of `deadline_s` over its rounds and top-ups.

Only chat models have events of version `"v3"`; `SelectLLMRouter` refuses them, as every other Runnable of LangChain does.

The time that a request adds to its slowest member is on the page [performance](../explanation/performance.md).
"""


def page():
    """The reference page."""
    notes = []
    text = HEAD.format(
        properties="\n".join(f"- **{name}**: {meaning}" for name, meaning in PROPERTIES.items())
    )
    for group in dict.fromkeys(path.group for path in PATHS):
        text += f"\n## {group}\n\n| calls | {' | '.join(PROPERTIES)} |\n|{'---|' * (1 + len(PROPERTIES))}\n"
        for words, names in rows(group):
            written = ", ".join(f"`{name}`" for name in names).replace("|", "\\|")
            text += f"| {written} | {' | '.join(_cell(word, notes) for word in words)} |\n"
    return text + FOOT + "".join(f"\n{i}. {note}" for i, note in enumerate(notes, 1)) + "\n"


def rows(group):
    """(expected words, names of the calls) per combination of properties in a group."""
    calls = {}
    for path in PATHS:
        if path.group == group:
            words = tuple(expected(path, name) for name in PROPERTIES)
            calls.setdefault(words, []).append(path.name)
    return calls.items()


def _cell(word, notes):
    if not isinstance(word, Not):
        return word
    if word not in notes:
        notes.append(word)
    return f"– ({notes.index(word) + 1})"


if __name__ == "__main__":
    PAGE.write_text(page())
