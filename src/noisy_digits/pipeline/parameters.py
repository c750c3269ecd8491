"""Read the parameters that a notebook declares, and validate values for them, without running the notebook.

A parameters cell holds lines such as ``scale: NonNegative = 0.5  # standard deviation of the noise``. The type may use
every name that the notebook imports in a code cell above, and the types in ``BUILTIN_TYPES``.
"""

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from noisy_digits._yaml import explain
from noisy_digits.errors import UserError, did_you_mean

BUILTIN_TYPES = {kind.__name__: kind for kind in (int, float, str, bool, list, dict)}
PAPERMILL_ERROR = "papermill-error-cell-tag"
"""The tag of the cells that papermill adds to a notebook that failed, and removes before it runs one."""
STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: the type, evaluated, and the default value."""

    annotation: Any
    default: Any


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Read the parameters that a notebook declares in its cell tagged "parameters".

    Imports what the types of the parameters need, and nothing else. Raises UserError if there is not exactly one such
    cell, if a line of it is not ``name: type = literal``, if a type is unknown, and if a default is not of its type.
    """
    sources, tagged = _read_cells(notebook)
    if len(tagged) != 1:
        raise UserError(f'{notebook}: {len(tagged)} cells are tagged "parameters"; one is needed')
    *above, source = sources[: tagged[0] + 1]
    where = f"{notebook}: parameters cell"
    try:
        lines = ast.parse(source).body
    except SyntaxError as error:
        raise UserError(f"{where}, line {error.lineno}: {error.msg}") from None
    imports = _find_imports([*above, source])
    parameters = {}
    for line in lines:
        if isinstance(line, ast.Import | ast.ImportFrom):
            continue
        name, annotation, default = _read_line(line, where)
        kind = _evaluate_type(annotation, imports, f"{where}: {name}")
        parameters[name] = Parameter(kind, validate_parameter(name, kind, default, f"{notebook}: parameters"))
    return parameters


def validate_parameter(name: str, kind: Any, value: object, where: str) -> Any:
    """Return ``value`` as the type ``kind``; whole numbers become floats.

    Raises UserError of the form "{where}.{name}: {value}: what is wrong, what is allowed".
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
    message = explain(first)
    if first["type"] in ("float_type", "int_type") and isinstance(first["input"], str):
        message = "text, not a number; YAML wants a decimal point before an exponent, as in 1.0e-4, and no quotes"
    place = f"{where}.{name}" + "".join(f"[{step}]" for step in first["loc"])
    raise UserError(f"{place}: {first['input']!r}: {message[0].lower()}{message[1:]}")


def find_imports(notebook: Path) -> set[str]:
    """Return the statements that import what a notebook uses, one per name. Raises UserError if it is not readable."""
    return set(_find_imports(_read_cells(notebook)[0]).values())


def _read_cells(notebook: Path) -> tuple[list[str], list[int]]:
    """Return the sources of a notebook's cells, empty for text, and which are tagged "parameters"."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tags = [cell["metadata"].get("tags", []) for cell in cells]
        if any(PAPERMILL_ERROR in each for each in tags):
            raise UserError(f'{notebook}: papermill leaves out cells tagged "{PAPERMILL_ERROR}": remove the tag')
        tagged = [index for index, each in enumerate(tags) if "parameters" in each]
        return ["".join(cell["source"]) if cell["cell_type"] == "code" else "" for cell in cells], tagged
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{notebook}: not a readable notebook: {error!r}") from None


def _read_line(line: ast.stmt, where: str) -> tuple[str, ast.expr, Any]:
    """Return name, type and default value of a line such as ``scale: float = 0.5``."""
    try:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
            return line.target.id, line.annotation, ast.literal_eval(line.value)
    except (ValueError, TypeError):
        pass
    raise UserError(f"{where}: `{ast.unparse(line)}` is not `name: type = value` with a literal value")


def _find_imports(sources: list[str]) -> dict[str, str]:
    """Return every name that the cells import, with the statement that imports it alone."""
    imports = {}
    for source in sources:
        try:
            lines = ast.parse(re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", source)).body  # IPython's own commands
        except SyntaxError:
            continue
        for line in lines:
            if isinstance(line, ast.Import | ast.ImportFrom):
                start = f"from {line.module} " if isinstance(line, ast.ImportFrom) else ""
                for found in line.names:
                    imports[found.asname or found.name.partition(".")[0]] = f"{start}import {ast.unparse(found)}"
    return imports


def _evaluate_type(annotation: ast.expr, imports: dict[str, str], where: str) -> Any:
    """Evaluate the type of a parameter with the imports that it needs."""
    namespace = dict(BUILTIN_TYPES)
    for name in (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)):
        if name not in (*imports, *BUILTIN_TYPES):
            suggestion = did_you_mean(name, [*BUILTIN_TYPES, *imports])
            raise UserError(f"{where}: {name} is not imported in a cell above: import it, or use another{suggestion}")
        try:
            exec(imports.get(name, ""), namespace)
        except Exception as error:
            raise UserError(f"{where}: {name} cannot be imported: {error}") from None
    try:
        kind = eval(ast.unparse(annotation), namespace)
        if isinstance(kind, str):
            raise TypeError
        _adapter(kind)
    except AttributeError as error:
        title, members = getattr(error.obj, "__name__", "its type"), dir(error.obj)
        raise UserError(f"{where}: {title} has no {error.name}{did_you_mean(error.name, members)}") from None
    except (TypeError, ValueError, KeyError, NameError, PydanticUserError):
        raise UserError(
            f"{where}: `{ast.unparse(annotation)}` is not a type (allowed: {', '.join(BUILTIN_TYPES)}, and types that "
            "the notebook imports, such as those of noisy_digits.types)"
        ) from None
    return kind


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind, config=STRICT)
