"""Code as an answer, compared without running it."""

import re
from dataclasses import dataclass
from typing import ClassVar

from langchain_selectllm.answers.python_form import looks_like_program, python_form

_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
# A quoted string on one line, or white space outside of one.
_QUOTED_OR_SPACE = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\s+""")
_CLOSED = re.compile(r"\n[ \t]*(?:`{3,}|~{3,})[ \t]*\Z")
_PYTHON = frozenset({"python", "py", "python3"})


@dataclass(frozen=True, slots=True)
class CodeExtractor:
    """The reply's code is the answer, in a normal form: equal programs in another layout are equal strings.

    Of several fenced blocks the longest counts (the first of equally long ones), since the others tend to be
    examples of its use. A reply without a fence counts where all of it is a Python program. Nothing is
    executed.

    Python loses comments, docstrings, annotations and layout, and its local variables are numbered; see
    `python_form`. Other languages are compared up to white space outside of quoted strings. A block marked
    as Python that does not parse abstains.
    """

    open_ended: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Always "code"."""
        return "code"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The normal form of the reply's code; None without code, or with Python that does not parse."""
        longest = _longest_block(reply)
        if longest is not None:
            return _block_form(longest)
        if looks_like_program(reply):
            return python_form(reply)
        return None

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The normal form of the longest block, where that one is closed; None otherwise."""
        longest = _longest_block(reply)
        if longest is None or not _CLOSED.search(longest[0]):
            return None
        return _block_form(longest)

    def canonical(self, reference: str) -> str | None:
        """The normal form of bare code or of a reply with code; None when blank."""
        if _FENCE.search(reference):
            return self.extract(reference)
        return python_form(reference) or _one_spaced(reference) or None


def _longest_block(reply: str) -> re.Match[str] | None:
    """The longest fenced block with code in it; None without one."""
    longest = max(_FENCE.finditer(reply), key=_code_length, default=None)
    if longest is None or not _code_length(longest):
        return None
    return longest


def _block_form(block: re.Match[str]) -> str | None:
    language, code = block[2].lower(), block[3]
    if language in _PYTHON:
        return python_form(code)
    if not language:
        return python_form(code) or _one_spaced(code)
    return _one_spaced(code)


def _code_length(fence: re.Match[str]) -> int:
    return len(fence[3].strip())


def _one_spaced(code: str) -> str:
    """`code` with every run of white space outside of a quoted string as one space."""
    return _QUOTED_OR_SPACE.sub(lambda match: match[1] or " ", code.strip())
