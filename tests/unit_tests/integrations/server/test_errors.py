import httpx
import pytest

from langchain_selectllm.exceptions import DeadlineError, FanOutError, ToolSupportError
from langchain_selectllm.integrations.server.errors import from_exception


class StatusError(Exception):
    """An error of a provider's client."""

    def __init__(self, status, retry_after=None):
        super().__init__("secret text of upstream")
        self.status_code = status
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        self.response = httpx.Response(status, headers=headers)


class ContextOverflowError(Exception):
    """LangChain's class, by its name."""


def failed(*causes):
    return from_exception(FanOutError("all failed", causes, [f"m{i}" for i in range(len(causes))]))


@pytest.mark.parametrize(
    ("causes", "status", "code"),
    [
        ([StatusError(500), StatusError(429)], 502, "all_members_failed"),
        ([RuntimeError("x")], 502, "all_members_failed"),
        ([DeadlineError("late"), TimeoutError()], 408, "deadline_exceeded"),
        ([ContextOverflowError(), ContextOverflowError()], 400, "context_length_exceeded"),
        ([StatusError(400), StatusError(422)], 400, "refused_by_members"),
        ([TypeError("create() got an unexpected keyword argument 'x'")], 400, "refused_by_members"),
        ([TypeError("our own mistake")], 502, "all_members_failed"),
        ([StatusError(401)], 502, "all_members_failed"),
    ],
)
def test_the_causes_decide_status_and_code(causes, status, code):
    refusal = failed(*causes)
    assert (refusal.status, refusal.code) == (status, code)
    assert "secret" not in str(refusal.body)


def test_when_all_are_rate_limited_the_client_waits_for_the_first_that_is_free():
    refusal = failed(StatusError(429, 7), StatusError(429, 3))
    assert (refusal.status, refusal.headers) == (429, {"retry-after": "3"})


def test_texts_of_upstream_errors_are_shown_in_debug_mode_only():
    error = FanOutError("all failed", [StatusError(500)], ["m0"])
    assert "secret text of upstream" in str(from_exception(error, debug=True).body)


def test_errors_that_nobody_foresaw_say_nothing():
    refusal = from_exception(KeyError("a prompt"))
    assert refusal.status == 500
    assert "prompt" not in str(refusal.body)


def test_a_pool_without_tools_is_the_clients_problem():
    assert from_exception(ToolSupportError("no tools")).body["error"]["param"] == "tools"
