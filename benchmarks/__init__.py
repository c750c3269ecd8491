"""Measure what the suite costs: run by `make bench`."""
