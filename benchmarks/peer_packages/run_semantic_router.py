"""semantic-router: a route a member, whose utterances are the training queries that the member answered right."""

import time
from typing import Any

from exchange import Choice, Choose, Run

SETTINGS: dict[str, dict[str, Any]] = {"defaults": {}, "top_k=50, sum": {"top_k": 50, "aggregation": "sum"}}


def local_encoder(run: Run) -> Any:
    """The package's LocalEncoder over the encoder of all, which looks known texts up while it is not `live`."""
    (encoders,) = run.imported("semantic_router.encoders.local")
    known = run.exchange.known_embeddings()

    class Encoder(encoders.LocalEncoder):
        live: bool = False
        seconds: list[float] = []  # noqa: RUF012 (a field of a pydantic model)

        def __call__(self, docs: list[str]) -> list[list[float]]:
            if not self.live:
                return [known[doc].tolist() for doc in docs]
            start = time.perf_counter()
            embedded = super().__call__(docs)
            self.seconds.append(time.perf_counter() - start)
            return embedded

    return Encoder(name=run.exchange.pool["encoder"], device="cpu")


def train(system: str, run: Run) -> Choose:
    """The index over all utterances, searched by the package's router."""
    routes_module, routers = run.imported("semantic_router.route", "semantic_router.routers")
    routes = []
    for k, name in enumerate(run.exchange.members):
        right = [query["text"] for query in run.exchange.train if query["scores"][k] >= 0.5]
        routes.append(routes_module.Route(name=name, utterances=right))
    router = routers.IndexedRouter(encoder=run.encoder, routes=routes, **SETTINGS[system])

    def choose(text: str) -> Choice:
        member = router(text).name
        return Choice(calls=[member], winner=member)

    return choose


def main() -> None:
    run = Run()
    run.imported("semantic_router", "semantic_router.routers")
    run.encoder = local_encoder(run)
    for system in run.given.systems:
        run.measure(system, lambda system=system: train(system, run))
    run.finish()


if __name__ == "__main__":
    main()
