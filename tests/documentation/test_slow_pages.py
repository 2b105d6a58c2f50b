import pytest

pytest.importorskip("torch", reason="torch is not installed (extra `embedded`)")

from tests.support.pages import SLOW, named, run_page


@pytest.mark.parametrize("page", SLOW, ids=named)
def test_blocks_run_in_order(page, tmp_path, monkeypatch):
    run_page(page, tmp_path, monkeypatch)
