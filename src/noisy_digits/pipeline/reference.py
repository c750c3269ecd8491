"""Render docs/params.md, the reference of params files and project.yml, from their models."""

import inspect
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from noisy_digits._yaml import StrictModel
from noisy_digits.pipeline.config import (
    AssignmentConfig,
    Cause,
    Claim,
    Contrast,
    Deviation,
    Mistake,
    NotebookConfig,
    Override,
    Question,
    Reference,
)
from noisy_digits.project import Project

MODELS = (
    *(AssignmentConfig, NotebookConfig, Override, Deviation, Reference, Mistake),
    *(Question, Claim, Contrast, Cause, Project),
)
INTRODUCTION = """\
<!-- Generated from the models: noisy-digits params-reference > docs/params.md -->

# Params files

`params/<assignment>.yml` describes one assignment: an [assignment](#assignment) with its [notebooks](#notebook) and
[claims](#claim). `project.yml` describes the [project](#project). Unknown keys are errors. Write a decimal point before
an exponent (`1.0e-4`); YAML reads `1e-4` as text.

The values of parameters are checked against the types in the notebook's parameters cell. Of several values for a
parameter the last one counts: the default in the notebook, `n_seeds`, `fixed`, the recipe, the grid, `overrides`,
`quick` (in the quick profile only), and `SEEDS=n` on the command line.
"""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def render() -> str:
    """Return docs/params.md as Markdown text."""
    return "\n".join([INTRODUCTION, *map(_render_section, MODELS)])


def _render_section(model: type[StrictModel]) -> str:
    rows = [_render_row(name, field) for name, field in model.model_fields.items()]
    head = ["| Key | Value | Default | Meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([f"## {_title(model)}", "", inspect.cleandoc(model.__doc__ or ""), "", *head, *rows, ""])


def _title(model: type[StrictModel]) -> str:
    return model.__name__.removesuffix("Config")


def _render_row(name: str, field: FieldInfo) -> str:
    value = _describe_type(field.annotation)
    if minimum := [limit.ge for limit in field.metadata if hasattr(limit, "ge")]:
        value += f", at least {minimum[0]}"
    default = f"`{field.default}`" if field.default else ""
    if field.is_required():
        default = "required"
    return f"| `{name}` | {value} | {default} | {field.description} |"


def _describe_type(annotation: Any) -> str:
    """Return a type in words: "list of text"."""
    if annotation in MODELS:
        title = _title(annotation).lower()
        return f"[{title}](#{title})"
    arguments = [argument for argument in get_args(annotation) if argument is not NoneType]
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        return _describe_type(arguments[0])
    if origin is list:
        return f"list of {_describe_type(arguments[0])}"
    return f"mapping of names to {_describe_type(arguments[1])}" if origin is dict else WORDS.get(annotation, "values")
