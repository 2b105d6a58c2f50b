"""Executes the cookbook's sources and keeps their outputs.

Usage: python benchmarks/notebooks.py [NAME ...]

Each `cookbook/notebooks/NAME.py` becomes `NAME.ipynb` beside it.
"""

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "cookbook" / "notebooks"


def execute(source: Path) -> None:
    """Run one source and write the notebook; an error in a cell is raised."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        # Random ids would make each run another file.
        cell["id"] = f"cell-{number}"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Warnings name folders of this machine.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    jupytext.write(notebook, source.with_suffix(".ipynb"))


def main() -> None:
    """Execute the named notebooks, or all of them."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.py"))
    for name in names:
        execute(FOLDER / f"{name}.py")
        print(name, flush=True)


if __name__ == "__main__":
    main()
