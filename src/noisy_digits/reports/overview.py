"""Gather what the index says about a collection from its plan, its params files and its results."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from noisy_digits._files import read_metrics, read_record
from noisy_digits.errors import UserError, did_you_mean
from noisy_digits.formatting import format_duration, format_label, format_point
from noisy_digits.pipeline.claims import UNDECIDED, evaluate_claim
from noisy_digits.pipeline.config import (
    AssignmentConfig,
    NotebookConfig,
    Question,
    Values,
    is_selected,
    load_assignments,
)
from noisy_digits.pipeline.plan import Run
from noisy_digits.pipeline.status import FINISHED, diverged_seeds, run_statuses
from noisy_digits.pipeline.store import Collection
from noisy_digits.project import read_project
from noisy_digits.references import compare_number, describe_effects, measure_effects
from noisy_digits.reports.figures import find_answer, first_figure, is_answer, read_outputs, shrink_figure
from noisy_digits.results import collect_metrics, select_values
from noisy_digits.stats import Summary, summarize


class Overview:
    """A collection of the project at ``root`` whose plan is ``runs``; ``statuses`` are those of the runs by path."""

    def __init__(self, root: Path, runs: Sequence[Run], collection: Collection) -> None:
        self.root, self.runs, self.name = root, runs, collection.name
        self.results = root / "results" / collection.name
        self.reports = root / "reports" / collection.name
        self.statuses = run_statuses(self.results, runs)
        self.project = read_project(root)
        self.is_reference = collection.name == self.project.reference_collection

    def sections(self) -> list[dict[str, Any]]:
        """Return what the index shows of each assignment; index.html.j2 lists the keys."""
        return [self._section(name, assignment) for name, assignment in load_assignments(self.root).items()]

    def _section(self, name: str, assignment: AssignmentConfig) -> dict[str, Any]:
        notebooks, claims, reported, unrecorded = [], [], [], []
        tables, mistakes = {}, {}
        for key, notebook in assignment.notebooks.items():
            runs = [run for run in self.runs if (run.assignment, run.notebook) == (name, key)]
            tables[key] = collect_metrics(self.results, [run for run in runs if self.statuses[run.path] in FINISHED])
            unrecorded += self._find_unrecorded(name, key, assignment, runs, tables[key])
            described = [self._describe_run(run) for run in runs]
            notebooks.append({"name": key, "config": notebook, "runs": described, "matrix": build_matrix(described)})
            if effects := measure_effects(tables[key], [mistake.model_dump() for mistake in notebook.mistakes]):
                mistakes[key] = describe_effects(effects)
            for row in notebook.reported:
                with _naming(f"{name}.yml: notebooks.{key}.reported"):
                    reported += self._compare(notebook, row, tables[key], runs, assignment.corrected_recipe)
        for key, claim in assignment.claims.items():
            table, verdict = tables[claim.notebook], UNDECIDED
            if self.is_reference and not table.empty:
                with _naming(f"{name}.yml: claims.{key}"):
                    verdict = evaluate_claim(claim, table, assignment.original_recipe, assignment.corrected_recipe)
            claims.append((claim, verdict))
        verdicts = dict(zip(assignment.claims, claims, strict=True))
        questions = [
            self._answer(number, question, name, assignment, [verdicts[claim] for claim in question.claims])
            for number, question in assignment.questions.items()
        ]
        unrecorded += [
            f"{name}.yml: questions.{each['number']}: no answer of {each['notebook']} names this question"
            for each in questions
            if each["misnamed"]
        ]
        return {
            "name": name,
            "config": assignment,
            "questions": questions,
            "notebooks": notebooks,
            "claims": claims,
            "mistakes": mistakes,
            "reported": reported,
            "unrecorded": unrecorded,
        }

    def _find_unrecorded(
        self, name: str, key: str, assignment: AssignmentConfig, runs: Sequence[Run], table: pd.DataFrame
    ) -> list[str]:
        """Return a line for each metric of the params file that no run recorded and that the notebook does not mention.

        A notebook mentions a metric that it records only under a condition. Nothing is a mistake before all of its runs
        have finished, one of them without divergence.
        """
        statuses = {self.statuses[run.path] for run in runs}
        if "ok" not in statuses or not statuses.issubset(FINISHED):
            return []
        recorded = list(table["metric"].unique())
        source = (self.root / "notebooks" / name / f"{key}.ipynb").read_text(encoding="utf-8")
        return [
            f"{name}.yml: {place}: no run of {key} recorded {metric}{did_you_mean(metric, recorded)}"
            for metric, place in assignment.metrics(key).items()
            if metric not in recorded and not re.search(rf"\b{re.escape(metric)}\b", source)
        ]

    def _answer(
        self, number: str, question: Question, name: str, assignment: AssignmentConfig, verdicts: list
    ) -> dict[str, Any]:
        """Return a question with its answer: that of the first run of its notebook with the corrected recipe."""
        runs = [run for run in self.runs if (run.assignment, run.notebook) == (name, question.notebook)]
        run = next((run for run in runs if run.point.get("recipe") == assignment.corrected_recipe), runs[0])
        outputs = read_outputs(self.results / run.path)
        answer, figure = find_answer(outputs, number), first_figure(outputs) if question.figure else None
        return {
            "number": number,
            "notebook": question.notebook,
            "misnamed": answer is None and any(is_answer(output) for output, _ in outputs),
            "asked": question.asked,
            "answer": answer,
            "figure": shrink_figure(figure) if figure else None,
            "verdicts": verdicts,
            "title": assignment.notebooks[question.notebook].title,
            "href": self._page(run),
        }

    def _page(self, run: Run) -> str | None:
        page = f"{run.path}.html"
        return page if (self.reports / page).is_file() else None

    def _describe_run(self, run: Run) -> dict[str, Any]:
        folder = self.results / run.path
        record, headline = read_record(folder), _headline(folder, run)
        lost = f", {len(diverged)} diverged" if (diverged := diverged_seeds(folder)) else ""
        return {
            "point": run.point,
            "href": self._page(run),
            "status": self.statuses[run.path],
            "headline": f"{headline}{lost}" if headline else None,
            "mean": headline.mean if headline else None,
            "time": format_duration(record["seconds"]) if record else None,
        }

    def _compare(
        self, notebook: NotebookConfig, row: Values, table: pd.DataFrame, runs: Sequence[Run], corrected: str | None
    ) -> list[dict[str, Any]]:
        """Return a line for each number in a ``reported`` row of the notebook."""
        keys = [*notebook.grid, *notebook.coordinates]
        point = {key: level for key, level in row.items() if key in keys}
        metrics: Any = {key: value for key, value in row.items() if key not in keys}
        run = next((run for run in runs if run.point.items() <= point.items()), None)
        status = self.statuses[run.path] if run else "not run"
        grid_point = {key: level for key, level in point.items() if key in notebook.grid}
        n_diverged = len(select_values(table, "diverged", grid_point))
        lines = []
        for metric, number in metrics.items():
            values = select_values(table, metric, point).tolist()
            found = compare_number(metric, number, values, n_diverged, self.is_reference)
            others = select_values(table, metric, point | {"recipe": corrected}).tolist() if "recipe" in point else []
            known = [each for each in notebook.deviations if each.metric == metric and is_selected(point, each.at)]
            line = found.describe() | {
                "notebook": notebook.title,
                "where": format_point({key: level for key, level in point.items() if key != "recipe"}),
                "distance": found.distance,
                "cause": known[0].cause if known else "cause unknown",
                "corrected": str(summarize(others)) if others else "–",
                "href": self._page(run) if run else None,
            }
            lines.append(line if status in FINISHED else line | {"ours": status})
        return lines


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Name the place in a params file that a UserError inside the block is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def build_matrix(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the runs of a grid by their level of its first column and by what distinguishes them otherwise.

    Each gets the ``share`` of its headline between the smallest one and the largest one.
    """
    means = [run["mean"] for run in runs if run["mean"] is not None]
    low, high = (min(means), max(means)) if means else (0, 0)
    matrix: dict[str, dict[str, Any]] = {}
    for run in runs:
        if not run["point"]:
            return {}
        (_, row), *others = run["point"].items()
        share = (run["mean"] - low) / (high - low) if run["mean"] is not None and high > low else 0
        column = format_point(dict(others)) or "result"
        matrix.setdefault(format_label(row), {})[column] = run | {"share": round(share, 2)}
    return matrix


def _headline(folder: Path, run: Run) -> Summary | None:
    """Return the summary of the headline metric over the seeds of a run, None if it was not recorded."""
    values = [row["value"] for row in read_metrics(folder) if run.is_headline(row)]
    return summarize(values) if values else None
