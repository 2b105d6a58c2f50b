"""Sections of Markdown files that scripts write."""

import sys
from pathlib import Path


def write_section(target: Path, name: str, text: str) -> None:
    """Put the text between `<!-- name -->` and `<!-- /name -->` of the file."""
    before, _, after = _split(target, name)
    target.write_text(f"{before}\n\n{text}\n\n{after}", encoding="utf-8")


def read_section(source: Path, name: str) -> str:
    """The text between `<!-- name -->` and `<!-- /name -->` of the file."""
    return _split(source, name)[1].strip()


def _split(path: Path, name: str) -> tuple[str, str, str]:
    """The file up to its first marker, between the two, and from the second one."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, start, rest = path.read_text(encoding="utf-8").partition(first)
    between, end, after = rest.partition(last)
    if not (start and end):
        sys.exit(f"{path} has no {first} … {last}. Add the two markers; nothing was written.")
    return f"{before}{start}", between, f"{end}{after}"
