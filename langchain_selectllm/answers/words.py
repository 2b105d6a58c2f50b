"""Words and numbers of a text, folded so that equal ones are equal."""

import re
from functools import lru_cache

# Words without content.
COMMON = frozenset(
    {"an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "is", "it", "no", "not"}
    | {"of", "on", "or", "that", "the", "this", "to", "was", "were", "which", "will", "with"}
)

_TOKEN = re.compile(r"\d[\d,]{0,15}(?:\.\d{1,15})?|[^\W\d_]{2,40}")


def words(text: str) -> list[str]:
    """Words of two letters or more in lower case, without a plural's s, and numbers in one spelling."""
    return [_fold(word) for word in _TOKEN.findall(text)]


# Words recur: training reads tens of thousands of replies.
@lru_cache(maxsize=65_536)
def _fold(word: str) -> str:
    if word[0].isdigit():
        whole, _, decimals = word.replace(",", "").partition(".")
        decimals = decimals.rstrip("0")
        if not decimals:
            return whole
        return f"{whole}.{decimals}"
    word = word.lower()
    if len(word) > 3:
        return word.removesuffix("s")
    return word
