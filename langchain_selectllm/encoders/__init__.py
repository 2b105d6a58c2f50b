"""Texts in, features out, behind one protocol."""

from langchain_selectllm.encoders.auto import get_encoder, load_encoder
from langchain_selectllm.encoders.base import Encoder, Features, is_slow
from langchain_selectllm.encoders.sparse import SparseRows, row_dots

__all__ = ["Encoder", "Features", "SparseRows", "get_encoder", "is_slow", "load_encoder", "row_dots"]
