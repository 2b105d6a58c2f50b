"""Every cell of the table of paths."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback

from langchain_selectllm.exceptions import FanOutError
from tests.support.llama_spans import recorded_spans
from tests.support.llamas import make
from tests.support.traces import Recorder, flatten
from tests.support.waiting import DEADLINE_S, until, wait_until
from tests.unit_tests.paths.calls import PATHS
from tests.unit_tests.paths.members import SAYS, Watch, probes
from tests.unit_tests.paths.table import LLAMA_SPANS, ONE_RUN, PAGE, REACHES, UNDER_NODE, cells, page

# LangChain marks its events of version v3 as beta, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def every_cell(name):
    given = cells(name)
    return pytest.mark.parametrize(("path", "word"), given, ids=[path.id for path, _ in given])


@pytest.fixture
def watch():
    watch = Watch()
    yield watch
    watch.release.set()
    watch.first_piece.set()


async def acarry_out(path, router, config=None, on_piece=lambda text: None):
    """The result of an asynchronous path; the pieces of one that streams."""
    started = path.start(router, config)
    if not path.streams:
        return await started
    pieces = []
    async for text in started:
        pieces.append(text)
        on_piece(text)
    return pieces


def carry_out(path, router, config=None, on_piece=lambda text: None):
    if path.asynchronous:
        return asyncio.run(acarry_out(path, router, config, on_piece))
    started = path.start(router, config)
    if not path.streams:
        return started
    pieces = []
    for text in started:
        pieces.append(text)
        on_piece(text)
    return pieces


DEADLINES = ("deadline_s", "request_deadline_s")


def says(path):
    return None if path.structured else SAYS


def ancestors(run, by_id):
    while run.parent_run_id in by_id:
        run = by_id[run.parent_run_id]
        yield run


@every_cell("nested traces")
def test_members_stand_where_they_should_in_traces(fitted, watch, path, word):
    if word == LLAMA_SPANS:
        with recorded_spans() as spans:
            carry_out(path, make(fitted).router)
        assert {span.tags["selectllm:member"] for span in spans.of_members()} == set(fitted.members)
        assert all(spans.is_under(span, "SelectLLM.") for span in spans.of_members())
        return
    tracer = Recorder()
    carry_out(path, probes(fitted, watch, says=says(path)), {"callbacks": [tracer]})
    runs = {run.id: run for root in tracer.roots for run in flatten(root)}
    models = [run for run in runs.values() if run.run_type in {"llm", "chat_model"}]
    if word == ONE_RUN:
        assert [run.name for run in models] == ["ChatSelectLLM"]
        return
    tags = sorted(tag for run in models for tag in run.tags if tag.startswith("selectllm:member:"))
    assert tags == [f"selectllm:member:{name}" for name in fitted.members]
    for run in models:
        above = [one.name for one in ancestors(run, runs)]
        assert ("model" in above) if word == UNDER_NODE else (above[0] == "SelectLLMRouter")


@every_cell("usage once")
def test_every_token_is_counted_once(fitted, watch, path, word):
    handler = UsageMetadataCallbackHandler()
    with get_usage_metadata_callback() as ambient:
        carry_out(path, probes(fitted, watch, says=says(path)), {"callbacks": [handler]})
    counted = ambient if path.group.startswith("SelectLLM (") else handler
    assert sum(usage["input_tokens"] for usage in counted.usage_metadata.values()) == 10 * len(fitted.members)


@every_cell("cancellation")
def test_every_member_is_cancelled_with_the_task(fitted, watch, path, word):
    async def cancel():
        task = asyncio.create_task(
            acarry_out(path, probes(fitted, watch, hanging=fitted.members, says=says(path)))
        )
        await until(lambda: len(watch.started) == len(fitted.members))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Nobody waits for them.
        await until(lambda: len(watch.cancelled) == len(fitted.members))
        assert sorted(watch.cancelled) == sorted(fitted.members)

    asyncio.run(cancel())


@pytest.fixture(scope="module", autouse=True)
def late(fitted):
    """By path, a call with a member that hangs, and the notes of its members.

    All paths wait for their deadlines together, while other tests run, so that the deadline can be long. Each begins when the
    other members of the one before it have replied: they have the time of the deadline for themselves. The first test waits
    until all have begun: agents change the filters of warnings, which all threads share, while they make a request.
    """
    given = {(path.id, bound): (bound, path, Watch()) for path, _ in cells("deadline") for bound in DEADLINES}

    def ask(bound, path, watch):
        router = probes(fitted, watch, hanging=("reader",), says=says(path), **{bound: DEADLINE_S})
        return carry_out(path, router)

    def begin(*one):
        asked, watch = pool.submit(ask, *one), one[-1]
        wait_until(lambda: len(watch.ended) == len(fitted.members) - 1 or asked.done())
        return asked

    with ThreadPoolExecutor(len(given)) as pool:
        yield {key: (begin(*one), one[-1]) for key, one in given.items()}
        for *_, watch in given.values():
            watch.release.set()


@pytest.mark.parametrize("bound", DEADLINES)
@every_cell("deadline")
def test_the_reply_comes_on_time_though_a_member_hangs(fitted, late, path, word, bound):
    asked, watch = late[path.id, bound]
    assert asked.result()
    assert sorted(watch.ended) == sorted(set(fitted.members) - {"reader"})


@every_cell("config")
def test_the_config_reaches_members_or_is_kept_from_them(fitted, watch, path, word):
    config = {"metadata": {"who": "me"}, "configurable": {"thread_id": "7"}}
    carry_out(path, probes(fitted, watch, says=says(path)), config)
    assert len(watch.configs) == len(fitted.members)
    for seen in watch.configs:
        assert (seen["metadata"].get("who"), seen["configurable"].get("thread_id")) == (
            ("me", "7") if word == REACHES else (None, None)
        )


@every_cell("streaming")
def test_one_members_words_come_before_its_reply_is_complete(fitted, watch, path, word):
    pieces = carry_out(
        path,
        probes(fitted, watch, policy="single_best", says=SAYS, gated=True),
        on_piece=lambda text: text and watch.first_piece.set(),
    )
    assert "".join(pieces) == SAYS
    assert watch.went_on == [True]


@every_cell("streaming")
def test_several_members_words_come_after_their_vote(fitted, watch, path, word):
    done_at_first = []
    pieces = carry_out(
        path,
        probes(fitted, watch, says=SAYS),
        on_piece=lambda text: text and done_at_first.append(len(watch.ended)),
    )
    assert "".join(pieces) == SAYS
    assert done_at_first[0] == len(fitted.members)


@pytest.mark.parametrize("path", PATHS, ids=[path.id for path in PATHS])
def test_when_all_members_fail_one_error_carries_every_cause(fitted, watch, path):
    with pytest.raises(FanOutError, match="All 5 called members failed") as error:
        carry_out(path, probes(fitted, watch, error=RuntimeError("down")))
    assert error.value.members == fitted.members
    assert [str(cause) for cause in error.value.exceptions] == ["down"] * 5


def test_a_runnable_that_is_no_chat_model_has_no_events_of_version_3(fitted, watch):
    with pytest.raises(NotImplementedError, match="v3"):
        probes(fitted, watch).stream_events("x", version="v3")


def test_the_page_shows_this_table():
    assert PAGE.read_text() == page(), "Run: python -m tests.unit_tests.paths.table"
