"""Outcomes from live models: collected into a store, graded, exported in the interchange format."""
