"""Optional packages, imported where they are used and named with their pip line when absent."""

import importlib
from types import ModuleType

from langchain_selectllm.exceptions import MissingDependencyError


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """The imported optional module.

    Args:
        module: Name to import, such as "torch".
        extra: Extra of this distribution that installs it, such as "full".
        needed_by: What needs it, as a user would name it.

    Raises:
        MissingDependencyError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        package = error.name.replace("_", "-")
        raise MissingDependencyError(
            f'{needed_by} needs {package}. Install it: pip install "langchain-selectllm[{extra}]".'
        ) from error
