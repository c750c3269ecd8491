"""Turn the results of a collection into web pages: one page per run, an index, and the README's figures."""
