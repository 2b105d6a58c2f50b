"""Python programs in a normal form, from their syntax tree alone."""

import ast
import textwrap
import threading
import warnings
from typing import cast

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# With these a program can see the names of its own variables.
_NAME_AWARE = frozenset({"locals", "vars", "eval", "exec", "dir"})
# Warning filters belong to the whole process.
_FILTERS = threading.Lock()


def python_form(code: str) -> str | None:
    """The program in one layout, without comments, docstrings and annotations, local variables numbered.

    Local variables are names that a function binds in its body. Parameters keep their names, which callers
    may use, and so do the variables of functions that call `locals`, `vars`, `eval`, `exec` or `dir`.

    Returns:
        The normal form; None when blank, no valid Python, or nested beyond what Python itself can handle.
    """
    tree = _parse(code)
    if tree is None or not tree.body:
        return None
    if len(tree.body) == 1 and ast.get_docstring(tree, clean=False) is not None:
        # A program that is nothing but a string is that string, not its own documentation.
        return repr(ast.get_docstring(tree, clean=False))
    try:
        plain = cast("ast.Module", _Plain().visit(tree))
        for function in _outermost_functions(plain):
            _number_locals(function)
        return ast.unparse(ast.fix_missing_locations(plain)) or None
    except RecursionError:
        return None


def looks_like_program(text: str) -> bool:
    """Whether a text without a code fence is a Python program; words and bare values are not."""
    tree = _parse(text)
    statements = [] if tree is None else tree.body
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in statements)


def _parse(code: str) -> ast.Module | None:
    try:
        with _FILTERS, warnings.catch_warnings():
            # A warning about an invalid escape in a member's code would reach the caller.
            warnings.simplefilter("ignore")
            return ast.parse(textwrap.dedent(code).strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Plain(ast.NodeTransformer):
    """Drops docstrings and annotations."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        # Fields of a class are annotations that mean something.
        if node.value is None or not node.simple:
            return node
        return ast.Assign(targets=[node.target], value=node.value)

    def _without_docstring(self, node: ast.Module | ast.ClassDef | _Function) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            rest = node.body[1:]
            if not rest and not isinstance(node, ast.Module):
                rest = [ast.Pass()]
            node.body = rest
        return self.generic_visit(node)


def _outermost_functions(tree: ast.AST) -> list[_Function]:
    found: list[_Function] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, _FUNCTIONS):
            found.append(child)
        else:
            found += _outermost_functions(child)
    return found


def _number_locals(function: _Function) -> None:
    """Number the names that the function and the functions inside it bind, in order of appearance."""
    nodes: list[ast.AST] = []
    for statement in function.body:
        nodes += ast.walk(statement)
    used, bound = _used_and_bound_names(nodes)
    if used & _NAME_AWARE:
        return
    bound -= _kept_names(function, nodes)
    taken = used - bound
    numbered: dict[str, str] = {}
    for node in sorted(nodes, key=_place):
        old = _named(node)
        if old is None or old not in bound:
            continue
        if old not in numbered:
            numbered[old] = _fresh(len(numbered), taken)
        if isinstance(node, ast.Name):
            node.id = numbered[old]
        else:
            cast("ast.ExceptHandler", node).name = numbered[old]


def _used_and_bound_names(nodes: list[ast.AST]) -> tuple[set[str], set[str]]:
    """Names of variables that stand in the nodes, and those that are assigned or caught there."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name):
            used.add(node.id)
            if isinstance(node.ctx, ast.Store):
                bound.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return used, bound


def _kept_names(function: _Function, nodes: list[ast.AST]) -> set[str]:
    """Parameters, names of other scopes, and names that definitions, imports and patterns bind."""
    kept = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
    for node in nodes:
        match node:
            case ast.arg():
                kept.add(node.arg)
            case ast.Global() | ast.Nonlocal():
                kept.update(node.names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                kept.add(node.name)
            case ast.alias():
                kept.add((node.asname or node.name).partition(".")[0])
            case ast.MatchAs() | ast.MatchStar():
                kept.add(node.name or "")
            case ast.MatchMapping():
                kept.add(node.rest or "")
    return kept


def _named(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.ExceptHandler):
        return node.name
    return None


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _fresh(number: int, taken: set[str]) -> str:
    name = f"v{number}"
    while name in taken:
        name = f"_{name}"
    return name
