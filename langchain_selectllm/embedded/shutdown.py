"""End of the interpreter: native code finishes its current step, and no further step begins."""

import atexit
import threading
from types import TracebackType


class ShutdownGuard:
    """Guards steps of native code that may run in daemon threads.

    A router gives up calls that cannot change the winner; their threads go on. A thread that comes back from
    native code while the interpreter is going down aborts the process, so that the end waits for the step,
    and no other one begins.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._condition:
            # A daemon thread that gets here after the end waits for good; the process ends without it.
            self._condition.wait_for(lambda: not self._closed)
            self._running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._condition:
            self._running -= 1
            self._condition.notify_all()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Lets no further step begin; whether every running one ended before the timeout."""
        with self._condition:
            self._closed = True
            return self._condition.wait_for(lambda: not self._running, timeout=timeout_s)


SHUTDOWN = ShutdownGuard()
"""The guard of this process."""

atexit.register(SHUTDOWN.close)
