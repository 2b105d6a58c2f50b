"""Text in, calibrated P(correct) of every member out: everything that is learned hangs off this object."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.exceptions import NotFittedError

if TYPE_CHECKING:
    from langchain_selectllm.classifier.fitted import Learned, TrainingSummary
    from langchain_selectllm.encoders import Encoder
    from langchain_selectllm.outcomes import OutcomeTable
    from langchain_selectllm.selection.pool_statistics import PoolStatistics


class SelectLLMClassifier:
    """Predicts, for each text, which members of a pool answer it correctly (SelectLLM; Maurya et al., 2025).

    One logistic head a member over the encoder's features; the heads are calibrated on queries they have not
    seen:
    cheap encoders rotate the held-out share over all queries (cross-fitting), fine-tuned ones hold it out
    once.
    """

    def __init__(
        self, *, encoder: "str | Encoder" = "lexical", validation: float = 0.15, seed: int = 0
    ) -> None:
        """Store the settings; nothing is loaded before `fit`.

        Args:
            encoder: "lexical", a sentence-transformers model id or folder, "fine-tune:MODEL", "hidden:MODEL",
                or an encoder.
            validation: Share of the queries held out of each fit, in (0, 0.5].
            seed: Seed of folds and solvers.
        """
        self.encoder = encoder
        self.validation = validation
        self.seed = seed
        self._state: Learned | None = None
        self._training: OutcomeTable | None = None

    def fit(
        self, outcomes: "OutcomeTable", *, allow_unreadable: bool = False, progress: StageProgress = silent
    ) -> Self:
        """Learn from recorded outcomes.

        Args:
            outcomes: Training outcomes; unobserved cells are left out.
            allow_unreadable: Whether to train even where (nearly) every reply of a kind is wrong or
                unreadable.
            progress: Called with the name of a stage and the share of it that is done.

        Raises:
            OutcomeError: If there are fewer than two queries, a member has no observed outcome, or replies
                are read
                in a way that (nearly) none is right; see `outcomes.check_readable`.
            ValueError: If `validation` or `seed` is out of range.
        """
        if not 0.0 < self.validation <= 0.5:
            raise ValueError(
                f"validation is {self.validation!r}. Use a share greater than 0 and at most 0.5."
            )
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}. Use a whole number from 0.")
        # Serving, which does without training, starts faster without its modules.
        from langchain_selectllm.classifier.fitting import learn
        from langchain_selectllm.encoders import get_encoder
        from langchain_selectllm.outcomes import check_readable

        check_readable(outcomes, allow_unreadable=allow_unreadable)
        encoder = get_encoder(self.encoder)
        self._state = learn(outcomes, encoder, validation=self.validation, seed=self.seed, progress=progress)
        self._training = outcomes
        return self

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probability that each member answers each text correctly.

        Args:
            texts: Prompts as plain strings. A blank text gets the members' base rates.

        Returns:
            Array of shape (n_texts, n_members) in [0, 1]. Columns follow `members`. Rows need not sum to 1.

        Raises:
            NotFittedError: If called before `fit` or `from_pretrained`.
            TypeError: If `texts` is one string.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a string. Give a list of strings.")
        return self.learned.probabilities(texts)

    def add_member(self, name: str, outcomes: "OutcomeTable") -> Self:
        """Fit one more head; heads and calibration of the other members stay bit for bit as they are.

        Args:
            name: The new member.
            outcomes: Its outcomes. Where the other members' outcomes are in the table as well, the best fixed
                sets are
                searched again.

        Raises:
            MemberMismatchError: If the member is there already.
            OutcomeError: If it has fewer than two outcomes.
        """
        from langchain_selectllm.classifier.refitting import add_member

        self._state = add_member(self.learned, name, outcomes, validation=self.validation, seed=self.seed)
        self._training = None
        return self

    def update(
        self,
        outcomes: "OutcomeTable",
        *,
        training: "OutcomeTable | None" = None,
        progress: StageProgress = silent,
    ) -> Self:
        """Refit heads, calibration and vote on old and new outcomes; the encoder stays as it is.

        `summary.outcomes` then says how many outcomes of each member the classifier rests on. Several scores
        of one member for one query are one outcome.

        Args:
            outcomes: New outcomes of some or all members, such as `FeedbackLog.outcomes`.
            training: All outcomes that it was fitted and updated on so far, since heads fitted on the new
                outcomes alone
                would forget the old ones. When None, those that it was fitted and updated on in this process.
            progress: Called with the name of a stage and the share of it that is done.

        Raises:
            EncoderError: If the encoder was trained on outcomes itself; fit again then.
            OutcomeError: If the training outcomes are needed and not given, queries of them are missing, or a
                member of the
                new outcomes is unknown.
        """
        from langchain_selectllm.classifier.refitting import refit

        self._state, self._training = refit(
            self.learned,
            outcomes,
            training=self._training if training is None else training,
            validation=self.validation,
            seed=self.seed,
            progress=progress,
        )
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Save as JSON, safetensors and a card; an artefact that stands there is replaced at once.

        Raises:
            NotFittedError: If nothing was learned yet.
            ArtefactError: If something else than an artefact stands there.
        """
        from langchain_selectllm.classifier.artefact import save_learned

        save_learned(self.learned, folder, validation=self.validation, seed=self.seed)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, encoder_model: str | None = None) -> Self:
        """The classifier of a saved folder, equal bit for bit to the one that was saved.

        Args:
            folder: What `save_pretrained` or `selectllm train` wrote.
            encoder_model: Id or folder of the model under the encoder, where it is not part of the folder. A
                hidden-states encoder has to be given it; a sentence encoder takes the saved id or folder when
                None.

        Raises:
            ArtefactError: If the folder is missing, foreign, newer than this release, truncated or changed.
            EncoderError: If the encoder's model cannot be loaded, has to be named, or is another one.
        """
        from langchain_selectllm.classifier.artefact import load_learned

        learned, config = load_learned(folder, encoder_model)
        settings = {name: config[name] for name in ("validation", "seed")}
        classifier = cls(encoder=learned.encoder.name, **settings)
        classifier._state = learned
        return classifier

    @property
    def learned(self) -> "Learned":
        """Everything that was learned.

        Raises:
            NotFittedError: If called before `fit` or `from_pretrained`.
        """
        if self._state is None:
            raise NotFittedError(
                "The classifier is not fitted. Call fit(outcomes), or load one with from_pretrained(folder)."
            )
        return self._state

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the K members, in the order of every array."""
        return self.learned.pool.members

    @property
    def pool(self) -> "PoolStatistics":
        """Base rates, fixed sets, mean costs and latencies of the members."""
        return self.learned.pool

    @property
    def summary(self) -> "TrainingSummary":
        """What the classifier was fitted on."""
        return self.learned.summary

    def trained_on(self, outcomes: "OutcomeTable") -> NDArray[np.bool_]:
        """Which queries of the table were among the training queries, by id, (n,)."""
        known = self.learned.trained_on
        return np.array([digest in known for digest in outcomes.query_digests], dtype=np.bool_)
