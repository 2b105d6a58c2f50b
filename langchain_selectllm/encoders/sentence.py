"""A frozen sentence-transformers model as an encoder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require
from langchain_selectllm.encoders.model_files import check_model_folder
from langchain_selectllm.encoders.novelty import Familiarity, KnowsTexts
from langchain_selectllm.exceptions import EncoderError

_PROBE = "Which of these language models answers this question?"
# Other hardware and library versions move an embedding by far less than this, another model by far more.
_SAME_MODEL = 0.99


class SentenceEncoder(KnowsTexts):
    """Embeddings of unit length from any sentence-transformers model; the model is not trained.

    The artefact holds the model's id or folder and the embedding of one probe sentence, not the model itself.
    """

    kind: ClassVar[str] = "sentence-transformers"
    supervised: ClassVar[bool] = False
    head_c: ClassVar[float] = 10.0
    is_slow: ClassVar[bool] = True

    def __init__(
        self, model: str, *, revision: str | None = None, device: str | None = None, batch_size: int = 64
    ) -> None:
        self.model = model
        self.revision = revision
        self.device = device
        self.batch_size = batch_size
        self._loaded: Any = None

    @property
    def name(self) -> str:
        """The model's id or folder."""
        return self.model

    def fit(
        self,
        texts: Sequence[str],
        scores: NDArray[np.float64],  # noqa: ARG002
        validation: NDArray[np.bool_],  # noqa: ARG002
    ) -> Self:
        """Load the model and keep embeddings of the training texts.

        Raises:
            EncoderError: If the model cannot be loaded.
            MissingDependencyError: If sentence-transformers is not installed.
        """
        self.familiarity = Familiarity.fit(self.encode(Familiarity.sample(texts)))
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of unit length, (n, dimension)."""
        embeddings = self._load().encode(
            list(texts), batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(embeddings, dtype=np.float32)

    def save(self, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:  # noqa: ARG002
        """The model's id or folder and revision; embeddings of a probe sentence and of familiar texts.

        Raises:
            NotFittedError: If called before `fit`.
        """
        familiar = self.familiarity.arrays()
        return {"model": self.model, "revision": self.revision}, {"probe": self.encode([_PROBE]), **familiar}

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        folder: Path,  # noqa: ARG003
        *,
        model: str | None = None,
    ) -> Self:
        """The encoder over the same model: `model` where it is named, the saved id or folder otherwise.

        Raises:
            EncoderError: If the model cannot be loaded, or embeds the probe sentence unlike the one it was
                fitted with.
        """
        encoder = cls(model or str(config["model"]), revision=config.get("revision"))
        encoder.familiarity = Familiarity.from_arrays(arrays)
        probe = encoder.encode([_PROBE])
        if probe.shape != arrays["probe"].shape or float((probe * arrays["probe"]).sum()) < _SAME_MODEL:
            raise EncoderError(
                f"Encoder {encoder.model!r} is not the model that the heads were fitted on: it embeds a "
                "probe sentence differently. Restore that model, or train again."
            )
        return encoder

    def _load(self) -> Any:
        if self._loaded is None:
            is_folder = Path(self.model).is_dir()
            if is_folder:
                check_model_folder(Path(self.model), model_type=False)
            library = require("sentence_transformers", extra="sentence", needed_by=f"Encoder {self.model!r}")
            try:
                self._loaded = library.SentenceTransformer(
                    self.model,
                    revision=self.revision,
                    device=self.device,
                    trust_remote_code=False,
                    local_files_only=is_folder,
                    model_kwargs={"use_safetensors": True},
                )
            except (OSError, ValueError) as error:
                raise EncoderError(
                    f"Encoder {self.model!r} cannot be loaded: {error}. Use 'lexical', or the id or folder "
                    "of a sentence-transformers model that this machine can reach."
                ) from error
        return self._loaded
