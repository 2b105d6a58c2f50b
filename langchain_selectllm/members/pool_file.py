"""The pool file: models of a pool with their sampling parameters, limits and prices."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import PoolFileError, reason

_KEY_NAME = re.compile(
    r"(?:^|[_-])(?:api_?key|key|token|secret|password|authorization|credentials?)$", re.IGNORECASE
)
_KEY_VALUE = re.compile(r"\b(?:sk|gsk|pk|rk|xai|hf|ghp|AIza|Bearer)[-_ ]?[A-Za-z0-9_-]{20,}")
_NO_KEYS = (
    "API keys are read from the environment only (OPENAI_API_KEY and the like, as LangChain's "
    "init_chat_model does). Remove it from the file, and revoke it if others have seen it."
)


class MemberSpec(BaseModel):
    """One member as its pool file describes it; everything but `model` may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str = Field(min_length=1)
    """Provider string as LangChain's `init_chat_model` takes it ("openai:gpt-4o-mini"), or
    "embedded:NAME"."""
    base_url: str | None = None
    """Where the provider is reached; its own address when None."""
    temperature: float | None = Field(default=None, ge=0)
    """The provider's default when None."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of a reply at most; the provider's default when None."""
    system_prompt: str | None = Field(default=None, min_length=1)
    """Stands before every prompt."""
    timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that one attempt may take."""
    max_concurrency: int = Field(default=16, ge=1)
    """Calls in flight at most."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Attempts a second at most; no limit when None."""
    price_input_usd_per_million: float | None = Field(default=None, ge=0)
    """US dollars for a million input tokens; None when unknown."""
    price_output_usd_per_million: float | None = Field(default=None, ge=0)
    """US dollars for a million output tokens; None when unknown."""
    price_cache_read_usd_per_million: float | None = Field(default=None, ge=0)
    """US dollars for a million input tokens read from the provider's cache; the input price when None."""
    price_cache_write_usd_per_million: float | None = Field(default=None, ge=0)
    """US dollars for a million input tokens written to it; the input price when None."""
    price_reasoning_usd_per_million: float | None = Field(default=None, ge=0)
    """US dollars for a million output tokens of reasoning; the output price when None."""
    logprobs: bool = False
    """Whether the log-probabilities of a reply's tokens are requested, which OpenAI-compatible servers,
    Ollama and the embedded pool send; see `TokenProbabilities`."""
    catalogue_prices: bool = False
    """Whether missing prices are those of the `genai-prices` catalogue (extra `prices`)."""

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://unset")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it should start with http:// or https:// and name a host")
        if parts.username or parts.password or parts.query:
            raise ValueError(f"it carries a user, password or query. {_NO_KEYS}")
        return url

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings that determine the replies: samples under different parameters are different outcomes.

        Address, limits and prices are not among them, so that a server may move without everything being
        asked again.
        """
        parameters = {"model": self.model}
        for name in ("temperature", "max_tokens", "system_prompt"):
            value = getattr(self, name)
            if value is not None:
                parameters[name] = value
        return parameters


class PoolFile(BaseModel):
    """The members of a pool by name, in the order of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    members: dict[str, MemberSpec] = Field(min_length=1)

    @field_validator("members")
    @classmethod
    def _check_names(cls, members: dict[str, MemberSpec]) -> dict[str, MemberSpec]:
        for name in members:
            if not name or not name.isprintable() or name.strip() != name:
                raise ValueError("every member needs a printable name without white space around it")
        return members


def read_pool_file(path: str | Path) -> PoolFile:
    """Returns the validated pool file.

    Raises:
        PoolFileError: If it cannot be read, is no YAML, holds an API key, or a field is unknown or has a
            wrong value; names the line.
    """
    yaml = require("yaml", extra="collect", needed_by="A pool file")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PoolFileError(f"{path} cannot be read: {reason(error)}.") from error
    try:
        content, root = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        where, mark = str(path), getattr(error, "problem_mark", None)
        if mark is not None:
            where = f"{path}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise PoolFileError(f"{where}: not valid YAML ({problem}).") from error
    if root is None or not isinstance(content, dict):
        raise PoolFileError(
            f"{path}:1: the file holds no mapping. Start it with `members:`, one entry per member below it."
        )
    _refuse_keys_and_doubles(root, path)
    try:
        return PoolFile.model_validate(content)
    except ValidationError as error:
        # Without its cause, which repeats what the file holds.
        raise PoolFileError(_first_problem(error, root, path)) from None


def _refuse_keys_and_doubles(root: Any, path: str | Path) -> None:
    known = {*MemberSpec.model_fields, *PoolFile.model_fields}
    for mapping in _mappings(root, set()):
        seen: set[str] = set()
        for key, value in mapping.value:
            line = key.start_mark.line + 1
            # Members may have any name; a key that is named like a secret is one everywhere else.
            is_secret = key.value not in known and value.id == "scalar" and _KEY_NAME.search(str(key.value))
            if is_secret or (value.id == "scalar" and _KEY_VALUE.search(str(value.value))):
                raise PoolFileError(f"{path}:{line}: {key.value} looks like an API key. {_NO_KEYS}")
            if str(key.value) in seen:
                raise PoolFileError(f"{path}:{line}: {key.value!r} stands twice. Keep one of them.")
            seen.add(str(key.value))


def _mappings(node: Any, visited: set[int]) -> Iterator[Any]:
    # An alias leads to a node that was visited before, perhaps to one that it is part of.
    if id(node) in visited:
        return
    visited.add(id(node))
    if node.id == "mapping":
        yield node
        for _, child in node.value:
            yield from _mappings(child, visited)
    elif node.id == "sequence":
        for child in node.value:
            yield from _mappings(child, visited)


def _first_problem(error: ValidationError, root: Any, path: str | Path) -> str:
    """Returns the first problem of the file, with its line and a remedy."""
    problems = sorted((_line(root, problem["loc"]), i, problem) for i, problem in enumerate(error.errors()))
    line, _, problem = problems[0]
    name = ".".join(map(str, problem["loc"])) or "the file"
    if problem["type"] == "extra_forbidden":
        fields = PoolFile.model_fields
        if len(problem["loc"]) > 1:
            fields = MemberSpec.model_fields
        return f"{path}:{line}: {name} is unknown. Use {', '.join(fields)}."
    if problem["type"] == "missing":
        return f"{path}:{line}: {name} is missing. It is required."
    if problem["type"] in ("model_type", "dict_type"):
        return f"{path}:{line}: {name} holds no settings. Give it a model, as `model: openai:gpt-4o`."
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = f" is {problem['input']!r}"
    if isinstance(problem["input"], Mapping) or said.endswith(_NO_KEYS):
        # The input may hold what looked like a key.
        given = ""
    return f"{path}:{line}: {name}{given}; {said.removesuffix('.')}."


def _line(root: Any, place: Sequence[Any]) -> int:
    """Returns the line of the innermost part of the file on the way to `place`."""
    node, line = root, root.start_mark.line + 1
    for step in place:
        found = _entry(node, step)
        if found is None:
            break
        key, node = found
        line = key.start_mark.line + 1
    return int(line)


def _entry(node: Any, step: Any) -> tuple[Any, Any] | None:
    """Returns key and value of one entry of a mapping; None where there is none."""
    if node.id != "mapping":
        return None
    for key, value in node.value:
        if str(key.value) == str(step):
            return key, value
    return None
