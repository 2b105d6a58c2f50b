"""Optional packages, imported where they are used and named with their pip line when absent."""

import importlib
import json
from importlib import metadata
from types import ModuleType
from urllib.parse import urlsplit
from urllib.request import url2pathname

from langchain_selectllm.exceptions import MissingDependencyError

_DISTRIBUTION = "langchain-selectllm"
_PACKAGES = {"sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages whose name differs from that of their module by more than the hyphen."""


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Returns the imported optional module.

    Args:
        module: Name to import, such as "torch".
        extra: Extra of this distribution that installs it, such as "train".
        needed_by: Feature that needs it, as a user would name it.

    Raises:
        MissingDependencyError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        name = error.name.partition(".")[0]
        package = _PACKAGES.get(name) or name.replace("_", "-")
        raise MissingDependencyError(f"{needed_by} needs {package}. Install it: {pip_line(extra)}") from error


def pip_line(extra: str) -> str:
    """Returns the pip command that installs an extra, from the source that this installation came from.

    A checkout or a repository is recorded by pip (PEP 610); without a record the package came from an index.
    """
    source = _source()
    if source is None:
        return f'pip install "{_DISTRIBUTION}[{extra}]"'
    if source.startswith("file:"):
        return f'pip install "{url2pathname(urlsplit(source).path)}[{extra}]"'
    return f'pip install "{_DISTRIBUTION}[{extra}] @ {source}"'


def _source() -> str | None:
    """Returns the URL that the distribution was installed from; None for an index."""
    try:
        record = metadata.distribution(_DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    if record is None:
        return None
    content = json.loads(record)
    url = str(content["url"])
    if "vcs_info" in content:
        return f"{content['vcs_info']['vcs']}+{url}"
    return url
