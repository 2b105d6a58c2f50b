"""This package, installed like the others: `selectllm:S` over members that replay their recorded replies.

A system is an encoder and a policy, such as `lexical selectllm:2`. The systems of a process have the same encoder and
share one training.
"""

import time
from functools import partial
from typing import Any

from exchange import Choice, Run


def records(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Queries and replies of the training side in the package's format; scores where there is no reference."""
    fields = ("query_id", "category", "reference", "answer_type")
    asked = [
        {"query": query["text"], **{name: query[name] for name in fields}} for query in run.exchange.train
    ]
    recorded = []
    for query, row in zip(run.exchange.train, run.exchange.replies("train"), strict=True):
        for k, name in enumerate(run.exchange.members):
            reply = {"query_id": query["query_id"], "model": name, "response": row["replies"][k]}
            if query["reference"] is None:
                reply["score"] = query["scores"][k]
            if run.exchange.pool["priced"]:
                reply["cost_usd"] = query["costs"][k]
            recorded.append(reply)
    return asked, recorded


def known_sentence_encoder(run: Run) -> Any:
    """The package's sentence encoder, which looks known texts up while it is not `live`."""
    import numpy as np

    (sentence,) = run.imported("langchain_selectllm.encoders.sentence")
    known = run.exchange.known_embeddings()

    class Encoder(sentence.SentenceEncoder):
        live = False
        seconds: list[float] = []  # noqa: RUF012

        def encode(self, texts: list[str]) -> Any:
            if not self.live and all(text in known for text in texts):
                return np.stack([known[text] for text in texts]).astype(np.float32)
            start = time.perf_counter()
            embedded = super().encode(texts)
            self.seconds.append(time.perf_counter() - start)
            return embedded

    return Encoder(run.exchange.pool["encoder"], device="cpu")


class Ours:
    """The classifier and the routers over it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        run.imported("langchain_selectllm.routing.router", "langchain_selectllm.classifier.classifier")
        self.package, self.errors, self.testing = run.imported(
            "langchain_selectllm", "langchain_selectllm.exceptions", "langchain_selectllm.testing"
        )
        self.members = self._replaying_members()
        self._classifier: Any = None

    def _replaying_members(self) -> dict[str, Any]:
        texts = [query["text"] for query in self.run.exchange.test]
        rows = [row["replies"] for row in self.run.exchange.replies("test")]
        members = {}
        for k, name in enumerate(self.run.exchange.members):
            own = {text: row[k] or "" for text, row in zip(texts, rows, strict=True)}
            members[name] = self.testing.ReplayChatModel(model=name, replies=own)
        return members

    def classifier(self, encoder: str) -> Any:
        """Reads the records and learns from them, the first time."""
        if self._classifier is None:
            exchange = self.run.exchange
            if encoder == "MiniLM":
                self.run.encoder = known_sentence_encoder(self.run)
            table = self.package.OutcomeTable.from_records(
                *records(self.run), members=exchange.members, answer=exchange.pool["answer"]
            )
            chosen = self.run.encoder or encoder
            self._classifier = self.package.SelectLLMClassifier(encoder=chosen).fit(table)
        return self._classifier

    def router(self, system: str) -> Any:
        """The router of one system; None where the policy's budget buys nothing."""
        encoder, policy = system.split()
        classifier = self.classifier(encoder)
        try:
            return self.package.SelectLLMRouter(
                classifier=classifier, models=self.members, policy=policy, early_stop=False
            )
        except self.errors.PolicyError:
            return None

    def choose(self, router: Any, text: str) -> Choice:
        """What the router calls and whose reply it returns; the cheapest member where there is no router."""
        if router is None:
            costs = dict(zip(self.run.exchange.members, self.run.exchange.pool["mean_costs"], strict=True))
            cheapest = min(costs, key=lambda name: costs[name])
            return Choice(calls=[cheapest], winner=cheapest)
        metadata = router.invoke(text).response_metadata["selectllm"]
        called = [name for calls in metadata["called"] for name in calls]
        return Choice(calls=called, winner=metadata["winner"])


def main() -> None:
    run = Run()
    ours = Ours(run)
    shared_s = 0.0
    for system in run.given.systems:
        routers: list[Any] = []

        def train(system: str = system, routers: list[Any] = routers) -> Any:
            routers.append(ours.router(system))
            return lambda text: ours.choose(routers[0], text)

        decide = partial(_decide, routers)
        shared_s = run.measure(system, train, decide=decide, shared_s=shared_s)
    run.finish()


def _decide(routers: list[Any], text: str) -> Any:
    return routers[0].decide(text)


if __name__ == "__main__":
    main()
