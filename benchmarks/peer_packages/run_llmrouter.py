"""LLMRouter's kNN, MLP and MF with its published settings, in both orders of the rows of a query.

Its trainers keep one best member a query; where several are equally good, the one whose row comes first. The order of
the rows, from the strongest member to the weakest or the other way round, therefore decides what it learns.
"""

import json
import tempfile
from pathlib import Path

from encoder import TextEncoder
from exchange import Choice, Choose, Exchange, Run

SETTINGS = {
    "kNN": {
        "n_neighbors": 5,
        "weights": "uniform",
        "algorithm": "auto",
        "leaf_size": 30,
        "p": 2,
        "metric": "minkowski",
    },
    "MLP": {
        "hidden_layer_sizes": [128, 64],
        "activation": "relu",
        "lr": 0.001,
        "epochs": 100,
        "batch_size": 32,
        "alpha": 0.0001,
    },
    "MF": {"latent_dim": 128, "text_dim": 384, "lr": 0.001, "epochs": 5, "noise_alpha": 0.0},
}
CLASSES = {
    "kNN": ("knnrouter", "KNNRouter", "KNNRouterTrainer"),
    "MLP": ("mlprouter", "MLPRouter", "MLPTrainer"),
    "MF": ("mfrouter", "MFRouter", "MFRouterTrainer"),
}


def write_data(folder: Path, exchange: Exchange, kind: str, *, strongest_first: bool) -> Path:
    """The package's own files: rows of outcomes, embeddings, candidates and the configuration, whose path is returned."""
    import torch
    import yaml

    order = exchange.strongest_first()
    if not strongest_first:
        order.reverse()
    places = {name: k for k, name in enumerate(exchange.members)}
    with (folder / "routing.jsonl").open("w", encoding="utf-8") as lines:
        for i, query in enumerate(exchange.train):
            row = {
                "task_name": "pool",
                "query": query["text"],
                "ground_truth": "",
                "metric": "",
                "embedding_id": i,
            }
            for name in order:
                scored = {
                    "model_name": name,
                    "response": "",
                    "performance": query["scores"][places[name]],
                    "token_num": 0,
                }
                lines.write(json.dumps({**row, **scored}) + "\n")
    torch.save(
        {i: row.clone() for i, row in enumerate(torch.from_numpy(exchange.embeddings("train")).float())},
        folder / "embeddings.pt",
    )
    candidates = {
        name: {"size": "", "feature": "", "input_price": 0, "output_price": 0, "model": name}
        for name in order
    }
    (folder / "candidates.json").write_text(json.dumps(candidates), encoding="utf-8")
    files = {
        "query_embedding_data": "embeddings.pt",
        "routing_data_train": "routing.jsonl",
        "llm_data": "candidates.json",
    }
    saved = str(folder / "model.pkl")
    config = {
        "data_path": {name: str(folder / file) for name, file in files.items()},
        "model_path": {"ini_model_path": "", "save_model_path": saved, "load_model_path": saved},
        "metric": {"weights": {"performance": 1, "cost": 0, "llm_judge": 0}},
        "hparam": SETTINGS[kind],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def train(config: Path, kind: str, encoder: TextEncoder, run: Run) -> Choose:
    """The package's trainer on its own files; a single prompt is routed by its `route_single`."""
    import torch

    torch.manual_seed(0)
    module, router_name, trainer_name = CLASSES[kind]
    (routers,) = run.imported(f"llmrouter.models.{module}.router")
    (trainers,) = run.imported(f"llmrouter.models.{module}.trainer")
    # Its encoder is Longformer from a model hub, called by this name; the local encoder takes its place.
    routers.get_longformer_embedding = encoder.encode
    router = getattr(routers, router_name)(str(config))
    getattr(trainers, trainer_name)(router, device="cpu").train()

    def choose(text: str) -> Choice:
        member = router.route_single({"query": text})["model_name"]
        return Choice(calls=[member], winner=member)

    return choose


def main() -> None:
    run = Run()
    run.imported("llmrouter.models")
    run.encoder = TextEncoder(run.exchange)
    for system in run.given.systems:
        kind, _, order = system.partition(", ")
        with tempfile.TemporaryDirectory() as folder:
            config = write_data(
                Path(folder), run.exchange, kind, strongest_first=order == "strongest member first"
            )
            run.measure(system, lambda config=config, kind=kind: train(config, kind, run.encoder, run))
    run.finish()


if __name__ == "__main__":
    main()
