"""Canonical and breakpoint complexes of ReLU networks."""
