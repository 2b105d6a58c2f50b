"""Outcomes from live models: collected into a store, graded afterwards, handed on in the interchange format."""
