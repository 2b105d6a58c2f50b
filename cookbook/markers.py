"""Sections of Markdown files that scripts write."""

import sys
from pathlib import Path


def write_section(target: Path, name: str, text: str) -> None:
    """Put the text between `<!-- name -->` and `<!-- /name -->` of the file."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, start, rest = target.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not (start and end):
        sys.exit(f"{target} has no {first} … {last}. Add the two markers; nothing was written.")
    target.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")
