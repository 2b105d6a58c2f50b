"""Prometheus metrics; no label holds a prompt, a key or anything else that a client chooses freely."""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from langchain_selectllm.integrations.server.decision import Reported
from langchain_selectllm.integrations.server.limits import InFlight
from langchain_selectllm.voting.call_numbers import member_of_label

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)
_OVERHEAD = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """The counters, gauges and histograms of one server."""

    def __init__(self, in_flight: InFlight) -> None:
        """Register the metrics in a registry of their own."""
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by endpoint and status.", "endpoint", "status")
        self._votes = self._counter("votes", "Decided requests.", "policy", "decided_by")
        self._calls = self._counter("calls", "Calls of members that were started.")
        self._cost = self._counter("cost_usd", "Known cost in US dollars.")
        self._unknown_cost = self._counter("unknown_cost", "Requests whose cost is not known.")
        self._abstained = self._counter("abstentions", "Answers withheld for lack of confidence.")
        self._member_calls = self._counter("member_calls", "Calls by member and end.", "member", "outcome")
        self._wins = self._counter("member_wins", "Replies that won.", "member")
        self._reloads = self._counter("reloads", "Reloads of artefact and pool.", "result")
        self._shadow = self._counter("shadow", "Shadow requests.", "result")
        self._recorded = self._counter("recorded", "Decisions for the store.", "result")
        self._duration = self._histogram("request_seconds", "Duration of requests.", _SECONDS, "endpoint")
        self._first = self._histogram("first_token_seconds", "Time to the first piece of a stream.", _SECONDS)
        self._overhead = self._histogram("overhead_seconds", "Time beside the slowest member.", _OVERHEAD)
        self._confidence = self._histogram("confidence", "Confidence of answers.", _TENTHS)
        self._latency = self._histogram("member_seconds", "Latency of members' calls.", _SECONDS, "member")
        running = Gauge("selectllm_in_flight", "Requests that are being answered.", registry=self.registry)
        running.set_function(lambda: in_flight.running)
        queued = Gauge("selectllm_queued", "Requests that wait for a slot.", registry=self.registry)
        queued.set_function(lambda: in_flight.queued)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def value(self, name: str) -> float:
        """The value of a counter without labels."""
        return self.registry.get_sample_value(f"selectllm_{name}_total") or 0.0

    def count_requests(self, counts: Callable[[int], bool] = lambda _: True) -> int:
        """The number of requests to the endpoints under /v1 whose status counts."""
        total = 0.0
        for family in self._requests.collect():
            for sample in family.samples:
                is_api = sample.labels.get("endpoint", "").startswith("/v1")
                if sample.name.endswith("_total") and is_api and counts(int(sample.labels["status"])):
                    total += sample.value
        return round(total)

    def request(self, endpoint: str, status: int, duration_s: float) -> None:
        """Count one answered request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._duration.labels(endpoint).observe(duration_s)

    def first_token(self, seconds: float) -> None:
        """Note the time to the first piece of a stream."""
        self._first.observe(seconds)

    def decided(self, reported: Reported) -> None:
        """Note the decision of one answered request."""
        metadata = reported.metadata
        self._votes.labels(reported.policy, metadata["vote"]["decided_by"]).inc()
        self._calls.inc(metadata["calls"])
        self._wins.labels(metadata["winner"]).inc()
        if metadata["cost_usd"] is None:
            self._unknown_cost.inc()
        else:
            self._cost.inc(metadata["cost_usd"])
        if metadata["confidence"] is not None:
            self._confidence.observe(metadata["confidence"])
        if metadata["abstained"]:
            self._abstained.inc()
        if reported.overhead_s is not None:
            self._overhead.observe(reported.overhead_s)
        self._members(metadata)

    def reloaded(self, *, accepted: bool) -> None:
        """Count a reload."""
        self._reloads.labels("accepted" if accepted else "refused").inc()

    def shadowed(self, result: str) -> None:
        """Count a shadow request: "recorded", "failed", "dropped" or "over_budget"."""
        self._shadow.labels(result).inc()

    def recorded(self, result: str) -> None:
        """Count a decision for the store: "written", "failed" or "dropped"."""
        self._recorded.labels(result).inc()

    def _members(self, metadata: Mapping[str, Any]) -> None:
        members = metadata["probabilities"]
        for call, seconds in metadata["latencies_s"].items():
            self._latency.labels(member_of_label(call, members)).observe(seconds)
        ends = [("replied", metadata["answers"]), ("failed", metadata["failures"])]
        ends.append(("cancelled", metadata["cancelled"]))
        for outcome, calls in ends:
            for call in calls:
                self._member_calls.labels(member_of_label(call, members), outcome).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"selectllm_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"selectllm_{name}", text, labels, registry=self.registry, buckets=buckets)
