"""The models of a params file: what may stand in it, and what it means. docs/params.md is made from them."""

import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from noisy_digits._files import NOT_COORDINATES
from noisy_digits._yaml import StrictModel, read_model
from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.number_types import Count

MAX_GRID_POINTS = 10_000
"""Most grid points of one notebook. No study has that many, and a plan of them is still made in seconds."""
RESERVED = ("assignment", "notebook", *NOT_COORDINATES)
"""Columns of results.csv that are neither grid columns nor coordinates."""


def _check_scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str) or value != value:
        raise UserError("not a number, text, true or false")
    return value


Scalar = Annotated[JsonValue, AfterValidator(_check_scalar)]
Values = dict[str, JsonValue]
Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]


def list_levels(levels: JsonValue) -> list[JsonValue]:
    """Return the levels of a column, which a params file gives as one value or as a list of them."""
    return levels if isinstance(levels, list) else [levels]


def _check_points(at: Values) -> None:
    """Refuse a place that has no point, and one that has more than any study."""
    n_points = math.prod(len(list_levels(levels)) for levels in at.values())
    if not 1 <= n_points <= MAX_GRID_POINTS:
        raise UserError(f"at: {n_points:,} points; at least 1, at most {MAX_GRID_POINTS:,}: correct its lists")


def is_selected(point: Values, where: Values) -> bool:
    """Return True if ``point`` has one of the levels that ``where`` gives, in each of its columns."""
    return all(point.get(column) in list_levels(levels) for column, levels in where.items())


class Override(StrictModel):
    """Parameters with other values at some grid points, on one data set, or both."""

    where: Values = Field(
        min_length=1,
        description="The grid points: a value of a grid column, or a list; `dataset` is a data set of the project.",
    )
    set: Values = Field(min_length=1, description="Parameters and their values there.")
    note: str = Field(default="", description="Sentence at the top of the pages of the runs that have these values.")


class Reference(StrictModel):
    """A result from the literature, to be compared with ours."""

    network: str = Field(description="What was trained.")
    source: str = Field(description="Where it was published.")
    differs: str = Field(description="What was done differently from here.")
    metric: str = Field(description="The metric of ours that it is compared with.")
    value: float = Field(description="The published value.")
    at: dict[str, Scalar] = Field(default={}, description="Where: a value for every grid column, and for coordinates.")


class Deviation(StrictModel):
    """A reported number outside the prediction interval of ours, and what is known of the cause."""

    metric: str = Field(description="The metric.")
    at: Values = Field(default={}, description="Where: values of grid columns and coordinates, or lists of them.")
    cause: str = Field(description="What is known of the cause.")


class Mistake(StrictModel):
    """A mistake of the write-up, and the metrics that show what it alone did.

    The effect is each metric at `at` minus the same metric at the point without the mistake, seed by seed.
    """

    mistake: str = Field(description="The mistake.")
    note: str = Field(default="", description="Shown with it, for example that it is no mistake but older software.")
    metrics: list[str] = Field(min_length=1, description="The metrics.")
    at: Values = Field(
        min_length=1,
        description="Where the mistake is made alone: a value, or a list of them, for every grid column and for the "
        "coordinates that the metrics depend on.",
    )
    without: Values = Field(
        min_length=1, description="What identifies the point without the mistake: other values of columns in `at`."
    )

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        _check_points(self.at)
        for key, level in self.without.items():
            if key not in self.at:
                raise UserError(f"without.{key}: `at` does not give it{did_you_mean(key, self.at)}")
            if isinstance(level, list) or isinstance(self.at[key], list):
                raise UserError(f"without.{key}: give one value here and in `at`, not a list")
        if self.without.items() <= self.at.items():
            raise UserError("without: gives the values of `at`; give one that differs")
        return self


class NotebookConfig(StrictModel):
    """One notebook: what is fixed, what varies, and what it records.

    Each notebook in `depends_on` is listed before this one, or belongs to an assignment with a lower `order`.
    """

    title: str = Field(description="Title on the index.")
    fixed: Values = Field(default={}, description="Parameters and their values, instead of the notebook's defaults.")
    grid: Grid = Field(default={}, description="Values to combine, by parameter; `recipe` varies the recipe.")
    extra_grids: list[Grid] = Field(default=[], description="Grids of the same parameters; their points are added.")
    overrides: list[Override] = Field(default=[], description="Exceptions at some grid points.")
    n_seeds: Count = Field(default=1, description="Number of seeds, for a notebook with a parameter `n_seeds`.")
    quick: Values = Field(default={}, description="Parameters in the quick profile; they override all others.")
    depends_on: list[str] = Field(
        default=[], description="What it reads: `2_train` of this file, or `assignment/notebook`."
    )
    coordinates: list[str] = Field(
        default=[], description="Further columns that metrics depend on, as in `save_metrics`."
    )
    headline_metric: str | None = Field(default=None, description="The metric that the index shows for every run.")
    headline_at: dict[str, Scalar] = Field(default={}, description="The coordinates at which the index shows it.")
    reported: list[dict[str, Scalar]] = Field(
        default=[], description="The write-up's numbers: rows of grid columns, coordinates, metrics."
    )
    deviations: list[Deviation] = Field(default=[], description="Reported numbers known not to reappear.")
    literature: list[Reference] = Field(default=[], description="Results from the literature.")
    mistakes: list[Mistake] = Field(default=[], description="What the runs show that mistakes of the write-up did.")

    @property
    def levels(self) -> Grid:
        """Return all values of each grid column, in order of appearance."""
        grids = [self.grid, *self.extra_grids]
        return {key: list({repr(value): value for grid in grids for value in grid[key]}.values()) for key in self.grid}

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        for grid in self.extra_grids:
            if grid.keys() != self.grid.keys():
                raise UserError(f"extra_grids: {list(grid)} must be the parameters of the grid, {list(self.grid)}")
        for column, times in Counter([*self.grid, *self.coordinates]).items():
            if column in RESERVED:
                raise UserError(f"a grid column or coordinate cannot be called {column} (nor {', '.join(RESERVED)})")
            if times > 1:
                raise UserError(f"grid and coordinates: {column} appears twice")
        points = sum(math.prod(map(len, grid.values())) for grid in (self.grid, *self.extra_grids))
        if points > MAX_GRID_POINTS:
            raise UserError(
                f"grid: {points:,} points; at most {MAX_GRID_POINTS:,}: leave out values, or split the notebook"
            )
        if self.headline_at and not self.headline_metric:
            raise UserError("headline_at: there is no headline_metric")
        for key in self.headline_at:
            if key not in self.coordinates:
                raise UserError(f"headline_at.{key}: not a coordinate{did_you_mean(key, self.coordinates)}")
        return self


class Contrast(StrictModel):
    """The number that a claim subtracts, seed by seed: another metric, the same metric at another point, or both."""

    metric: str | None = Field(default=None, description="The metric to subtract; that of the claim if left out.")
    at: Values = Field(default={}, description="Where it is taken, if that differs from the claim's `at`.")


class Cause(StrictModel):
    """The mistake to which a claim owes its support, and the two recipes that isolate it from all other mistakes.

    Both are left out where the original recipe has no other mistake.
    """

    mistake: str = Field(description="The mistake.")
    alone: str | None = Field(default=None, description="The recipe with this mistake only: there the claim must hold.")
    without: str | None = Field(
        default=None, description="The original recipe without this mistake: there the claim must fail."
    )


class Claim(StrictModel):
    """A claim of a write-up, or one of ours, and the numbers that decide it: they must lie in the region given.

    The number is `metric` at `at`, minus `minus`. With `along` it is the change from each level of a column to the
    next. With `largest_change_at` as well, it is the change to that level minus each other change. `at` gives a value,
    or a list of them, for every grid column except `recipe` and for the coordinates that the metric depends on.
    """

    statement: str = Field(description="The claim: its meaning, in our words.")
    stated_in: str = Field(default="", description="Where the write-up makes the claim; left out for a claim of ours.")
    notebook: str = Field(description="The notebook of this file that measures the numbers.")
    metric: str = Field(description="The metric.")
    at: Values = Field(default={}, description="Where the metric is taken.")
    minus: Contrast | None = Field(default=None, description="What is subtracted.")
    along: str | None = Field(default=None, description="The column of changes; `at` lists its levels.")
    per_unit: bool = Field(default=False, description="True for changes divided by the distance of the levels.")
    largest_change_at: float | None = Field(default=None, description="The level of `along` whose change is compared.")
    greater_than: float | None = Field(default=None, description="Lower limit of the region.")
    less_than: float | None = Field(default=None, description="Upper limit of the region.")
    exact: bool = Field(default=False, description="True for a number without seeds, such as a count of parameters.")
    pvalue_less_than: float | None = Field(default=None, description="Instead: upper limit of a p-value.")
    decided_by: str | None = Field(
        default=None, description="The recipe that decides the claim; `corrected_recipe` if left out."
    )
    cause: Cause | None = Field(default=None, description="The mistake behind a claim that only the write-up supports.")

    @model_validator(mode="after")
    def _check_region(self) -> Self:
        _check_points(self.at)
        _check_points(self.minus.at if self.minus else {})
        low = -math.inf if self.greater_than is None else self.greater_than
        high = math.inf if self.less_than is None else self.less_than
        if (self.pvalue_less_than is None) == ((low, high) == (-math.inf, math.inf)) or low >= high:
            raise UserError(
                "give greater_than, less_than or both, the first below the second, or else pvalue_less_than"
            )
        levels: Any = self.at.get(self.along) if self.along else []
        numbers = isinstance(levels, list) and all(type(level) in (int, float) for level in levels)
        needed = 2 if self.largest_change_at is None else 3
        if self.along and (not numbers or len(set(levels)) < max(needed, len(levels)) or self.minus):
            raise UserError(
                f"along: at.{self.along} must list {needed} different numbers or more, and minus be left out"
            )
        lists = any(len(list_levels(level)) > 1 for level in self.at.values())
        if self.pvalue_less_than is not None and (lists or self.minus):
            raise UserError("pvalue_less_than: `at` must give one point, and minus be left out")
        if self.per_unit and not self.along:
            raise UserError("per_unit: there is no along")
        if self.largest_change_at is not None and self.largest_change_at not in sorted(levels)[1:]:
            raise UserError("largest_change_at: not a level after the first of those of along")
        return self


class Question(StrictModel):
    """A question of the assignment: the index shows it with the answer and the first figure of a notebook."""

    asked: str = Field(description="The question, in our words.")
    notebook: str = Field(
        description="The notebook of this file that answers it; of a grid, the first corrected run. One that answers "
        'several questions says which: `tables.Answer(…, question="W3.2A")`.'
    )
    figure: bool = Field(default=True, description="False to leave the figure out.")
    claims: list[str] = Field(default=[], description="The claims that belong to it, whose verdicts are shown.")


class AssignmentConfig(StrictModel):
    """One params file: an assignment with its recipes, notebooks, questions and claims."""

    title: str = Field(description="Title on the index.")
    question: str = Field(description="The question that the assignment answers.")
    order: int = Field(description="Place on the index.")
    recipes: dict[str, Values] = Field(default={}, description="Parameters and their values, by recipe.")
    original_recipe: str | None = Field(default=None, description="The write-up's recipe, mistakes included.")
    corrected_recipe: str | None = Field(default=None, description="The recipe that decides the claims.")
    notebooks: dict[str, NotebookConfig] = Field(
        min_length=1, description="By file name without `.ipynb`, in the index's order."
    )
    questions: dict[str, Question] = Field(default={}, description="The questions of the assignment, by number.")
    claims: dict[str, Claim] = Field(default={}, description="The claims of the write-up, by a name of your choice.")

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        recipes, notebooks = self.recipes, self.notebooks
        known = [(f"claims.{name}.notebook", claim.notebook, notebooks) for name, claim in self.claims.items()]
        for number, question in self.questions.items():
            known.append((f"questions.{number}.notebook", question.notebook, notebooks))
            known += [(f"questions.{number}.claims", claim, self.claims) for claim in question.claims]
        known += [
            ("original_recipe", self.original_recipe, recipes),
            ("corrected_recipe", self.corrected_recipe, recipes),
        ]
        for place, word, allowed in known:
            if word is not None and word not in allowed:
                raise UserError(f'{place}: unknown name "{word}"{did_you_mean(word, allowed)}')
        for name, claim in self.claims.items():
            if claim.cause and not (self.original_recipe and self.corrected_recipe):
                raise UserError(f"claims.{name}.cause: the file must name its original_recipe and its corrected_recipe")
            in_grid = notebooks[claim.notebook].levels.get("recipe", [])
            for recipe in (claim.decided_by, *((claim.cause.alone, claim.cause.without) if claim.cause else ())):
                if recipe and recipe not in in_grid:
                    raise UserError(f"claims.{name}: {claim.notebook} does not run {recipe}: {in_grid}")
        return self

    def metrics(self, key: str) -> dict[str, str]:
        """Return the metrics that the file names for the notebook ``key``, each with a place where it does."""
        notebook, where = self.notebooks[key], f"notebooks.{key}"
        columns = [*notebook.grid, *notebook.coordinates]
        claims = {f"claims.{name}": claim for name, claim in self.claims.items() if claim.notebook == key}
        named = [
            (notebook.headline_metric, f"{where}.headline_metric"),
            *((name, f"{where}.reported") for row in notebook.reported for name in row if name not in columns),
            *((reference.metric, f"{where}.literature") for reference in notebook.literature),
            *((metric, f"{where}.mistakes") for mistake in notebook.mistakes for metric in mistake.metrics),
            *((claim.metric, place) for place, claim in claims.items()),
            *((claim.minus.metric, f"{place}.minus") for place, claim in claims.items() if claim.minus),
        ]
        return {metric: place for metric, place in named if metric}


def load_assignment(path: Path) -> AssignmentConfig:
    """Read one params file. Raises UserError naming the file, the key and what is allowed there."""
    return read_model(path, AssignmentConfig)


def load_assignments(root: Path) -> dict[str, AssignmentConfig]:
    """Read every params file of the project at ``root``: the assignments by name, in their order.

    Raises UserError as ``load_assignment`` does, without any file, and for a file that ends in .yaml.
    """
    if overlooked := sorted((root / "params").glob("*.yaml")):
        raise UserError(f"{overlooked[0]}: the names of params files end in .yml; rename it")
    files = sorted((root / "params").glob("*.yml"))
    if not files:
        raise UserError(f"{root / 'params'}: no params files (*.yml)")
    assignments = {path.stem: load_assignment(path) for path in files}
    return dict(sorted(assignments.items(), key=lambda item: item[1].order))
