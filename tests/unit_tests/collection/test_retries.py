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

from langchain_selectllm.collection import circuit_breaker as gate_module
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy, Gate
from langchain_selectllm.collection.retries import (
    RetryPolicy,
    describe,
    is_hopeless,
    is_retryable,
    retry_after_s,
)
from langchain_selectllm.exceptions import DeadlineError


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
    """A clock that stands still except where a gate waits."""
    clock = SimpleNamespace(s=0.0)

    async def wait(delay_s, stop):
        clock.s += delay_s
        await asyncio.sleep(0)
        return stop.is_set()

    monkeypatch.setattr(gate_module, "_now", lambda: clock.s)
    monkeypatch.setattr(gate_module, "sleep_or_stop", wait)
    return clock


@pytest.mark.usefixtures("now")
async def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through():
    gate = Gate(None, BreakerPolicy(failures=3, pause_s=0.05, max_pauses=5), asyncio.Event())
    early = [await gate.enter() for _ in range(4)]
    for leave in early:
        leave.failed(ValueError())
        leave.give_back()
    assert gate.pause_left_s == 0.05
    probe = await gate.enter()
    assert probe.is_probe
    second = asyncio.create_task(gate.enter())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    probe.succeeded()
    probe.give_back()
    assert not (await second).is_probe
    assert gate.pause_left_s == 0


async def test_each_failed_probe_doubles_the_pause_until_the_member_is_given_up(now):
    gate = Gate(
        None, BreakerPolicy(failures=1, pause_s=0.01, max_pause_s=0.02, max_pauses=3), asyncio.Event()
    )
    pauses = []
    while (leave := await gate.enter()) is not None:
        leave.failed(ValueError("down"))
        leave.give_back()
        pauses.append(gate.pause_left_s)
    assert pauses == pytest.approx([0.01, 0.02, 0.02, 0.02])
    assert now.s == pytest.approx(sum(pauses[:-1]))
    assert gate.given_up == "4 attempts failed in a row, at last with ValueError: down"


async def test_attempts_keep_their_distance_and_make_up_for_none_after_an_idle_time(now):
    gate, times = Gate(20, BreakerPolicy(), asyncio.Event()), []
    for idle_s in (0, 0, 0, 10, 0, 0):
        now.s += idle_s
        await gate.enter()
        times.append(now.s)
    assert times == pytest.approx([0, 0.05, 0.1, 10.1, 10.15, 10.2])


async def test_a_success_between_failures_keeps_the_breaker_closed():
    gate = Gate(None, BreakerPolicy(failures=2), asyncio.Event())
    for _ in range(5):
        for outcome in (lambda leave: leave.failed(ValueError()), lambda leave: leave.succeeded()):
            leave = await gate.enter()
            outcome(leave)
            leave.give_back()
    assert gate.pause_left_s == 0


async def test_a_probe_that_is_given_up_lets_the_next_one_through():
    gate = Gate(None, BreakerPolicy(failures=1, pause_s=0.001), asyncio.Event())
    leave = await gate.enter()
    leave.failed(ValueError())
    leave.give_back()
    probe = await gate.enter()
    probe.give_back()
    assert (await gate.enter()).is_probe
