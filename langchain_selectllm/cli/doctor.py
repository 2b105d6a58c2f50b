"""`selectllm doctor`: installed versions, extras, and the commands that miss a package."""

import platform
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from langchain_selectllm import __version__
from langchain_selectllm._optional import pip_line
from langchain_selectllm.cli.console import out, print_json


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An extra of the distribution with the modules it installs and the features that need it."""

    name: str
    modules: tuple[str, ...]
    needed_for: str

    @property
    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.modules if not _is_installed(module)]


EXTRAS = (
    Extra(name="train", modules=("sklearn", "scipy"), needed_for="train, evaluate, demo, feedback"),
    Extra(name="embedded", modules=("torch", "transformers"), needed_for="demo, members embedded:NAME"),
    Extra(
        name="sentence",
        modules=("torch", "transformers", "sentence_transformers"),
        needed_for="train --encoder MODEL",
    ),
    Extra(
        name="fine-tune",
        modules=("torch", "transformers", "accelerate"),
        needed_for="train --encoder fine-tune:MODEL",
    ),
    Extra(
        name="collect",
        modules=("sqlalchemy", "yaml", "langchain"),
        needed_for="collect, grade, export, --pool",
    ),
    Extra(name="postgres", modules=("psycopg",), needed_for="a store on PostgreSQL"),
    Extra(name="ray", modules=("ray", "pyarrow"), needed_for="collect, route, answer --engine ray"),
    Extra(
        name="serve",
        modules=("starlette", "uvicorn", "prometheus_client", "pydantic_settings", "orjson"),
        needed_for="serve",
    ),
    Extra(
        name="report",
        modules=("altair", "jinja2", "vl_convert"),
        needed_for="evaluate --html, --plots; ablate --plots",
    ),
    Extra(
        name="analyze",
        modules=("altair", "jinja2", "vl_convert", "scipy", "textstat"),
        needed_for="analyze",
    ),
    Extra(name="prices", modules=("genai_prices",), needed_for="prices of known models"),
    Extra(name="otel", modules=("opentelemetry.sdk",), needed_for="serve with traces"),
    Extra(name="langchain", modules=("langchain",), needed_for="agent middleware"),
    Extra(name="llama-index", modules=("llama_index",), needed_for="the LlamaIndex integration"),
)
"""Extras in the order in which a user needs them; `tests/unit_tests/cli/test_doctor.py` keeps them true."""

_PACKAGES = (
    "langchain-core",
    "numpy",
    "safetensors",
    "langchain",
    "llama-index-core",
    "torch",
    "scikit-learn",
)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Show installed versions and extras, and what is missing for which command."""
    report = examine()
    if as_json:
        print_json(report)
        return
    out.print(f"langchain-selectllm {__version__}, Python {report['python']}", highlight=False)
    found = [f"{name} {version}" for name, version in report["packages"].items() if version is not None]
    out.print(f"{', '.join(found)}.", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("extra", "needed for", "missing"):
        table.add_column(title)
    for name, extra in report["extras"].items():
        table.add_row(name, extra["needed_for"], ", ".join(extra["missing"]) or "nothing")
    out.print(table)
    incomplete = [name for name, extra in report["extras"].items() if extra["missing"]]
    if incomplete:
        out.print(
            f"To install the missing packages: {pip_line(','.join(incomplete))}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def examine() -> dict[str, Any]:
    """Returns versions and missing modules as plain JSON; imports nothing."""
    packages = {name: _version(name) for name in _PACKAGES}
    extras = {}
    for extra in EXTRAS:
        extras[extra.name] = {"needed_for": extra.needed_for, "missing": extra.missing}
    return {
        "version": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "extras": extras,
    }


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # The package around the module is missing.
        return False


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
