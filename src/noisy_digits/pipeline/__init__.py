"""Run notebooks over the grids that params files describe. Nothing here knows what the notebooks are about."""
