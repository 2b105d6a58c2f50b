"""Sticky threads: the members selected at a conversation's first turn answer its later turns too."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Self

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.routing.decision import Decision, KeptSelection


class StickyThreads:
    """Remembers the members that answer each conversation.

    Kept in the memory of this process, for the `size` conversations used last; may be shared by several
    routers and used from several Python threads. A member that fails is called again at the next turn. A
    member left out of a turn, because it cannot call tools, is replaced by the next most probable one for the
    rest of the conversation.
    """

    def __init__(self, size: int = 10_000) -> None:
        """Start with no conversation.

        Raises:
            PolicyError: If `size` is below 1.
        """
        if size < 1:
            raise PolicyError(f"StickyThreads(size={size}) remembers nothing. Use a size of at least 1.")
        self._size = size
        self._kept: OrderedDict[tuple[tuple[str, ...], str], KeptSelection] = OrderedDict()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        # A conversation keeps its members in every copy of a router.
        return self

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"StickyThreads(size={self._size})"

    def turn(self, thread: str | None, decision: Decision, left_out: Mapping[str, str]) -> Decision:
        """The decision of a turn: the thread's members where it has some, without those left out.

        Args:
            thread: Identifies the conversation; nothing is remembered when None.
            decision: The decision without a memory.
            left_out: Members that are not called, with the reason.
        """
        if thread is None:
            return decision.without(left_out)
        key = (decision.members, thread)
        with self._lock:
            kept = self._kept.pop(key, None)
            after = decision
            if kept is not None:
                after = decision.again(kept)
            after = after.without(left_out)
            self._kept[key] = after.kept_selection
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return after


def thread_of(config: RunnableConfig, messages: Sequence[BaseMessage]) -> str | None:
    """Key of a conversation: `thread_id` of the config, else its first human message; None without either."""
    named = config.get("configurable", {}).get("thread_id")
    if named is not None:
        return f"id {named}"
    for message in messages:
        if isinstance(message, HumanMessage):
            return f"first message {hashlib.sha256(message.text.encode()).hexdigest()}"
    return None
