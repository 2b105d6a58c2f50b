"""Committed notebooks hold the code of their sources, and the outputs of a complete run without errors."""

import pytest

from tests.support.notebooks import SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
# nbformat checks schemas with a function that jsonschema has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_is_its_source_with_outputs(source):
    jupytext = pytest.importorskip("jupytext")
    written, notebook = jupytext.read(source), jupytext.read(source.with_suffix(".ipynb"))
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in written.cells]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert all(output.output_type != "error" for output in outputs)
    assert not any("Traceback" in str(output) for output in outputs)
