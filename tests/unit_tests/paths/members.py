"""Members that note what reaches them, hang, and wait, for tests of every path."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables.config import ensure_config

from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from tests.support.tool_models import ToolModel
from tests.support.waiting import LONG_S

SAYS = "one two three"


@dataclass
class Watch:
    """What the members of one test share."""

    configs: list = field(default_factory=list)
    started: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    """Ends what hangs in threads."""
    first_piece: threading.Event = field(default_factory=threading.Event)
    """Set once the caller has read something."""
    went_on: list = field(default_factory=list)
    """Whether each streaming member went on because its first word had been read."""


class Probe(ToolModel):
    """Replies like its parent; hangs or streams word by word where it is told to."""

    watch: Any
    hangs: bool = False
    gated: bool = False

    def _note(self):
        config = ensure_config()
        self.watch.started.append(self.model)
        self.watch.configs.append({"metadata": config["metadata"], "configurable": config["configurable"]})

    def _generate(self, *args, **kwargs):
        self._note()
        if self.hangs:
            self.watch.release.wait()
        result = super()._generate(*args, **kwargs)
        self.watch.ended.append(self.model)
        return result

    async def _agenerate(self, *args, **kwargs):
        self._note()
        await self._hang()
        result = super()._generate(*args, **kwargs)
        self.watch.ended.append(self.model)
        return result

    def _stream(self, *args, **kwargs):
        self._note()
        if self.hangs:
            self.watch.release.wait()
        for i, chunk in enumerate(super()._stream(*args, **kwargs)):
            if i == 1 and self.gated:
                self.watch.went_on.append(self.watch.first_piece.wait(LONG_S))
            yield chunk
        self.watch.ended.append(self.model)

    async def _astream(self, *args, **kwargs):
        self._note()
        await self._hang()
        for i, chunk in enumerate(super()._stream(*args, **kwargs)):
            if i == 1 and self.gated:
                self.watch.went_on.append(await asyncio.to_thread(self.watch.first_piece.wait, LONG_S))
            yield chunk
        self.watch.ended.append(self.model)

    async def _hang(self):
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.watch.cancelled.append(self.model)
                raise


def probes(fitted, watch, *, hanging=(), **fields):
    """A router over probes, all chosen; those named in `hanging` never reply."""
    models = {
        name: Probe(
            model=name,
            watch=watch,
            says=fields.get("says"),
            hangs=name in hanging,
            gated=fields.get("gated", False),
            error=fields.get("error"),
            profile={"structured_output": True, "tool_calling": True},
        )
        for name in fitted.members
    }
    settings = {"policy": fields.get("policy", "all_members"), "deadline_s": fields.get("deadline_s")}
    settings["request_deadline_s"] = fields.get("request_deadline_s")
    return SelectLLMRouter(
        classifier=fitted, models=models, parser=VotingOutputParser(), early_stop=False, **settings
    )
