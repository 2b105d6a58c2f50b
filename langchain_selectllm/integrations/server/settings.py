"""Settings of the server: a YAML file, environment variables and the command line."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from typing_extensions import override

from langchain_selectllm.exceptions import ServerConfigError, reason

LOOPBACK = ("127.0.0.1", "::1", "localhost")

KnobName = Literal[
    "policy",
    "max_calls",
    "patience",
    "patience_after_s",
    "min_confidence",
    "below_confidence",
    "deadline_s",
    "sticky_key",
    "explain",
]

_KNOBS: tuple[KnobName, ...] = get_args(KnobName)


class ServerSettings(BaseSettings):
    """Everything an operator sets except API keys, which come from the environment only.

    Sources in falling priority: the command line, `SELECTLLM_SERVE_*` environment variables, the YAML file.
    """

    model_config = SettingsConfigDict(env_prefix="SELECTLLM_SERVE_", extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    policy: str | None = None
    """Policy of requests for the model `selectllm`; the router's own default when None."""
    policies: tuple[str, ...] = ()
    """Further policies that a request may choose."""
    expose_members: bool = True
    """Whether a request may name a single member as its model."""
    free_knobs: tuple[KnobName, ...] = _KNOBS
    """Settings that a request may change."""
    max_calls: PositiveInt | None = None
    """Calls of one request, and the ceiling of the knob of that name; no bound when None."""
    patience: Literal["tuned"] | Annotated[float, Field(gt=0, le=1)] | None = None
    """Lead from which the slowest members are not waited for by default."""
    patience_after_s: PositiveFloat | None = None
    """Seconds from the start of a round of calls before which `patience` does not count; none when None."""
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    """Confidence that an answer needs by default; a request may only raise it."""
    below_confidence: str = "abstain"
    """Effect of a confidence below it: "raise", "abstain" or the name of a member."""
    deadline_s: PositiveFloat = 120.0
    """Seconds for one request, and the ceiling of the knob of that name."""
    pass_on: tuple[str, ...] | None = None
    """Body fields outside OpenAI's that are handed on to the members; all when None."""
    sticky_threads: int = Field(default=0, ge=0)
    """Conversations whose members are remembered; none when 0."""
    max_body_bytes: PositiveInt = 10 * 1024 * 1024
    max_in_flight: PositiveInt = 64
    max_queued: int = Field(default=128, ge=0)
    requests_per_minute: PositiveFloat | None = None
    """Requests per API key; no limit when None."""
    usd_per_day: PositiveFloat | None = None
    """Known cost per API key and UTC day; no limit when None."""
    vote_wait_s: PositiveFloat = 10.0
    """Seconds that the headers of a stream wait for the vote."""
    ping_s: PositiveFloat = 10.0
    """Seconds between the comments that keep a silent stream open."""
    drain_s: PositiveFloat = 30.0
    """Seconds that requests in flight may take after SIGTERM."""
    drain_notice_s: float = Field(default=0.5, ge=0)
    """Seconds after SIGTERM in which new requests are still answered, with `Connection: close`."""
    store: str | None = None
    """URL of the store of decisions and outcomes."""
    keep_prompts: bool = False
    """Whether prompts and replies are written to the store."""
    feedback_log: Path | None = None
    """Folder of a `FeedbackLog` that gets the scores of answers, with their prompts."""
    shadow: float = Field(default=0.0, ge=0, le=1)
    """Share of the requests for which all members are called in the background."""
    shadow_max_usd: float | None = Field(default=None, ge=0)
    """Known cost of all shadow calls of this process; no limit when None."""
    reload_endpoint: bool = False
    """Whether every caller may reload artefact and pool; SIGHUP does so in any case."""
    telemetry: bool = False
    """Whether OpenTelemetry spans are made."""
    debug: bool = False
    """Whether errors carry the text of upstream errors."""

    @field_validator("policies", "free_knobs", "pass_on", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        return value

    @model_validator(mode="after")
    def _check_shadow(self) -> Self:
        if self.shadow and self.store is None:
            raise ValueError("shadow calls need a store. Give one such as sqlite:///served.db")
        return self

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Self:
        """The settings of a YAML file, the environment and the command line.

        Args:
            config: YAML file with fields of this class; none when None.
            given: Fields of the command line; a field that is None was not given.

        Raises:
            ServerConfigError: If a field is unknown or out of range, or the file cannot be read.
        """
        if config is not None and not config.is_file():
            raise ServerConfigError(f"{config} is not a file. Give the YAML file with the server's settings.")
        if config is not None:
            _check_file(config)

        class FromFile(cls):  # type: ignore[valid-type, misc]
            model_config = SettingsConfigDict(yaml_file=config)

        known = {name: value for name, value in given.items() if value is not None}
        try:
            settings: Self = FromFile(**known)
        except ValidationError as error:
            raise ServerConfigError(_first_problem(error, config)) from None
        return settings

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK


def _check_file(config: Path) -> None:
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ServerConfigError(f"{config} cannot be read: {reason(error)}.") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ServerConfigError(f"{config} is no YAML: {problem}.") from error
    if content is not None and not isinstance(content, dict):
        raise ServerConfigError(f"{config} holds no settings. Write one on each line, such as `port: 8000`.")


def _first_problem(error: ValidationError, config: Path | None) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    if not problem["loc"]:
        # Several fields together; the message says which.
        return problem["msg"].removeprefix("Value error, ") + "."
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        fields = ", ".join(ServerSettings.model_fields)
        source = config or "The settings"
        return f"{source}: {name} is unknown. Use {fields}. API keys come from the environment."
    return f"{name} is {problem['input']!r}; {problem['msg']}."
