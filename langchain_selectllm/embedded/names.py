"""Names of the embedded members."""

EMBEDDED_PREFIX = "embedded:"
"""What the name of an embedded model starts with, so that a pool file and an artefact say by themselves who
it is."""
