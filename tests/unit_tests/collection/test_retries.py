"""What is tried again and when, and the breaker that pauses a failing member."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import ModelAuthenticationError, ModelInvalidRequestError, ModelRateLimitError

from langchain_selectllm.collection import circuit_breaker as breaker_module
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy, CircuitBreaker
from langchain_selectllm.collection.retries import (
    RetryPolicy,
    describe,
    is_hopeless,
    retry_after_s,
)
from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.failures import is_retryable


def with_status(status, **headers):
    error = RuntimeError(f"status {status}")
    error.status_code = status
    error.response = SimpleNamespace(headers=headers)
    return error


@pytest.mark.parametrize(
    ("error", "retryable", "hopeless"),
    [
        (ModelRateLimitError(), True, False),
        (ModelInvalidRequestError(), False, False),
        (ModelAuthenticationError(), False, True),
        (with_status(500), True, False),
        (with_status(408), True, False),
        (with_status(422), False, False),
        (with_status(404), False, True),
        (DeadlineError("late"), True, False),
        (ConnectionResetError(), True, False),
        (ValueError("half a JSON"), True, False),
        (IndexError("no choices"), True, False),
        (TypeError("our fault"), False, False),
        (NotImplementedError(), False, False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, retryable, hopeless):
    assert (is_retryable(error), is_hopeless(error)) == (retryable, hopeless)


def test_retry_after_is_read_in_every_spelling():
    assert retry_after_s(with_status(429, **{"retry-after": "2"})) == 2
    assert retry_after_s(with_status(429, **{"retry-after-ms": "150", "retry-after": "2"})) == 0.15
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < retry_after_s(with_status(503, **{"retry-after": soon})) <= 30
    assert retry_after_s(with_status(503, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    assert retry_after_s(with_status(503, **{"retry-after": "soon"})) is None
    assert retry_after_s(ValueError()) is None


@given(attempt=st.integers(1, 30), seed=st.integers(0, 99), asked=st.floats(0, 100))
def test_the_wait_doubles_with_jitter_up_to_its_limit_and_is_never_shorter_than_asked_for(
    attempt, seed, asked
):
    policy = RetryPolicy(base_s=0.5, max_s=30)
    whole = min(0.5 * 2 ** (attempt - 1), 30)
    assert 0.5 * whole <= policy.wait_s(attempt, ValueError(), Random(seed)) <= whole
    assert policy.wait_s(attempt, with_status(429, **{"retry-after": str(asked)}), Random(seed)) >= asked


def test_an_error_is_told_in_one_line():
    assert describe(ValueError("first\n  second")) == "ValueError: first second"
    assert describe(ValueError()) == "ValueError: no message"


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still except where a breaker waits."""
    clock = SimpleNamespace(s=0.0)

    async def wait(delay_s, stop):
        clock.s += delay_s
        await asyncio.sleep(0)
        return stop.is_set()

    monkeypatch.setattr(breaker_module, "_now", lambda: clock.s)
    monkeypatch.setattr(breaker_module, "sleep_or_stop", wait)
    return clock


@pytest.mark.usefixtures("now")
async def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through():
    breaker = CircuitBreaker(
        "m", None, BreakerPolicy(failures=3, pause_s=0.05, max_pauses=5), asyncio.Event()
    )
    early = [await breaker.enter() for _ in range(4)]
    for permit in early:
        permit.failed(ValueError())
        permit.give_back()
    assert breaker.pause_left_s == 0.05
    probe = await breaker.enter()
    assert probe.is_probe
    second = asyncio.create_task(breaker.enter())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    probe.succeeded()
    probe.give_back()
    assert not (await second).is_probe
    assert breaker.pause_left_s == 0


async def test_each_failed_probe_doubles_the_pause_until_the_member_is_given_up(now):
    breaker = CircuitBreaker(
        "m", None, BreakerPolicy(failures=1, pause_s=0.01, max_pause_s=0.02, max_pauses=3), asyncio.Event()
    )
    pauses = []
    while (permit := await breaker.enter()) is not None:
        permit.failed(ValueError("down"))
        permit.give_back()
        pauses.append(breaker.pause_left_s)
    assert pauses == pytest.approx([0.01, 0.02, 0.02, 0.02])
    assert now.s == pytest.approx(sum(pauses[:-1]))
    assert breaker.given_up == "4 attempts failed in a row, the last with ValueError: down"


async def test_attempts_keep_their_distance_and_make_up_for_none_after_an_idle_time(now):
    breaker, times = CircuitBreaker("m", 20, BreakerPolicy(), asyncio.Event()), []
    for idle_s in (0, 0, 0, 10, 0, 0):
        now.s += idle_s
        await breaker.enter()
        times.append(now.s)
    assert times == pytest.approx([0, 0.05, 0.1, 10.1, 10.15, 10.2])


async def test_a_success_between_failures_keeps_the_breaker_closed():
    breaker = CircuitBreaker("m", None, BreakerPolicy(failures=2), asyncio.Event())
    for _ in range(5):
        for outcome in (lambda permit: permit.failed(ValueError()), lambda permit: permit.succeeded()):
            permit = await breaker.enter()
            outcome(permit)
            permit.give_back()
    assert breaker.pause_left_s == 0


async def test_a_probe_that_is_given_up_lets_the_next_one_through():
    breaker = CircuitBreaker("m", None, BreakerPolicy(failures=1, pause_s=0.001), asyncio.Event())
    permit = await breaker.enter()
    permit.failed(ValueError())
    permit.give_back()
    probe = await breaker.enter()
    probe.give_back()
    assert (await breaker.enter()).is_probe


@pytest.mark.usefixtures("now")
async def test_the_log_names_member_and_kind_of_error_but_never_its_text(caplog):
    caplog.set_level("INFO")
    breaker = CircuitBreaker(
        "m", None, BreakerPolicy(failures=1, pause_s=0.01, max_pauses=2), asyncio.Event()
    )
    for succeeds in (False, True, False, False, False):
        permit = await breaker.enter()
        if succeeds:
            permit.succeeded()
        else:
            permit.failed(ValueError("Incorrect API key provided: sk-123"))
        permit.give_back()
    assert [record.message for record in caplog.records] == [
        "m paused for 0.0 s after 1 failures in a row (ValueError)",
        "m replies again: its circuit breaker is closed",
        "m paused for 0.0 s after 1 failures in a row (ValueError)",
        "m paused for 0.0 s after 2 failures in a row (ValueError)",
        "m given up for this run (ValueError)",
    ]
