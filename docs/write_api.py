"""Writes docs/reference/api.md, the public names with their signatures, and the page that the site renders.

Usage: python docs/write_api.py
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import langchain_selectllm

PAGE = Path(__file__).parent / "reference" / "api.md"

GROUPS = {
    "Outcomes": ("OutcomeTable", "write_demo_outcomes", "label_from_agreement"),
    "Classifier": ("SelectLLMClassifier",),
    "Evaluation": ("evaluate", "Report"),
    "Serving": (
        "SelectLLMRouter",
        "ChatSelectLLM",
        "ModelRegistry",
        "Member",
        "with_catalogue_prices",
        "StickyThreads",
        "FeedbackLog",
        "whole_transcript",
    ),
    "Policies": ("LabelledMaxConf", "MaxConf", "WeightedMaxConf", "parse_policy"),
    "Answers and votes": (
        "VotingOutputParser",
        "Tally",
        "MajorityVote",
        "WeightedVote",
        "LogOddsVote",
        "JudgeVote",
        "SemanticAnswers",
    ),
    "Collection": ("collect_outcomes", "acollect_outcomes", "grade_outcomes", "export_outcomes"),
    "Embedded pool": ("embedded_models", "load_embedded"),
    "Errors": ("SelectLLMError",),
}
METHODS = {
    "OutcomeTable": ("from_folders", "from_records", "split", "take"),
    "SelectLLMClassifier": (
        "fit",
        "predict_proba",
        "update",
        "add_member",
        "save_pretrained",
        "from_pretrained",
    ),
    "SelectLLMRouter": (
        "from_pretrained",
        "decide",
        "as_chat_model",
        "bind_tools",
        "with_structured_output",
        "feedback",
    ),
    "Report": ("save", "to_dict"),
    "ModelRegistry": ("from_file",),
    "VotingOutputParser": ("count",),
    "FeedbackLog": ("add", "add_records", "outcomes"),
}
"""Methods shown beside the inherited ones of LangChain's Runnable."""

RESULTS = {"OutcomeTable", "Report", "Tally"}
"""Classes that functions and methods return; their constructors are not part of the interface."""
INTERNAL = {"bound", "structure"}
"""Fields that other methods of the router set."""
MAX_DEFAULT = 20
"""Longer defaults are shown as `...`."""

HEAD = """# Public API

Everything below is imported from `langchain_selectllm`; a name is loaded when it is first used. Other modules may change
between minor versions. The page is written by `python docs/write_api.py`; a test compares it with the code.
"""
TAIL = """
Integrations have their own modules: [LlamaIndex](../how-to/llamaindex.md) in
`langchain_selectllm.integrations.llama_index`, the middleware for LangChain agents in
`langchain_selectllm.integrations.agent_middleware`
([tools and structured output](../how-to/tools-and-structured-output.md#agents)). All errors are on
[their page](errors.md). `langchain_selectllm.testing` has chat models that replay recorded replies.
"""


def signature(name: str, target: Any) -> str:
    """Name, parameters and defaults; for pydantic classes the fields that the package declares."""
    if name in RESULTS or (inspect.isclass(target) and issubclass(target, Exception)):
        return name
    if hasattr(target, "model_fields"):
        return f"{name}({', '.join(_fields(target))})"
    parts = []
    star = False
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        parts.append(f"{prefix}{parameter.name}{_default(parameter.default)}")
    return f"{name}({', '.join(parts)})"


def _fields(target: Any) -> Iterator[str]:
    yield "*"
    for field_name, field in target.model_fields.items():
        if field_name in INTERNAL:
            continue
        if any(field_name in vars(base).get("__annotations__", {}) for base in _own_classes(target)):
            required = field.is_required()
            yield field_name if required else f"{field_name}{_default(field.get_default())}"


def _own_classes(target: type) -> list[type]:
    return [base for base in target.__mro__ if base.__module__.startswith("langchain_selectllm")]


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    simple = value is None or isinstance(value, bool | int | float | str | tuple)
    return f"={value!r}" if simple and len(repr(value)) <= MAX_DEFAULT else "=..."


def first_line(target: Any) -> str:
    """Summary line of the docstring, safe inside a table cell."""
    return (inspect.getdoc(target) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def entries(name: str) -> Iterator[tuple[str, str]]:
    """Signature and summary of the name and of its listed methods."""
    target = getattr(langchain_selectllm, name)
    yield signature(name, target), first_line(target)
    for method_name in METHODS.get(name, ()):
        method = getattr(target, method_name)
        yield signature(f"{name}.{method_name}", method), first_line(method)


PYTHON_HEAD = """# Python reference

Signatures and docstrings of the [public names](api.md), taken from the code when the site is built. The list is written by
`python docs/write_api.py`.

"""


def python_page() -> str:
    """The text of docs/reference/python.md: one directive of mkdocstrings per public name."""
    names = [f"::: langchain_selectllm.{name}\n" for name in langchain_selectllm.__all__]
    return PYTHON_HEAD + "\n".join(names)


def page() -> str:
    """Markdown of the whole page."""
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n\n| name | what it is |\n|---|---|")
        for name in names:
            parts += [f"| `{shown}` | {summary} |" for shown, summary in entries(name)]
        parts.append("")
    return "\n".join(parts) + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PAGE.with_name("python.md").write_text(python_page(), encoding="utf-8")
