"""Names of the embedded members."""

EMBEDDED_PREFIX = "embedded:"
"""Prefix of the names of embedded models in pool files and artefacts."""
