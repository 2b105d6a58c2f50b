import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from langchain_selectllm.embedded.shutdown import ShutdownGuard
from langchain_selectllm.fanout.daemon_threads import DaemonThreads, in_daemon
from tests.support.waiting import LONG_S, wait_until


def test_closing_waits_for_the_running_step_and_lets_no_other_begin():
    gate, inside, leave, began = ShutdownGuard(), threading.Event(), threading.Event(), threading.Event()

    def running():
        with gate:
            inside.set()
            leave.wait(LONG_S)

    def late():
        with gate:
            began.set()

    threading.Thread(target=running, daemon=True).start()
    assert inside.wait(LONG_S)
    assert not gate.close(timeout_s=0.01)
    threading.Thread(target=late, daemon=True).start()
    leave.set()
    assert gate.close(timeout_s=LONG_S)
    assert not began.wait(0.05)


def test_an_open_gate_lets_steps_run_side_by_side():
    gate = ShutdownGuard()
    with gate, gate:
        pass
    assert gate.close(timeout_s=0)


def ran_in(threads):
    """The thread that a task was given to."""
    seen, done = [], threading.Event()
    threads.run(lambda: (seen.append(threading.current_thread()), done.set()))
    assert done.wait(LONG_S)
    return seen[0]


def test_an_idle_thread_is_used_again_and_a_busy_one_is_not_waited_for():
    threads = DaemonThreads(idle_s=60)
    first = ran_in(threads)
    wait_until(lambda: threads.idle)
    assert ran_in(threads) is first
    wait_until(lambda: threads.idle)
    leave, busy = threading.Event(), threading.Event()
    threads.run(lambda: (busy.set(), leave.wait(LONG_S)))
    assert busy.wait(LONG_S)
    other = ran_in(threads)
    leave.set()
    assert other is not first
    assert other.daemon


def test_a_thread_without_a_task_ends():
    threads = DaemonThreads(idle_s=0.01)
    thread = ran_in(threads)
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert threads.idle == 0
    assert ran_in(threads) is not thread


async def test_a_call_without_a_next_value_has_failed():
    with pytest.raises(RuntimeError, match="The call raised StopIteration"):
        await in_daemon(partial(next, iter([])))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_starts_threads_of_its_own():
    code = """
import os, threading, time
from langchain_selectllm.fanout import daemon_threads as threads
done = threading.Event()
threads.run_in_daemon(done.set)
done.wait(100)
while not threads.CALLS.idle:
    time.sleep(0.001)
child = os.fork()
if not child:
    again = threading.Event()
    threads.run_in_daemon(again.set)
    os._exit(0 if again.wait(100) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONG_S)
    assert done.stdout.strip() == "0"
