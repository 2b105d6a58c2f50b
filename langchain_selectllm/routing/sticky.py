"""Conversations that keep their members: who was chosen at a thread's first turn answers the later ones too."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Self

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.routing.decision import Chosen, Decision


class StickyThreads:
    """Remembers which members each thread of conversation is answered by.

    Kept in the memory of this process, for the `size` threads that were used last; may be shared by several routers and
    used from several Python threads. A member that fails is asked again at the next turn. One that is left out of a turn,
    because it cannot call tools, is replaced by the next most probable one for the rest of the thread.
    """

    def __init__(self, size: int = 10_000) -> None:
        """Remember nothing yet.

        Raises:
            PolicyError: If `size` is below 1.
        """
        if size < 1:
            raise PolicyError(f"StickyThreads(size={size}) remembers nothing. Use a size of at least 1.")
        self._size = size
        self._chosen: OrderedDict[tuple[tuple[str, ...], str], Chosen] = OrderedDict()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        # A thread keeps its members, whichever copy of a router its next turn comes to.
        return self

    def __len__(self) -> int:
        return len(self._chosen)

    def __repr__(self) -> str:
        return f"StickyThreads(size={self._size})"

    def turn(self, thread: str | None, decision: Decision, left_out: Mapping[str, str]) -> Decision:
        """The decision of a turn: the thread's members where it has some, and nobody who is left out.

        Args:
            thread: What identifies the conversation; nothing is remembered when None.
            decision: What would be decided without a memory.
            left_out: Members that are not to be called, with the reason.
        """
        if thread is None:
            return decision.without(left_out)
        key = (decision.members, thread)
        with self._lock:
            kept = self._chosen.pop(key, None)
            after = (decision if kept is None else decision.again(kept)).without(left_out)
            self._chosen[key] = after.chosen
            while len(self._chosen) > self._size:
                self._chosen.popitem(last=False)
        return after


def thread_of(config: RunnableConfig, messages: Sequence[BaseMessage]) -> str | None:
    """What identifies a conversation: `thread_id` of the config, else its first human message; None without either."""
    named = config.get("configurable", {}).get("thread_id")
    if named is not None:
        return f"id {named}"
    first = next((message.text for message in messages if isinstance(message, HumanMessage)), None)
    return None if first is None else f"first message {hashlib.sha256(first.encode()).hexdigest()}"
