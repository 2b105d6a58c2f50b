"""MiniLM with transformers alone: what sentence-transformers computes, in every environment that has torch."""

import time
from typing import Any

from exchange import Exchange

MAX_TOKENS = 256


class TextEncoder:
    """Embeddings of unit length of single texts."""

    def __init__(self, exchange: Exchange) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._torch = torch
        self._known = exchange.known_embeddings()
        self._tokenizer = AutoTokenizer.from_pretrained(exchange.pool["encoder"], local_files_only=True)
        self._model = AutoModel.from_pretrained(exchange.pool["encoder"], local_files_only=True).eval()
        self.live = False
        """Whether texts are embedded; their known embeddings are looked up otherwise."""
        self.seconds: list[float] = []
        """What embedding took, text by text."""

    def encode(self, text: str) -> Any:
        """Embedding of one text as a tensor, (384,)."""
        if not self.live:
            return self._torch.from_numpy(self._known[text]).float()
        start = time.perf_counter()
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with self._torch.inference_mode():
            mean = self._model(**tokens).last_hidden_state[0].mean(dim=0)
        embedding = self._torch.nn.functional.normalize(mean, dim=0)
        self.seconds.append(time.perf_counter() - start)
        return embedding.clone()
