"""Recorded traces of LangChain runs."""

from langchain_core.tracers.base import BaseTracer


class Recorder(BaseTracer):
    """Keeps the root runs."""

    def __init__(self):
        super().__init__()
        self.roots = []

    def _persist_run(self, run):
        self.roots.append(run)


def flatten(run):
    """A run and everything below it, parents first."""
    return [run, *(below for child in run.child_runs for below in flatten(child))]
