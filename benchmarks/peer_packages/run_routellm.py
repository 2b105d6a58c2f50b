"""RouteLLM's matrix factorisation, trained with its own loop on the exchange's outcomes.

Its router decides between a strong and a weak model at a threshold. `all members` takes the member with the largest score of
the same model instead; the package has no call for that.
"""

import os

# The package makes an OpenAI client when it is imported; no call is made.
os.environ.setdefault("OPENAI_API_KEY", "unused")

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from encoder import TextEncoder
from exchange import Choice, Choose, Exchange, Run

DIM, BATCH, EPOCHS = 128, 64, 5
HELD_OUT = 0.05


class LocalEmbeddings:
    """Answers the one call that the package makes of OpenAI's client, with the local encoder."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.embeddings = self

    def create(self, *, input: list[str], model: str) -> Any:  # noqa: A002
        del model
        return SimpleNamespace(
            data=[SimpleNamespace(embedding=self.encoder.encode(text).tolist()) for text in input]
        )


def pairs(exchange: Exchange) -> list[dict[str, object]]:
    """Every pair of members of which one did better on a training query, in the package's format."""
    found = []
    for i, query in enumerate(exchange.train):
        scored = list(zip(exchange.members, query["scores"], strict=True))
        for one, score in scored:
            found += [
                {"idx": i, "model_a": one, "model_b": other, "winner": "model_a"}
                for other, less in scored
                if score > less
            ]
    return found


def train_model(exchange: Exchange, checkpoint: Path, run: Run) -> None:
    """Train with the package's loop and save what its router loads."""
    import numpy as np
    import torch

    (training, model) = run.imported(
        "routellm.routers.matrix_factorization.train_matrix_factorization",
        "routellm.routers.matrix_factorization.model",
    )
    model.MODEL_IDS.clear()
    model.MODEL_IDS.update({name: k for k, name in enumerate(exchange.members)})
    torch.manual_seed(0)
    data, embeddings = pairs(exchange), exchange.embeddings("train")
    order = np.random.default_rng(0).permutation(len(data))
    held_out, fitted = np.split(order, [int(HELD_OUT * len(data))])
    path = checkpoint.with_name("embeddings.npy")
    np.save(path, embeddings.astype(np.float32))
    shape = {
        "dim": DIM,
        "num_models": len(model.MODEL_IDS),
        "text_dim": embeddings.shape[1],
        "num_classes": 1,
        "use_proj": True,
    }
    net = training.MFModel_Train(**shape, num_prompts=len(embeddings), npy_path=str(path))
    loaders = [
        training.PairwiseDataset([data[i] for i in rows]).get_dataloaders(BATCH)
        for rows in (fitted, held_out)
    ]
    training.train_loops(
        net, *loaders, lr=3e-4, weight_decay=1e-5, alpha=0.1, num_epochs=EPOCHS, device="cpu"
    )
    served = model.MFModel(**shape)
    weights = {
        "P.weight": net.P.weight,
        "text_proj.0.weight": net.text_proj.weight,
        "classifier.0.weight": net.classifier.weight,
    }
    served.load_state_dict(weights)
    served.save_pretrained(checkpoint)


def choose_among_all(checkpoint: Path, exchange: Exchange, run: Run) -> Choose:
    """The member with the largest score."""
    (model,) = run.imported("routellm.routers.matrix_factorization.model")
    net = model.MFModel.from_pretrained(checkpoint).eval()
    ids = list(range(len(exchange.members)))
    import torch

    @torch.no_grad()
    def choose(text: str) -> Choice:
        member = exchange.members[int(net(ids, text).argmax())]
        return Choice(calls=[member], winner=member)

    return choose


def choose_of_two(checkpoint: Path, exchange: Exchange, share: float, run: Run) -> Choose:
    """The package's controller: the strongest member for the given share of the training queries, else the cheap one."""
    import numpy as np

    (controllers,) = run.imported("routellm.controller")
    strong, second, *_ = exchange.strongest_first()
    costs = dict(zip(exchange.members, exchange.pool["mean_costs"], strict=True))
    weak = second if len(set(costs.values())) == 1 else min(costs, key=lambda name: costs[name])
    settings = {
        "checkpoint_path": str(checkpoint),
        "strong_model": strong,
        "weak_model": weak,
        "text_dim": 384,
    }
    settings |= {"num_models": len(exchange.members), "hidden_size": DIM}
    controller = controllers.Controller(
        routers=["mf"], strong_model=strong, weak_model=weak, config={"mf": settings}
    )
    router = controller.routers["mf"]
    rates = [router.calculate_strong_win_rate(query["text"]) for query in exchange.train]
    threshold = float(np.quantile(rates, 1 - share))

    def choose(text: str) -> Choice:
        member = controller.route(text, "mf", threshold)
        return Choice(calls=[member], winner=member)

    return choose


def main() -> None:
    run = Run()
    (model, *_) = run.imported(
        "routellm.routers.matrix_factorization.model",
        "routellm.routers.matrix_factorization.train_matrix_factorization",
        "routellm.controller",
    )
    run.encoder = TextEncoder(run.exchange)
    model.OPENAI_CLIENT = LocalEmbeddings(run.encoder)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"

        def train(system: str) -> Choose:
            if not checkpoint.exists():
                train_model(run.exchange, checkpoint, run)
            if system == "all members":
                return choose_among_all(checkpoint, run.exchange, run)
            return choose_of_two(checkpoint, run.exchange, float(system.partition("%")[0]) / 100, run)

        shared_s = 0.0
        for system in run.given.systems:
            shared_s = run.measure(system, lambda system=system: train(system), shared_s=shared_s)
    run.finish()


if __name__ == "__main__":
    main()
