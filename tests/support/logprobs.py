"""Log-probabilities of tokens in the shape of chat completions, for messages that tests make."""

import math


def entry(token, logprob, **others):
    """One token; `others` are alternatives with their probabilities, the token itself included."""
    listed = [{"token": name, "logprob": math.log(share)} for name, share in others.items()]
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": listed}


def chat_logprobs(*entries):
    return {"content": list(entries), "refusal": None}


def stated_letter(letter, share, **others):
    """ "The answer is (B)." with `share` for the letter and those of `others`; the other tokens are certain."""
    stated = entry(letter, math.log(share), **{letter: share, **others})
    return chat_logprobs(entry("The answer is (", 0.0), stated, entry(").", 0.0))
