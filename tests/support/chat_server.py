"""A loopback server that speaks OpenAI's chat completions, with faults by a seeded schedule, and keeps its own books."""

import asyncio
import hashlib
import itertools
import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.waiting import LONG_S

FAULTS = ("rate_limit", "server_error", "hang", "truncated", "cut_off", "slow")


@dataclass
class ChatServer:
    """Answers "The answer is N." with N the number of characters of the prompt; usage follows from the texts."""

    fault_share: float = 0.0
    faults: tuple = FAULTS
    seed: int = 0
    delay_s: float = 0.0
    hang_s: float = 60.0
    retry_after_s: float = 0.2
    statuses: dict = field(default_factory=dict)
    """Status by model name: such a model answers every request with it, for as long as it stands here."""
    answered: dict = field(default_factory=dict)
    """What was answered in full: id -> (model, prompt, input tokens, output tokens)."""
    requests: Counter = field(default_factory=Counter)
    """Requests by model."""
    injected: Counter = field(default_factory=Counter)
    """Faults by kind."""
    times: dict = field(default_factory=lambda: defaultdict(list))
    """When requests of a model came in, and what they asked: (monotonic seconds, prompt)."""
    in_flight: Counter = field(default_factory=Counter)
    most_in_flight: Counter = field(default_factory=Counter)

    def __enter__(self):
        self._seen = Counter()
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(LONG_S)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(LONG_S)

    def _run(self, started):
        async def serve():
            self._over = asyncio.Event()
            app = web.Application()
            app.router.add_post("/v1/chat/completions", self._chat)
            # Hanging handlers are cancelled when their client goes away.
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            started.set()
            await self._over.wait()
            await runner.cleanup()

        self._loop.run_until_complete(serve())
        self._loop.close()

    async def _chat(self, request):
        body = await request.json()
        model, prompt = body["model"], body["messages"][-1]["content"]
        self.requests[model] += 1
        self.times[model].append((time.monotonic(), prompt))
        self.in_flight[model] += 1
        self.most_in_flight[model] = max(self.most_in_flight[model], self.in_flight[model])
        try:
            return await self._answer(request, body, model, prompt)
        finally:
            self.in_flight[model] -= 1

    async def _answer(self, request, body, model, prompt):
        await asyncio.sleep(self.delay_s)
        if model in self.statuses:
            return web.json_response({"error": {"message": "as told"}}, status=self.statuses[model])
        fault = self._fault(model, prompt)
        self.injected[fault] += 1
        if fault == "rate_limit":
            headers = {"Retry-After": f"{self.retry_after_s:g}"}
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
        if fault == "server_error":
            return web.json_response({"error": {"message": "boom"}}, status=500)
        if fault == "hang":
            await asyncio.sleep(self.hang_s)
        content = f"The answer is {len(prompt)}."
        n_input, n_output = sum(len(m["content"]) for m in body["messages"]), len(content)
        reply = {
            "id": f"reply-{next(self._numbers)}",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
            ],
            "usage": {
                "prompt_tokens": n_input,
                "completion_tokens": n_output,
                "total_tokens": n_input + n_output,
            },
        }
        text = json.dumps(reply).encode()
        if fault == "truncated":
            return web.Response(body=text[: len(text) // 2], content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(text)
        await response.prepare(request)
        if fault == "cut_off":
            await response.write(text[: len(text) // 2])
            request.transport.close()
            return response
        if fault == "slow":
            for byte in text:
                await response.write(bytes([byte]))
                await asyncio.sleep(self.hang_s / len(text))
        else:
            await response.write(text)
        await response.write_eof()
        self.answered[reply["id"]] = (model, prompt, n_input, n_output)
        return response

    def _fault(self, model, prompt):
        """By seed, model, prompt and how often that was asked before: the order of arrival changes nothing."""
        self._seen[model, prompt] += 1
        digest = hashlib.sha256(
            f"{self.seed}\0{model}\0{prompt}\0{self._seen[model, prompt]}".encode()
        ).digest()
        draw = int.from_bytes(digest[:8], "big") / 2**64
        return self.faults[digest[8] % len(self.faults)] if draw < self.fault_share else None
