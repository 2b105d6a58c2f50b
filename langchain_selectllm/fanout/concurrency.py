"""Places for calls, shared by fan-outs in several threads."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """Lets some calls through at once; whoever overstays loses the place, because a thread that hangs cannot be stopped."""

    def __init__(self, number: int) -> None:
        """Start with all of them free."""
        self._number = number
        self._lost_at_s: dict[object, float] = {}
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, stay_s: float | None) -> Iterator[None]:
        """Wait for a place, and keep it until the block ends.

        Args:
            stay_s: Seconds after which the place is lost to others; never when None.
        """
        holder = object()
        with self._changed:
            while (wait_s := self._wait_s()) > 0:
                self._changed.wait(None if math.isinf(wait_s) else wait_s)
            self._lost_at_s[holder] = math.inf if stay_s is None else time.perf_counter() + stay_s
        try:
            yield
        finally:
            with self._changed:
                self._lost_at_s.pop(holder, None)
                self._changed.notify()

    def _wait_s(self) -> float:
        """Seconds until the next place is lost, where none is free; 0 where one is."""
        now = time.perf_counter()
        self._lost_at_s = {holder: lost_at for holder, lost_at in self._lost_at_s.items() if lost_at > now}
        return 0.0 if len(self._lost_at_s) < self._number else min(self._lost_at_s.values()) - now
