"""The classifier that most tests share: fitted once per version of the sources, loaded by every later process."""

import functools
import hashlib
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import langchain_selectllm
from langchain_selectllm import SelectLLMClassifier
from tests.support import worlds

CACHE = Path(sys.prefix) / "selectllm-tests"
"""Inside the virtual environment: out of version control, and gone with it."""


def sources_digest():
    """SHA-256 of everything that the fitted classifier depends on."""
    files = [*Path(langchain_selectllm.__file__).parent.rglob("*.py"), Path(worlds.__file__), Path(__file__)]
    digest = hashlib.sha256(f"numpy {version('numpy')}, scikit-learn {version('scikit-learn')}".encode())
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def load_or_fit(table):
    """A classifier fitted on a table that `worlds` makes."""
    folder = CACHE / sources_digest()
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        # Built beside it and renamed: another process sees a whole artefact or none.
        building = Path(tempfile.mkdtemp(dir=CACHE))
        SelectLLMClassifier().fit(table).save_pretrained(building / "router")
        try:
            (building / "router").rename(folder)
        except OSError:
            assert folder.exists(), f"{folder} cannot be written."
        shutil.rmtree(building)
    return SelectLLMClassifier.from_pretrained(folder)


@functools.cache
def three_members():
    """A classifier of three members, m0 to m2, fitted on scores alone; never changed by a test."""
    return SelectLLMClassifier().fit(worlds.score_table([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0]] * 4))
