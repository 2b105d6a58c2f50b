"""How plausible an answer is by the looks of the options alone, learned from which options were right in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.looks import candidate_looks

_NETWORKS = 4
_HIDDEN = 16
_EPOCHS = 20
_FOLDS = 5
_MIN_QUERIES = 200
_BOUND = 4.0
# One-sided 95 %: looks are used only where they beat a blind guess by evidence.
_Z = 1.645


@dataclass(frozen=True, eq=False)
class Plausibility:
    """Log-odds that an option is right, beyond those of a blind guess, from its looks.

    The mean of four small networks of one hidden layer, which is one network of a wider one.
    """

    mean: NDArray[np.float64]
    """(N_LOOKS,)."""
    scale: NDArray[np.float64]
    """(N_LOOKS,)."""
    hidden_weights: NDArray[np.float64]
    """(N_LOOKS, n_hidden)."""
    hidden_bias: NDArray[np.float64]
    """(n_hidden,)."""
    out_weights: NDArray[np.float64]
    """(n_hidden,)."""
    out_bias: NDArray[np.float64]
    """(1,)."""
    accuracy: NDArray[np.float64]
    """(2,): how often the most plausible option was right on training queries that had not been seen; how often a guess is."""

    def log_odds(self, looks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log-odds of being right less those of one option of so many, (n,), in [-4, 4]; 0 for what is no option.

        Args:
            looks: (n, N_LOOKS), of `candidate_looks`.
        """
        n_options = looks[:, 0].astype(np.float64)
        hidden = np.maximum((looks - self.mean) / self.scale @ self.hidden_weights + self.hidden_bias, 0.0)
        log_odds = hidden @ self.out_weights + self.out_bias + np.log(np.maximum(n_options - 1, 1))
        return np.where(n_options > 0, np.clip(log_odds, -_BOUND, _BOUND), 0.0)

    def of(self, query: str | None, candidates: Sequence[str]) -> NDArray[np.float64]:
        """Log-odds of the candidate answers to a query, (n_candidates,)."""
        return self.log_odds(candidate_looks(query, candidates))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The arrays to save."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> "Plausibility":
        """The plausibility of saved arrays."""
        return cls(**arrays)


def fit_plausibility(
    looks: Sequence[NDArray[np.float32]], right: Sequence[int], *, seed: int
) -> tuple[Plausibility, list[NDArray[np.float64]]] | None:
    """Plausibility fitted on which options were right, and the log-odds of options that it had not seen.

    Args:
        looks: Looks of the options of each query, (n_options, N_LOOKS) each.
        right: Which option is right; -1 where that is unknown, or none is.
        seed: Seed of folds and networks.

    Returns:
        The plausibility, and out-of-fold log-odds of each query's options, (n_options,) each. None where fewer than 200
        queries have a known right option, or where looks do not tell it better than a blind guess, by paired evidence.
    """
    known = [i for i, place in enumerate(right) if place >= 0]
    if len(known) < _MIN_QUERIES:
        return None
    folds = np.full(len(looks), -1)
    folds[known] = np.random.default_rng(seed).permutation(len(known)) % _FOLDS
    unseen = [np.zeros(len(own)) for own in looks]
    for fold in range(_FOLDS):
        fitted = _fit([looks[i] for i in known if folds[i] != fold], [right[i] for i in known if folds[i] != fold], seed)
        # What has no known right option was fitted on by none of them; any will do.
        for i in np.flatnonzero((folds == fold) | ((folds < 0) & (fold == 0))).tolist():
            unseen[i] = fitted.log_odds(looks[i])
    gains = np.array([_log_share(unseen[i], right[i]) + np.log(len(unseen[i])) for i in known])
    if gains.mean() <= _Z * gains.std() / np.sqrt(len(gains)):
        return None
    accuracy = np.mean([(unseen[i].argmax() == right[i], 1 / len(unseen[i])) for i in known], axis=0)
    return replace(_fit([looks[i] for i in known], [right[i] for i in known], seed), accuracy=accuracy), unseen


def _log_share(log_odds: NDArray[np.float64], right: int) -> float:
    shifted = log_odds - log_odds.max()
    return float(shifted[right] - np.log(np.exp(shifted).sum()))


def _fit(looks: Sequence[NDArray[np.float32]], right: Sequence[int], seed: int) -> Plausibility:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    x = np.vstack(looks).astype(np.float64)
    y = np.concatenate([np.arange(len(own)) == i for own, i in zip(looks, right, strict=True)]).astype(np.int64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    networks = []
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A fixed number of passes, few enough that networks do not learn their queries by heart.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for i in range(_NETWORKS):
            network = MLPClassifier(
                (_HIDDEN,),
                alpha=0.1,
                batch_size=min(256, len(x)),
                learning_rate_init=2e-3,
                max_iter=_EPOCHS,
                random_state=(seed * _NETWORKS + i) % 2**32,
            )
            networks.append(network.fit((x - mean) / scale, y))
    return Plausibility(
        mean=mean,
        scale=scale,
        hidden_weights=np.hstack([network.coefs_[0] for network in networks]),
        hidden_bias=np.concatenate([network.intercepts_[0] for network in networks]),
        out_weights=np.concatenate([network.coefs_[1][:, 0] for network in networks]) / _NETWORKS,
        out_bias=np.mean([network.intercepts_[1] for network in networks], axis=0),
        accuracy=np.full(2, np.nan),
    )
