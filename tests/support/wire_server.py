"""A loopback server that speaks the wire protocols of OpenAI, Anthropic and Ollama, with faults by name of the model."""

import asyncio
import json
import math
import re
import threading
from contextlib import contextmanager

from aiohttp import web

from tests.support.waiting import LONG_S, until

FAULTS = ("status-500", "status-429", "hang", "truncated", "not-json", "drop")


class WireServer:
    """Answers model "says:TEXT" with TEXT, "slow:TEXT" once it is released, and misbehaves as the names in `FAULTS` say."""

    def __init__(self):
        self.port = 0
        self.requests = []
        self.cancelled = []
        self.release = threading.Event()
        """Lets slow models answer."""
        self.sure = {}
        """Probability by model name of every capital letter that stands alone; other tokens are certain."""
        self.sends_logprobs = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request):
        body = await request.json()
        self.requests.append((request.path, body))
        model = body["model"]
        if model.startswith("status-"):
            headers = {"Retry-After": "0"} if model == "status-429" else {}
            return web.json_response(
                {"error": {"message": "no", "type": "x", "code": None}},
                status=int(model[7:]),
                headers=headers,
            )
        if model == "hang":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(model)
                raise
        if model == "not-json":
            return web.Response(text="<html>proxy error</html>", content_type="text/html")
        if model == "drop":
            request.transport.close()
            return web.Response()
        if model.startswith("slow:"):
            await until(self.release.is_set)
        text = model.removeprefix("says:").removeprefix("slow:")
        if request.path.endswith("/chat/completions"):
            return await self.openai(request, body, text)
        if request.path.endswith("/messages"):
            return web.json_response(anthropic_message(model, text))
        return await self.ollama(request, model, text, self.entries(body, model, text))

    def entries(self, body, model, text):
        """Log-probabilities of the tokens where they are requested; half of what is left of 1 is for A, or for B beside A."""
        if not (body.get("logprobs") and self.sends_logprobs):
            return None
        entries = []
        for token in re.findall(r"\w+|\W", text):
            share = self.sure.get(model, 0.75) if re.fullmatch("[A-Z]", token) else 1.0
            listed = [{"token": token, "logprob": math.log(share), "bytes": None}]
            if share < 1:
                other = "B" if token == "A" else "A"
                listed.append({"token": other, "logprob": math.log((1 - share) / 2), "bytes": None})
            entries.append({**listed[0], "top_logprobs": listed[: body.get("top_logprobs", 0)]})
        return entries

    async def openai(self, request, body, text):
        model = body["model"]
        whole = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
        entries = self.entries(body, model, text)
        if entries is not None:
            whole["choices"][0]["logprobs"] = {"content": entries, "refusal": None}
        if model == "truncated":
            return web.Response(text=json.dumps(whole)[:60], content_type="application/json")
        if not body.get("stream"):
            return web.json_response(whole)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        by_token = entries or [{"token": piece} for piece in text]
        for entry in [*by_token, None]:
            piece = None if entry is None else entry["token"]
            delta = {} if piece is None else {"role": "assistant", "content": piece}
            choice = {"index": 0, "delta": delta, "finish_reason": None if piece else "stop"}
            if entries is not None and entry is not None:
                choice["logprobs"] = {"content": [entry], "refusal": None}
            await self._event(
                response, {**whole, "object": "chat.completion.chunk", "choices": [choice], "usage": None}
            )
        if (body.get("stream_options") or {}).get("include_usage"):
            await self._event(response, {**whole, "object": "chat.completion.chunk", "choices": []})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def ollama(self, request, model, text, entries):
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        line = {"model": model, "created_at": "2026-01-01T00:00:00Z", "done": False}
        for entry in entries or [{"token": piece} for piece in text]:
            said = {**line, "message": {"role": "assistant", "content": entry["token"]}}
            if entries is not None:
                said["logprobs"] = [entry]
            told = json.dumps(said)
            if model == "truncated":
                await response.write(told[:20].encode())
                return response
            await response.write(f"{told}\n".encode())
        end = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2}
        await response.write(
            f"{json.dumps({**line, 'message': {'role': 'assistant', 'content': ''}, **end})}\n".encode()
        )
        return response

    async def _event(self, response, chunk):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())

    @contextmanager
    def running(self):
        """The server in a thread of its own, on a free port."""
        loop, started = asyncio.new_event_loop(), threading.Event()

        async def start():
            app = web.Application()
            app.router.add_post("/{path:.*}", self.handle)
            self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]
            started.set()

        def work():
            asyncio.set_event_loop(loop)
            loop.run_until_complete(start())
            loop.run_forever()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert started.wait(LONG_S)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), loop).result(LONG_S)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(LONG_S)
            loop.close()


def anthropic_message(model, text):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 2},
    }
