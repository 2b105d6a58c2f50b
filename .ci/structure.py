"""Structure of the package in figures: files, import levels, circles, density, long lines.

Usage: python .ci/structure.py [--check] [--package FOLDER]

Prints the figures for the whole package and for each of its folders. With `--check` it exits with 1 and names
each limit that is passed, so that CI keeps the structure.
"""

import argparse
import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

MAX_ROOT_FILES = 6
"""exceptions, _optional, _progress, prompts, testing and __init__."""
MAX_LEVELS = 12
MAX_COMPREHENSIONS = 20.0
"""Comprehensions and generator expressions per 1,000 lines of each folder."""
MAX_CONDITIONALS = 10.0
"""Conditional expressions (`a if b else c`) per 1,000 lines of each folder."""
MAX_COLUMNS = 110
MAX_FILE_LINES = 300
LONG_FILES: dict[str, str] = {}
"""Files that may be longer than that, with the reason."""

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Figures:
    """Counts over some source files."""

    files: int = 0
    lines: int = 0
    comprehensions: int = 0
    conditionals: int = 0
    long_lines: list[str] = field(default_factory=list)
    long_files: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Count one file."""
        lines = path.read_text(encoding="utf-8").splitlines()
        nodes = list(ast.walk(ast.parse("\n".join(lines))))
        self.files += 1
        self.lines += len(lines)
        self.comprehensions += sum(isinstance(node, _COMPREHENSIONS) for node in nodes)
        self.conditionals += sum(isinstance(node, ast.IfExp) for node in nodes)
        self.long_lines += [f"{path}:{i}" for i, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
        if len(lines) > MAX_FILE_LINES and path.as_posix() not in LONG_FILES:
            self.long_files.append(f"{path} ({len(lines)})")

    def density(self, count: int) -> float:
        """How often something stands in 1,000 lines."""
        return 1000 * count / max(self.lines, 1)


def module_name(path: Path) -> str:
    """Dotted name of a source file; a package is named by its folder."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports when it runs, inside functions too, type checking aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in _run_time_nodes(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (named & modules) or {node.module}
    return (found & modules) - {module_name(path)}


def _run_time_nodes(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_time_nodes(child)


def strongly_connected(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, those that are imported before those that import (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            place = stack.index(name)
            components.append(stack[place:])
            del stack[place:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return components


def levels_of(graph: dict[str, set[str]]) -> tuple[int, list[list[str]]]:
    """Number of import levels, circles counted as one module, and the circles."""
    components = strongly_connected(graph)
    level: dict[str, int] = {}
    for component in components:
        below = [level[target] for name in component for target in graph[name] if target in level]
        for name in component:
            level[name] = 1 + max(below, default=0)
    return max(level.values(), default=0), [component for component in components if len(component) > 1]


def folder_graph(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Imports between the parts of the package: its folders and the files in its root."""
    folders: dict[str, set[str]] = {}
    for name, targets in graph.items():
        own = name.split(".")[1:2]
        if own:
            reached = folders.setdefault(own[0], set())
            reached.update(target.split(".")[1] for target in targets if "." in target)
            reached.discard(own[0])
    return folders


def density_failures(by_folder: dict[str, Figures]) -> list[str]:
    """Limits of density that some folder passes; the package as a whole meets what all of its folders meet."""
    failures = []
    for name, figures in sorted(by_folder.items()):
        for kind, count, limit in (
            ("comprehensions", figures.comprehensions, MAX_COMPREHENSIONS),
            ("conditional expressions", figures.conditionals, MAX_CONDITIONALS),
        ):
            if figures.density(count) > limit:
                density = figures.density(count)
                failures.append(f"{name}: {density:.1f} {kind} per 1,000 lines, at most {limit:g}")
    return failures


def main() -> int:
    """Print the figures; with `--check` compare them with the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is passed")
    parser.add_argument("--package", type=Path, default=Path("langchain_selectllm"))
    given = parser.parse_args()
    paths = sorted(given.package.rglob("*.py"))
    modules = {module_name(path) for path in paths}
    graph = {module_name(path): imports_of(path, modules) for path in paths}
    # The root imports lazily, by name, for everybody; it is no step of the flow.
    graph.pop(given.package.name, None)
    graph = {name: targets & graph.keys() for name, targets in graph.items()}
    levels, circles = levels_of(folder_graph(graph))
    module_levels, module_circles = levels_of(graph)

    total, by_folder = Figures(), {}
    for path in paths:
        total.add(path)
        parts = path.relative_to(given.package).parts
        by_folder.setdefault(parts[0] if len(parts) > 1 else "(root)", Figures()).add(path)

    print(
        f"{'folder':14} {'files':>5} {'lines':>6} {'comprehensions':>15} {'conditionals':>13}  per 1,000 lines"
    )
    for name, figures in [*sorted(by_folder.items()), ("all", total)]:
        print(
            f"{name:14} {figures.files:5} {figures.lines:6} {figures.density(figures.comprehensions):15.1f} "
            f"{figures.density(figures.conditionals):13.1f}"
        )
    print(f"files in the root: {by_folder['(root)'].files}")
    print(f"levels of folders: {levels}; circles between folders: {len(circles)}")
    print(f"levels of modules: {module_levels}; circles between modules: {len(module_circles)}")
    print(
        f"lines over {MAX_COLUMNS} columns: {len(total.long_lines)}; files over {MAX_FILE_LINES} lines: {len(total.long_files)}"
    )

    failures = [f"circle between folders: {' <-> '.join(circle)}" for circle in circles]
    failures += [f"circle between modules: {' <-> '.join(circle)}" for circle in module_circles]
    limits = (
        ("files in the root", by_folder["(root)"].files, MAX_ROOT_FILES),
        ("levels of folders", levels, MAX_LEVELS),
    )
    failures += [f"{name}: {value:.1f}, at most {limit:g}" for name, value, limit in limits if value > limit]
    failures += density_failures(by_folder)
    failures += [f"line over {MAX_COLUMNS} columns: {line}" for line in total.long_lines]
    failures += [f"file over {MAX_FILE_LINES} lines: {file}" for file in total.long_files]
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(given.check and bool(failures))


if __name__ == "__main__":
    sys.exit(main())
