"""Web pages from plain data: one per executed notebook, and the index of a collection."""
