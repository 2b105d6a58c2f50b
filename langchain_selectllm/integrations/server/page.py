"""GET /: a page for people, rendered on the server."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from langchain_selectllm.integrations.server.adapter import allowed_policies
from langchain_selectllm.integrations.server.decision import Reported
from langchain_selectllm.integrations.server.state import ServerState, state_of

_OF_RECENT = 1000
_SHOWN = 20
_UNKNOWN = "–"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_HEADERS = {
    # No script, no font, no image: what a reply holds can neither run nor load anything.
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class MemberLine:
    """One member in the recent decisions."""

    name: str
    share_percent: int
    called: int
    won: int
    failed: int
    cancelled: int
    median: str
    slow: str


@dataclass(frozen=True, kw_only=True)
class LatencyLine:
    """Quantiles of one duration."""

    name: str
    median: str
    slow: str
    slowest: str


@dataclass(frozen=True, kw_only=True)
class DecisionLine:
    """One decision."""

    time: str
    members: str
    winner: str
    why: str
    confidence: str
    cost: str
    took: str
    id: str


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """Everything on the page."""

    policy: str
    artefact: str
    release: str
    cards: Sequence[tuple[str, str]]
    n_recent: int
    members: Sequence[MemberLine]
    latencies: Sequence[LatencyLine]
    decisions: Sequence[DecisionLine]


async def show_page(request: Request) -> Response:
    """The page of the server as it is now."""
    state = state_of(request)
    status = "draining" if state.draining else "ready"
    html = _template().render(page=page_content(state), status=status)
    return HTMLResponse(html, headers=_HEADERS)


def page_content(state: ServerState) -> PageContent:
    """The figures of the page: counters since the start, shares and latencies of the last decisions."""
    recent = state.recent.last(_OF_RECENT)
    return PageContent(
        policy=allowed_policies(state.settings, state.served)[0],
        artefact=state.served.digest[:12],
        release=version("langchain-selectllm"),
        cards=_cards(state, recent),
        n_recent=len(recent),
        members=[_member(name, recent) for name in state.served.members],
        latencies=_latencies(recent),
        decisions=[_decision(reported) for reported in recent[:_SHOWN]],
    )


def _cards(state: ServerState, recent: Sequence[Reported]) -> list[tuple[str, str]]:
    metrics = state.metrics
    failed = metrics.count_requests(lambda status: status >= 500)
    confidences = [one.metadata["confidence"] for one in recent if one.metadata["confidence"] is not None]
    return [
        ("requests", f"{metrics.count_requests():,}"),
        ("failed (5xx)", f"{failed:,}"),
        ("in flight, queued", f"{state.in_flight.running}, {state.in_flight.queued}"),
        ("member calls", f"{metrics.value('calls'):,.0f}"),
        ("known cost", _known_cost(metrics.value("cost_usd"), metrics.value("unknown_cost"))),
        ("requests of unknown cost", f"{metrics.value('unknown_cost'):,.0f}"),
        ("mean confidence", _figure(confidences, np.mean, "{:.2f}")),
    ]


def _known_cost(usd: float, n_unknown: float) -> str:
    # Where no cost is known, 0 would be taken for one.
    if not usd and n_unknown:
        return "–"
    return f"{usd:,.4f} USD"


def _member(name: str, recent: Sequence[Reported]) -> MemberLine:
    called = [one.metadata for one in recent if name in one.members]
    latencies = [metadata["latencies_s"][name] for metadata in called if name in metadata["latencies_s"]]
    return MemberLine(
        name=name,
        share_percent=round(100 * len(called) / max(len(recent), 1)),
        called=len(called),
        won=sum(metadata["winner"] == name for metadata in called),
        failed=sum(name in metadata["failures"] for metadata in called),
        cancelled=sum(name in metadata["cancelled"] for metadata in called),
        median=_milliseconds(latencies, 50),
        slow=_milliseconds(latencies, 95),
    )


def _latencies(recent: Sequence[Reported]) -> list[LatencyLine]:
    overheads = [one.overhead_s for one in recent if one.overhead_s is not None]
    lines = []
    for name, seconds in (
        ("whole request", [one.elapsed_s for one in recent]),
        ("beside the slowest member (one round)", overheads),
    ):
        lines.append(
            LatencyLine(
                name=name,
                median=_milliseconds(seconds, 50),
                slow=_milliseconds(seconds, 95),
                slowest=_milliseconds(seconds, 99),
            )
        )
    return lines


def _decision(reported: Reported) -> DecisionLine:
    metadata = reported.metadata
    served_at = dt.datetime.fromtimestamp(reported.served_at, dt.UTC)
    return DecisionLine(
        time=served_at.strftime("%H:%M:%S"),
        members=", ".join(reported.members),
        winner=metadata["winner"],
        why=f"{metadata['selection']['reason']}; {metadata['vote']['decided_by']}",
        confidence=_optional(metadata["confidence"], "{:.2f}"),
        cost=_optional(metadata["cost_usd"], "{:.6f}"),
        took=f"{1000 * reported.elapsed_s:,.0f} ms",
        id=reported.decision_id,
    )


def _milliseconds(seconds: Sequence[float], percent: float) -> str:
    if not seconds:
        return _UNKNOWN
    return f"{1000 * float(np.percentile(seconds, percent)):,.0f} ms"


def _figure(values: Sequence[float], summary: Any, form: str) -> str:
    if not values:
        return _UNKNOWN
    return form.format(float(summary(values)))


def _optional(value: float | None, form: str) -> str:
    if value is None:
        return _UNKNOWN
    return form.format(value)


@cache
def _template() -> Any:
    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html")
