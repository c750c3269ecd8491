"""Read YAML files as strict pydantic models. Every mistake is one line that names the file and the key."""

from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticSerializationError
from yaml.constructor import ConstructorError

from noisy_digits.errors import UserError, did_you_mean


class StrictModel(BaseModel):
    """A model that refuses unknown keys, and numbers that are not finite or not written as numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, content: object) -> object:
        """Refuse a misspelt key before the key that it leaves missing."""
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                raise UserError(f'unknown key "{key}"{did_you_mean(key, cls.model_fields)}')
        return content


Model = TypeVar("Model", bound=StrictModel)


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as a ``model``. Raises UserError naming the file, the key and what is allowed there."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        if not isinstance(content, dict):
            raise UserError(f"must hold keys and values{did_you_mean('', model.model_fields)}")
        found = model.model_validate(content)
        found.model_dump_json()  # refuses text that is no Unicode
    except ValidationError as error:
        first = error.errors()[0]
        given = repr(first["input"]) if isinstance(first["input"], int | float | str) else ""
        message = ": ".join(filter(None, [".".join(map(str, first["loc"])), given, explain(first)]))
    except (UserError, PydanticSerializationError) as error:
        message = str(error)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}"
    except yaml.MarkedYAMLError as error:
        message = f"line {error.problem_mark.line + 1 if error.problem_mark else 1}: not valid YAML: {error.problem}"
    except RecursionError:
        message = "not valid YAML: nested too deeply"
    except (yaml.YAMLError, ValueError, LookupError) as error:  # a date, number or tag that its own type refuses
        message = f"not valid YAML: {error}: write text in quotes"
    else:
        return found
    raise UserError(f"{path.name}: {message}")


def explain(error: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors; that of a UserError raised by a validator as it is."""
    cause = error.get("ctx", {}).get("error")
    return str(cause) if isinstance(cause, UserError) else error["msg"]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader. By itself it accepts equal keys, and aliases, which can expand without limit."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if anchor := getattr(event, "anchor", None):
            message = f'"{anchor}" is an anchor or alias (& and *): write the value out instead'
            raise ConstructorError(None, None, message, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key) for key, _ in node.value]
        for key, times in Counter(key for key in keys if isinstance(key, Hashable)).items():
            if times > 1:
                raise ConstructorError(None, None, f'the key "{key}" appears twice', node.start_mark)
        return super().construct_mapping(node, deep)
