"""Chat models that hang until they are released."""

import asyncio
import threading

from pydantic import PrivateAttr

from langchain_selectllm.testing import ReplayChatModel


class HangingChatModel(ReplayChatModel):
    """Hangs in threads until it is released, and on event loops until it is cancelled."""

    default: str | None = "late"
    _release: threading.Event = PrivateAttr(default_factory=threading.Event)
    _called: list[int] = PrivateAttr(default_factory=list)

    def _generate(self, *args, **kwargs):
        self._called.append(1)
        self._release.wait()
        return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args, **kwargs):
        self._called.append(1)
        await asyncio.Event().wait()

    @property
    def n_calls(self):
        """Calls that were begun."""
        return len(self._called)

    def release(self):
        """Ends what hangs in threads."""
        self._release.set()


def release_all(models):
    """Releases those of the models that hang."""
    for model in models:
        if isinstance(model, HangingChatModel):
            model.release()
