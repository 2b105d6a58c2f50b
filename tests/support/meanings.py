"""Embeddings of texts whose meaning is an angle."""

import numpy as np

from langchain_selectllm import SemanticAnswers


def angle(text):
    """Texts such as "at 30" embed at that angle in degrees; cos 30° = 0.87, cos 60° = 0.5."""
    turn = np.radians(float(text.split()[-1]))
    return [np.cos(turn), np.sin(turn)]


def meaning(threshold=0.8):
    return SemanticAnswers(model=lambda texts: [angle(text) for text in texts], threshold=threshold)
