"""Load the templates of the pages and the index."""

from jinja2 import Environment, PackageLoader

TEMPLATES = Environment(
    loader=PackageLoader("noisy_digits.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
