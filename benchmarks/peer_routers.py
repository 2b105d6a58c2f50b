"""Routers of the field that pick one member, made again in a few lines over sentence embeddings.

Each predicts how well every member will do on a query; the pick is the member with the best prediction less lambda times
its mean cost (RouterBench). Where a router has a size to choose, it is chosen on a fifth of the training queries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

_BATCH = 512
Array = NDArray[np.float64]
Predict = Callable[[Array], Array]
"""From embeddings (n, d) to predicted scores, (n, K)."""
Fit = Callable[[Array, Array, int, int], Predict]
"""From embeddings (n, d), scores (n, K), a size and a seed to a fitted router."""


@dataclass(frozen=True)
class Peer:
    """A router of the field and the sizes that are tried for it."""

    name: str
    after: str
    fit: Fit
    sizes: tuple[int, ...]

    def train(self, embeddings: Array, scores: Array, seed: int) -> Predict:
        """Fit on all training queries, with the size that predicts a fifth of them best (mean squared error)."""
        size = self.sizes[0]
        if len(self.sizes) > 1:
            held_out = np.random.default_rng(seed).permutation(len(scores)) % 5 == 0
            tried = {s: self.fit(embeddings[~held_out], scores[~held_out], s, seed) for s in self.sizes}
            size = min(
                tried, key=lambda s: float(((tried[s](embeddings[held_out]) - scores[held_out]) ** 2).mean())
            )
        return self.fit(embeddings, scores, size, seed)


def fit_knn(embeddings: Array, scores: Array, size: int, seed: int) -> Predict:
    """Mean score of the nearest training queries by cosine."""
    del seed
    return (
        KNeighborsRegressor(n_neighbors=size, metric="cosine", algorithm="brute")
        .fit(embeddings, scores)
        .predict
    )


def fit_mlp(embeddings: Array, scores: Array, size: int, seed: int) -> Predict:
    """One hidden layer, one output per member, early stopping."""
    network = MLPRegressor(
        hidden_layer_sizes=(size,), early_stopping=True, max_iter=100, n_iter_no_change=5, random_state=seed
    )
    return network.fit(embeddings, scores).predict


def fit_linear(embeddings: Array, scores: Array, size: int, seed: int) -> Predict:
    """One logistic regression per member; a score between 0 and 1 is a fraction of a correct answer."""
    heads = []
    for column in scores.T:
        rows, labels = np.tile(embeddings, (2, 1)), np.repeat([1, 0], len(column))
        head = LogisticRegression(C=size, max_iter=500, random_state=seed)
        heads.append(head.fit(rows, labels, sample_weight=np.concatenate([column, 1 - column])))
    return lambda texts: np.stack([head.predict_proba(texts)[:, 1] for head in heads], axis=1)


def fit_clusters(embeddings: Array, scores: Array, size: int, seed: int) -> Predict:
    """Mean score in the query's cluster."""
    clusters = KMeans(size, n_init=4, random_state=seed).fit(embeddings)
    overall = scores.mean(axis=0)
    # One pseudo-query of the overall mean, for a cluster that holds next to nothing.
    means = np.stack([np.vstack([scores[clusters.labels_ == c], overall]).mean(axis=0) for c in range(size)])
    return lambda texts: means[clusters.predict(texts)]


def fit_factors(embeddings: Array, scores: Array, size: int, seed: int) -> Predict:
    """w . (v_member * (W v_query)), trained on pairs of members of which one did better on the query."""
    torch.manual_seed(seed)
    rows, winners, losers = (
        torch.from_numpy(part) for part in np.nonzero(scores[:, :, None] > scores[:, None, :])
    )
    texts = torch.from_numpy(embeddings).float()
    members = torch.nn.Embedding(scores.shape[1], size)
    project, score = torch.nn.Linear(texts.shape[1], size, bias=False), torch.nn.Linear(size, 1, bias=False)
    parameters = [*members.parameters(), *project.parameters(), *score.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=3e-3, weight_decay=1e-5)
    generator = torch.Generator().manual_seed(seed)
    # Three epochs, and no fewer than 200 steps where there are few pairs.
    for _ in range(max(3, 200 * _BATCH // len(rows) + 1)):
        for batch in torch.randperm(len(rows), generator=generator).split(_BATCH):
            # Noise on the embeddings, as in RouteLLM's training script.
            queries = project(
                texts[rows[batch]] + 0.05 * torch.randn(len(batch), texts.shape[1], generator=generator)
            )
            apart = torch.nn.functional.normalize(members.weight, dim=1)
            margin = score((apart[winners[batch]] - apart[losers[batch]]) * queries)
            loss = torch.nn.functional.softplus(-margin).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    @torch.no_grad()
    def predict(given: Array) -> Array:
        apart = torch.nn.functional.normalize(members.weight, dim=1)
        values = score(apart[None] * project(torch.from_numpy(given).float())[:, None]).squeeze(-1)
        return values.double().numpy()

    return predict


PEERS: Sequence[Peer] = (
    Peer("kNN", "RouterBench", fit_knn, (5, 10, 20, 40, 80)),
    Peer("MLP", "RouterBench", fit_mlp, (100,)),
    Peer("linear", "CARROT", fit_linear, (1, 10)),
    Peer("matrix factorisation", "RouteLLM", fit_factors, (64,)),
    Peer("k-means clusters", "universal model routing, Avengers", fit_clusters, (4, 8, 16, 32, 64)),
)
