"""Log records of one request: fallbacks and left-out members, by name; never prompts, replies or messages."""

import logging
import threading
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

_WARNED: set[str] = set()
"""Members whose missing log-probabilities were logged."""
_WARNING = threading.Lock()

_ORDINARY = frozenset({"vote", "tie rule", "judge"})
"""Values of `vote.decided_by` that record no fallback."""


def log_failures(failures: Mapping[str, Exception]) -> None:
    """Logs members that failed, each with the class of its error, whose message may hold prompts or keys."""
    for name, error in failures.items():
        logger.warning("member %s failed (%s)", name, type(error).__name__)


def log_fallbacks(metadata: Mapping[str, Any]) -> None:
    """Logs what the metadata of a reply record beside an ordinary vote."""
    for name, reason in metadata["left_out"].items():
        logger.info("member %s left out: %s", name, reason)
    if not metadata["text"].strip():
        logger.info("the prompt has no text: members selected by base rates")
    _log_members("called in addition, because others failed", metadata["topped_up"])
    _log_members("not called, because of a bound on calls or time", metadata["held_back"])
    _log_members("cancelled, because the vote was settled", metadata["cancelled"])
    for name, reason in metadata["abstentions"].items():
        logger.info("member %s abstained: %s", name, reason)
    vote = metadata["vote"]
    for name in vote.get("token_probabilities", {}).get("missing", ()):
        _warn_without_tokens(name)
    if vote["decided_by"] not in _ORDINARY:
        logger.info("the vote %s did not decide: %s", vote["strategy"], vote["decided_by"])
    judge = vote.get("judge")
    if judge is not None and judge["failure"] is not None:
        logger.warning("the judge gave no ruling")


def _warn_without_tokens(name: str) -> None:
    """Logs a member that stopped sending log-probabilities, once per process."""
    # Prompts of a batch are answered in threads.
    with _WARNING:
        if name in _WARNED:
            return
        _WARNED.add(name)
    logger.warning(
        "member %s sent no token log-probabilities, as it did in training: its votes count without them", name
    )


def _log_members(event: str, names: list[str]) -> None:
    if names:
        logger.info("members %s: %s", event, ", ".join(names))
