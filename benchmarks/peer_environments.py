"""A virtual environment per package, from a file of pinned requirements, and the room that it takes."""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).parent / "peer_packages"


class StepError(Exception):
    """A command of the comparison failed; the text is the last line that it said."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where one package is installed."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder of installed packages."""
        return next((self.folder / "lib").glob("python*")) / "site-packages"

    @property
    def mib(self) -> float:
        """Size of the installed packages, without pip and compiled bytecode."""
        files = [path for path in self.packages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        parts = [path for path in files if not path.relative_to(self.packages).parts[0].startswith("pip")]
        return sum(path.stat().st_size for path in parts) / 2**20

    def version(self, distribution: str) -> str:
        """Version of an installed distribution."""
        code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
        return run([str(self.python), "-c", code, distribution]).strip()


def install(requirements: str, folder: Path, *, checkout: bool) -> Environment:
    """The environment of a requirements file, made again when the file has changed.

    Args:
        requirements: Name of the file in `peer_packages/`, without its ending.
        folder: Folder of all environments.
        checkout: Whether this package is installed as well, from the checkout.

    Raises:
        StepError: If a step of the installation fails.
    """
    wanted = REQUIREMENTS / f"{requirements}.txt"
    environment = Environment(folder=folder / requirements)
    stamp = environment.folder / "installed.sha256"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    pip = [str(environment.python), "-m", "pip", "install", "--quiet"]
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != digest:
        print(f"{requirements}: install", file=sys.stderr, flush=True)
        shutil.rmtree(environment.folder, ignore_errors=True)
        venv.create(environment.folder, with_pip=True)
        run([*pip, "-r", str(wanted)])
        stamp.write_text(digest, encoding="utf-8")
    if checkout:
        run([*pip, "--no-deps", "--force-reinstall", str(ROOT)])
    return environment


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """What a command prints.

    Raises:
        StepError: If it fails.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise StepError(said[-1] if said else f"exit status {done.returncode}")
    return done.stdout
