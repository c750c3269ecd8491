"""Read YAML files as strict pydantic models. Every mistake is one line that names the file and the key."""

import re
import reprlib
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticSerializationError
from yaml.constructor import ConstructorError

from noisy_digits.errors import UserError, did_you_mean

EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list, as in [a, b]",
    "dict_type": "keys and values, as in {key: value}",
}
"""What YAML must hold, by the type of pydantic's error."""
SYNTAX = (
    "check here and above that each key ends with a colon and a space, that the keys of one part are indented equally, "
    "that brackets are closed, and that text with a colon is in quotes"
)
"""What mends nearly every mistake that YAML's parser finds, often some lines below it."""

MAX_DEPTH = 50
MAX_BYTES = 500_000
MAX_INTEGER = 2**63 - 1


class StrictModel(BaseModel):
    """A model that refuses unknown keys, and numbers that are not finite or not written as numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, content: object) -> object:
        """Refuse a misspelt key before the key that it leaves missing."""
        if not isinstance(content, (dict, cls)):
            raise UserError(f"must hold keys and values{did_you_mean('', cls.model_fields)}")
        given = dict(content)
        for key in given:
            if key not in cls.model_fields:
                raise UserError(f'unknown key "{key}"{did_you_mean(str(key).partition(" ")[0], cls.model_fields)}')
        for key, field in cls.model_fields.items():
            if field.is_required() and key not in given:
                raise UserError(f'the key "{key}" is missing; add `{key}: …`: {field.description}')
        return content


Model = TypeVar("Model", bound=StrictModel)


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as a ``model``. Raises UserError naming the file, the key and what is allowed there."""
    try:
        text = _read_text(path)
        _check_structure(text)
        found = model.model_validate(yaml.load(text, _Loader))
        found.model_dump_json()  # refuses text that is no Unicode
    except ValidationError as error:
        first = error.errors()[0]
        given = reprlib.repr(first["input"]) if isinstance(first["input"], int | float | str | list) else ""
        message = ": ".join(filter(None, [".".join(map(str, first["loc"])), given, explain(first)]))
    except (UserError, PydanticSerializationError) as error:
        message = str(error)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}"
    except yaml.MarkedYAMLError as error:
        hint = "" if isinstance(error, ConstructorError) else f"; {SYNTAX}"
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"line {line}: not valid YAML: {error.problem}{hint}"
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:  # a date or number that its own type refuses
        message = f"not valid YAML: {error}: write text in quotes"
    else:
        return found
    raise UserError(f"{path.name}: {message}")


def explain(error: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors; that of a UserError raised by a validator as it is."""
    kind, context = error["type"], error.get("ctx", {})
    if isinstance(cause := context.get("error"), UserError):
        return str(cause)
    if kind == "literal_error":
        allowed = [word.strip("'") for word in re.split(", | or ", context["expected"])]
        return f"unknown value{did_you_mean(error['input'], allowed)}"
    return f"must be {EXPECTED[kind]}" if kind in EXPECTED else error["msg"].replace("Input should", "must")


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise UserError("not a file: remove it")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"larger than {MAX_BYTES / 1000:g} kB, and no such file is")
    return path.read_text(encoding="utf-8")


def _check_structure(text: str) -> None:
    """Refuse anchors, which can expand without limit, tags, and nesting so deep that the parser's stack overflows."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if tag := getattr(event, "tag", None):
            raise ConstructorError(None, None, f'"{tag}" is a tag (!): leave it out', event.start_mark)
        if anchor := getattr(event, "anchor", None):
            message = f'"{anchor}" is an anchor or alias (& and *): write the value out instead'
            raise ConstructorError(None, None, message, event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConstructorError(None, None, f"nested more than {MAX_DEPTH} levels deep", event.start_mark)


class _Loader(yaml.CSafeLoader):
    """YAML's safe loader. By itself it accepts equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key) for key, _ in node.value]
        for key, times in Counter(key for key in keys if isinstance(key, Hashable)).items():
            if times > 1:
                raise ConstructorError(None, None, f'the key "{key}" appears twice', node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if abs(number) > MAX_INTEGER:
            raise ConstructorError(None, None, f"a whole number above {MAX_INTEGER:,}", node.start_mark)
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
