"""Probabilities for prompts that arrive at the same time, which are encoded together."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier

# A prompt among 8 takes a quarter of the time of one alone. In larger groups it takes less still, but all
# requests then start their calls, and are kept alive, at the same time: the garbage collector takes more than
# that gains, and requests end later on average.
_MOST_TOGETHER = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class _Waiting:
    texts: Sequence[str]
    probabilities: "asyncio.Future[NDArray[np.float64]]"


class JointPredictions:
    """P(correct) of the members for all requests that ask in one turn of an event loop.

    A batch takes a fraction of the time of its prompts one by one; every prompt gets the same bits as alone.
    """

    def __init__(self, classifier: SelectLLMClassifier) -> None:
        """Start without requests."""
        self._classifier = classifier
        self._waiting: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}

    async def of(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """P(correct), (n, K), of the texts of one request."""
        loop = asyncio.get_running_loop()
        request = _Waiting(texts=texts, probabilities=loop.create_future())
        if loop not in self._waiting:
            self._waiting[loop] = []
            # Work for several requests, in the context of none.
            loop.call_soon(self._predict, loop, context=Context())
        self._waiting[loop].append(request)
        return await request.probabilities

    def _predict(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = [one for one in self._waiting.pop(loop) if not one.probabilities.done()]
        together, later = waiting[:_MOST_TOGETHER], waiting[_MOST_TOGETHER:]
        if later:
            self._waiting[loop] = later
            loop.call_soon(self._predict, loop, context=Context())
        try:
            probabilities = self._classifier.predict_proba([text for one in together for text in one.texts])
        except Exception:  # noqa: BLE001 - each request by itself, so that an error stays with its own
            for one in together:
                self._predict_alone(one)
            return
        start = 0
        for one in together:
            end = start + len(one.texts)
            one.probabilities.set_result(probabilities[start:end])
            start = end

    def _predict_alone(self, request: _Waiting) -> None:
        try:
            request.probabilities.set_result(self._classifier.predict_proba(request.texts))
        except Exception as error:  # noqa: BLE001 - raised in the request
            request.probabilities.set_exception(error)
