"""The decision of a reply, as clients see it in headers and bodies."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from langchain_core.messages import AIMessage

from langchain_selectllm.voting.call_numbers import member_of_label

_HEADER_SAFE = " !#$&'()*+,-./:;=?@[]^_`{|}~"


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What one answered request reports about its decision."""

    decision_id: str
    artefact: str
    """Digest of the artefact, its first 12 characters."""
    policy: str
    metadata: Mapping[str, Any]
    """`response_metadata["selectllm"]` of the reply."""
    elapsed_s: float
    """Seconds from the end of the request's body to the reply."""
    served_at: float = field(default_factory=time.time)
    """Seconds since 1970."""

    @property
    def members(self) -> list[str]:
        """Members that were called, those that failed or were given up included."""
        metadata = self.metadata
        called = [*metadata["selection"]["members"], *metadata["topped_up"]]
        for calls in (metadata["answers"], metadata["failures"]):
            called += [member_of_label(call, metadata["probabilities"]) for call in calls]
        held_back = metadata["held_back"]
        return [name for name in dict.fromkeys(called) if name not in held_back]

    @property
    def overhead_s(self) -> float | None:
        """Seconds that are not the slowest member's; None where members were called one after the other."""
        latencies = self.metadata["latencies_s"]
        if not latencies or self.metadata["rounds"] > 1 or self.metadata["topped_up"]:
            return None
        slowest: float = max(latencies.values())
        return max(0.0, self.elapsed_s - slowest)

    def body(self, *, explain: bool = False) -> dict[str, Any]:
        """The object `selectllm` of a reply's body.

        Args:
            explain: Whether to add all of the metadata, the messages of failures excepted.
        """
        metadata = self.metadata
        failures = {name: failure["error"] for name, failure in metadata["failures"].items()}
        short = {
            "decision_id": self.decision_id,
            "winner": metadata["winner"],
            "members": self.members,
            "policy": self.policy,
            "calls": metadata["calls"],
            "rounds": metadata["rounds"],
            "confidence": metadata["confidence"],
            "support": metadata["support"],
            "decided_by": metadata["vote"]["decided_by"],
            "abstained": metadata["abstained"],
            "cost_usd": metadata["cost_usd"],
            "failures": failures,
            "artefact": self.artefact,
        }
        if not explain:
            return short
        return {**metadata, **short}

    @property
    def headers(self) -> dict[str, str]:
        """The decision as `x-selectllm-*` headers; unknown values are left out."""
        metadata = self.metadata
        overhead = self.overhead_s
        values: dict[str, Any] = {
            "decision-id": self.decision_id,
            "winner": metadata["winner"],
            "members": ",".join(self.members),
            "calls": metadata["calls"],
            "rounds": metadata["rounds"],
            "confidence": metadata["confidence"],
            "cost-usd": metadata["cost_usd"],
            "policy": self.policy,
            "artefact": self.artefact,
        }
        if overhead is not None:
            values["overhead-ms"] = round(1000 * overhead, 3)
        return decision_headers(values)


def decision_headers(values: Mapping[str, Any]) -> dict[str, str]:
    """Headers `x-selectllm-NAME`, percent-encoded where necessary; None is left out."""
    headers = {}
    for name, value in values.items():
        if value is not None:
            headers[f"x-selectllm-{name}"] = quote(_number_or_text(value), safe=_HEADER_SAFE)
    return headers


def new_decision_id() -> str:
    """A fresh id, which feedback names later."""
    return f"dec-{secrets.token_hex(10)}"


def decision_metadata(message: AIMessage) -> Mapping[str, Any] | None:
    """The router's metadata of a message; None for a chunk that is not the last."""
    found = message.response_metadata.get("selectllm")
    if isinstance(found, Mapping):
        return found
    return None


def _number_or_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
