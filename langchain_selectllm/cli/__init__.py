"""The `selectllm` command: a thin shell over the library."""

from langchain_selectllm.cli.app import main

__all__ = ["main"]
