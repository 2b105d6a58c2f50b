"""Chat models that hang until they are released."""

import asyncio
import threading
from typing import Any

from pydantic import Field

from langchain_selectllm.testing import ReplayChatModel


class HangingChatModel(ReplayChatModel):
    """Hangs in threads and on event loops alike, until `release` is set or the call is cancelled."""

    default: str | None = "late"
    release: Any = Field(default_factory=threading.Event)

    def _generate(self, *args, **kwargs):
        self.release.wait(30)
        return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args, **kwargs):
        await asyncio.sleep(30)
        return await super()._agenerate(*args, **kwargs)
