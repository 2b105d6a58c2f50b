"""Every error this package raises on purpose.

SelectLLMError
├── OutcomeError (ValueError)          recorded outcomes are malformed, contradictory or missing
├── AnswerError (ValueError)           an answer extractor is unknown or fails
├── EncoderError (ValueError)          an encoder is unknown, or its model cannot be used
├── NotFittedError (RuntimeError)      something learned is used before it was learned
├── MemberMismatchError (ValueError)   classifier, registry and policy disagree about the members
├── PolicyError (ValueError)           a policy or vote is unknown or cannot be applied to this pool
├── ArtefactError (ValueError)         a saved folder cannot be trusted or read
│   ├── ArtefactMissingError           a file of it is not there
│   ├── ArtefactFormatError            it is not ours, or is newer than this release
│   └── ArtefactCorruptError           its content does not match its own checksums or shapes
├── EmbeddedModelError (ValueError)    an embedded model is unknown, or is asked for what it cannot do
├── PoolFileError (ValueError)         a pool file is malformed, or a provider refuses its settings
├── ServerConfigError (ValueError)      the server's settings are unknown, out of range or unsafe
├── StoreError (RuntimeError)          a store of outcomes cannot be opened, is in use, or is incomplete
├── LeakageError (ValueError)          evaluation was asked to use training queries
├── ToolSupportError (NotImplementedError)  no member can call tools
├── DeadlineError (TimeoutError)       a member did not reply in time
├── LowConfidenceError                 the answer is not sure enough
├── MissingDependencyError (ImportError)  an optional package is not installed
└── FanOutError (ExceptionGroup)       every selected member failed; each cause is in `.exceptions`
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Self


def reason(error: Exception) -> str:
    """Why a file cannot be read or written, in words and without its name."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in UTF-8"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)


class SelectLLMError(Exception):
    """Root of every error raised on purpose by this package."""


class OutcomeError(SelectLLMError, ValueError):
    """Recorded outcomes are malformed, contradictory or missing."""


class AnswerError(SelectLLMError, ValueError):
    """An answer extractor is unknown or fails."""


class EncoderError(SelectLLMError, ValueError):
    """An encoder is unknown, or its model cannot be used."""


class NotFittedError(SelectLLMError, RuntimeError):
    """Something learned is used before it was learned."""


class MemberMismatchError(SelectLLMError, ValueError):
    """Classifier, registry and policy disagree about the members."""


class PolicyError(SelectLLMError, ValueError):
    """A policy or vote is unknown or cannot be applied to this pool."""


class ArtefactError(SelectLLMError, ValueError):
    """A saved folder cannot be trusted or read."""


class ArtefactMissingError(ArtefactError):
    """A file of the saved folder is not there."""


class ArtefactFormatError(ArtefactError):
    """The folder is not one of ours, or was written by a newer release."""


class ArtefactCorruptError(ArtefactError):
    """The folder's content does not match its own checksums or shapes."""


class EmbeddedModelError(SelectLLMError, ValueError):
    """An embedded model is unknown, or is asked for what it cannot do."""


class PoolFileError(SelectLLMError, ValueError):
    """A pool file is malformed, or a provider refuses its settings."""


class ServerConfigError(SelectLLMError, ValueError):
    """The server's settings are unknown, out of range or unsafe."""


class StoreError(SelectLLMError, RuntimeError):
    """A store of outcomes cannot be opened, is in use, or does not hold what is asked for."""


class LeakageError(SelectLLMError, ValueError):
    """Evaluation was asked to use queries the classifier was trained on."""


class ToolSupportError(SelectLLMError, NotImplementedError):
    """No member can call tools."""


class LowConfidenceError(SelectLLMError):
    """The answer is not confident enough; `.reply` holds the message with its metadata."""

    def __init__(self, message: str, *, reply: object, confidence: float) -> None:
        super().__init__(message)
        self.reply = reply
        self.confidence = confidence

    def __reduce__(self) -> tuple[Any, ...]:
        """How the error is made again; Python's own way knows no keyword arguments."""
        again = partial(type(self), reply=self.reply, confidence=self.confidence)
        return again, self.args, vars(self)


class DeadlineError(SelectLLMError, TimeoutError):
    """A member did not reply in time."""


class MissingDependencyError(SelectLLMError, ImportError):
    """An optional package is not installed; the message carries the pip line."""


class FanOutError(SelectLLMError, ExceptionGroup[Exception]):
    """Every selected member failed; `.exceptions` holds one cause a member, `.members` their names."""

    members: tuple[str, ...]

    def __new__(cls, message: str, exceptions: Sequence[Exception], members: Sequence[str] = ()) -> Self:
        """Build the group and remember which member each cause came from."""
        self = super().__new__(cls, message, exceptions)
        self.members = tuple(members)
        return self

    def derive(self, excs: Sequence[Exception]) -> "FanOutError":  # type: ignore[override]
        """Return a group of the same kind over `excs`, for `split` and `except*`."""
        kept = [n for n, e in zip(self.members, self.exceptions, strict=False) if e in excs]
        return FanOutError(self.message, excs, kept)
