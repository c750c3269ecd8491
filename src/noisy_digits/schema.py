"""What a params file may hold, and the limits of every value in it."""

from collections import Counter
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from noisy_digits import data, noise
from noisy_digits.errors import UserError, near

Values = dict[str, JsonValue]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Noise = Annotated[str, Field(pattern=f"^({noise.NAME})$")]
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "adamax", "nadam", "ftrl", "lion")
CONSTRAINTS = {
    "scale": NonNegative,
    "scales": list[NonNegative],
    "noisy_scale": NonNegative,
    "left_out": list[NonNegative],
    "image_weight": Fraction,
    "noise_factor": NonNegative,
    "validation_noise_factor": NonNegative,
    "noise_level": Fraction,
    "dropout": Fraction,
    "l2": NonNegative,
    "learning_rate": Positive,
    "epochs": Count,
    "batch_size": Count,
    "hidden_layers": Count,
    "per_class": Count,
    "divisor": Annotated[int, Field(ge=0)],
    "shift": NonNegative,
    "rotation": NonNegative,
    "train_size": Count,
    "test_size": Count,
    "seeds": Count,
    "optimizer": Literal[OPTIMIZERS],
    "dataset": Literal["auto", *data.NAMES],
    "network": Literal["mlp", "cnn"],
    "trained_on": Noise,
    "tested_on": list[Noise],
    "drawn": Literal["once", "every_epoch"],
    "trainings": list[Noise],
    "denoiser": Literal["none", "median_3", "median_5", "dense", "convolutional"],
    "architecture": Literal["dense", "convolutional"],
    "levels": list[Fraction],
    "human": Annotated[list[Fraction], Field(min_length=2, max_length=2)],
    "shares": list[Fraction],
    "sure": Fraction,
    "claimed": NonNegative,
    "decay": NonNegative,
    "sigma": Positive,
    "alphas": list[Positive],
    "labels": list[Annotated[int, Field(ge=0, le=9)]],
    "seed": Annotated[int, Field(ge=0)],
    "images": Count,
    "points": Count,
    "samples": Count,
    "steps": Count,
    "quality_size": Count,
    "standardise": Literal[tuple(data.STANDARDISATIONS)],
}
TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class Schema(BaseModel):
    """Strict: unknown keys are refused, and a number must be written as a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Override(Schema):
    """Parameters ``set`` to other values at the grid points ``where`` these grid values hold."""

    where: Values = Field(min_length=1)
    set: Values = Field(min_length=1)


class Reference(Schema):
    """A result from the literature to be held beside ours: ``metric`` at the one grid point ``at``.

    ``says`` what was trained, ``source`` where it is reported, ``differs`` what was done otherwise than here.
    """

    says: str
    source: str
    differs: str
    metric: str
    value: float
    at: Values = {}


class Notebook(Schema):
    """How one notebook is run: what is fixed, what varies, with how many seeds."""

    title: str
    fixed: Values = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    overrides: list[Override] = []
    seeds: Count = 1
    quick: Values = {}
    reads: list[str] = []
    headline: str | None = None
    submitted: list[Values] = []
    literature: list[Reference] = []


class Subtracted(Schema):
    """What a claim subtracts, replicate by replicate: another metric, the same one elsewhere in the grid, or both."""

    metric: str | None = None
    at: Values = {}


class Claim(Schema):
    """A claim of a write-up, in our words, and the numbers that decide it: they must lie ``above`` and ``below``.

    The number is ``metric`` of ``notebook`` at the grid values ``at``, less ``minus``; or, with ``along``, its change
    from level to level of that column; with ``steepest`` as well, the change to that level less each other change. A
    list of levels in ``at`` stands for each of them, and every column but the recipe must be there. An ``exact`` number
    has no replicates; nor has the p of a test, which supports the claim where it is under ``p_below``. ``mistake``
    names what the claim is due to, where it is not supported but was as submitted.
    """

    says: str
    notebook: str
    metric: str
    at: Values = {}
    minus: Subtracted | None = None
    along: str | None = None
    steepest: float | None = None
    above: float | None = None
    below: float | None = None
    exact: bool = False
    p_below: float | None = None
    mistake: str = ""


class Assignment(Schema):
    """One params file: an assignment, its recipes, its notebooks and the claims its write-up makes.

    ``figure`` is the notebook, one without a grid, whose first figure stands for the assignment on the index.
    """

    title: str
    question: str
    order: int
    recipes: dict[str, Values] = {}
    notebooks: dict[str, Notebook] = Field(min_length=1)
    claims: dict[str, Claim] = {}
    figure: str | None = None


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which would by itself take two equal keys, and values that refer to other places."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            message = f'"{event.anchor}" is an anchor or alias (& and *): write the value out instead'
            raise yaml.composer.ComposerError(None, None, message, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key) for key, _ in node.value]
        for key, times in Counter(key for key in keys if isinstance(key, Hashable)).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(None, None, f'the key "{key}" appears twice', node.start_mark)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Assignment:
    """Read one params file. Raises UserError naming the file, the key and what is allowed there."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: cannot be read: {error}") from None
    except RecursionError:
        raise UserError(f"{path.name}: not valid YAML: nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path.name}{where}: not valid YAML: {getattr(error, 'problem', error)}") from None
    except (ValueError, LookupError) as error:  # a date, number or tag that its own YAML type refuses
        raise UserError(f"{path.name}: not valid YAML: {error}: write text in quotes") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: must hold keys and values{near('', Assignment.model_fields)}")
    try:
        assignment = Assignment.model_validate(content)
        assignment.model_dump_json()
    except ValidationError as error:
        raise UserError(f"{path.name}: {_explain(error)}") from None
    except PydanticSerializationError as error:
        raise UserError(f"{path.name}: holds text that is no Unicode: {error}") from None
    return assignment


def _explain(error: ValidationError) -> str:
    """The first mistake in one line; a misspelt key before the key that it leaves missing."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where, message = ".".join(map(str, first["loc"])), first["msg"]
    if first["type"] == "extra_forbidden":
        schema = _schema(first["loc"])
        message = "unknown key" + near(first["loc"][-1], schema.model_fields)
    return f"{where}: {message}" if where else message


def _schema(place: tuple) -> type[Schema]:
    """What an unknown key at ``place`` should have been a key of."""
    if len(place) == 1:
        return Assignment
    if place[0] == "claims":
        return Claim if len(place) == 3 else Subtracted
    return Notebook if len(place) == 3 else Override if place[3] == "overrides" else Reference


def checked(name: str, kind: str, given: object, where: str) -> Any:
    """The value ``given`` for ``name``, as the ``kind`` the notebook declares and within the limits of its name.

    Raises UserError that begins with ``where``.
    """
    try:
        value = _adapter(TYPES[kind]).validate_python(given)
        constraint = CONSTRAINTS.get(name)
        return value if constraint is None else _adapter(constraint).validate_python(value)
    except ValidationError as error:
        message, place = error.errors()[0]["msg"], error.errors()[0]["loc"]
        if isinstance(given, list) and place:
            where, given = f"{where}[{place[0]}]", given[place[0]]
        if isinstance(given, str) and kind in ("int", "float", "list") and _is_number(given):
            message = "text, not a number; YAML wants a decimal point before an exponent, as in 1.0e-4, and no quotes"
        raise UserError(f"{where}: {given!r}: {message[0].lower()}{message[1:]}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind, config=STRICT)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
