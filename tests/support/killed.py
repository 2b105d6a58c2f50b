"""Commands that buy replies from a loopback server and are killed while they do."""

import os
import signal
import subprocess
import sys
import time

PRICES = {"price_input_usd_per_million": 150.0, "price_output_usd_per_million": 600.0}
COMMAND = (sys.executable, "-c", "from langchain_selectllm.cli import main; main()")


def cost(answer):
    """Dollars of one entry of `ChatServer.answered` at PRICES."""
    _, _, n_input, n_output = answer
    return (150.0 * n_input + 600.0 * n_output) / 1e6


def settle(server):
    """Wait until the server is done with the requests of a client that was killed."""
    before = None
    while before != (before := server.requests.total()) or server.in_flight.total():
        time.sleep(1.0)


def kill_and_finish(server, arguments, kill_at, rows, most_in_flight):
    """The last run of a command that was killed before, and how many answers the killed runs lost.

    Args:
        server: The ChatServer that is asked.
        arguments: Of `selectllm`.
        kill_at: Numbers of kept answers at which a run is killed.
        rows: Returns the rows of the store.
        most_in_flight: Each kill loses no more answers than these.
    """
    command, lost = [*COMMAND, *map(str, arguments)], 0
    for n_kept in kill_at:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while len(server.answered) < n_kept + lost:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        settle(server)
        kept = {row["reply_id"] for row in rows()}
        in_flight = len(server.answered.keys() - kept) - lost
        assert in_flight <= most_in_flight
        lost += in_flight
    return subprocess.run(command, check=False, capture_output=True, text=True), lost
