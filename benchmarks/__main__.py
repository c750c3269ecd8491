"""Measure training and building; write the results to benchmarks/README.md and scaling.svg, and workflow/measured.yml.

Memory is measured only if MNIST is on disk.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure

from benchmarks import building, training
from benchmarks.training import BFLOAT16, BUSY, CASES, LOOSE, PACKED, PLAIN, WAYS
from noisy_digits._environment import find_vector_instructions
from noisy_digits.data import locate_dataset
from noisy_digits.pipeline.plan import plan_runs

HERE = Path(__file__).parent
LIMITS = building.ROOT / "workflow/measured.yml"
INTRODUCTION = """\
# What the suite costs

Made by `make bench` on {cores} processors, TensorFlow {tensorflow}, Keras {keras}. Run it on an idle machine.
One 2048³ matrix product runs at {float32:.0f} GFLOP/s in float32 and {bfloat16:.0f} in bfloat16; the processor has
{instructions}.

## A training step

*plain* is Keras's `fit` at its defaults, in one process on all processors, as the write-ups call it, with oneDNN only
where TensorFlow itself turns it on. *ours* is `training.fit` in the same way, with oneDNN. *packed* is ours with one
process per processor, each on one thread, as the build runs them. *not deterministic* is packed without TensorFlow's
deterministic operations, *bfloat16* is packed with
`PRECISION=mixed_bfloat16`. The ways take turns on the same random images, as many as the write-up trains on: {rounds}
rounds of whole epochs with their validation, after one that is not counted. Milliseconds per step are medians; for
packed ones, of the whole machine. Ratios are plain to ours, round by round: minimum – median – maximum.

Plain Keras may wait at the end of an epoch for the thread that tunes its data pipeline, which sleeps 10, 20, 40 … ms:
in some rounds, or in all, the training part of an epoch takes about 1.3, 2.6, 5.1, 10.2, 20.5 or 41 s, the next of
these after its work is done. *plain without waits* leaves them out: it counts from the begin of an epoch to its last
batch, and the validation.

"""
STEPS_NOTE = """\
The share of the product rate counts only the matrix products of the packed step. W4's write-up trains each
configuration three times, once per curve; ours trains it once. Deterministic operations change the
time of a step by {determinism:+.0%}, the median over the models.

{share:.0%} of plain's time without waits is that of {name}. The products of its step take
{products:.1f} ms at the product rate, plain's step {step:.1f} ms: nothing in float32
could be more than {bound:.1f} times as fast, even if everything except the products were free. The products of all
trainings take {all_products:.1f} min at the product rate, {all_share:.0%} of what packed takes: at that rate nothing
in float32 is more than {all_bound:.2f} times as fast as plain without its waits.

"""
FIGURE = "![Seconds of a build against its grid points, measured, with a straight line through them](scaling.svg)\n\n"
COMPARED = (
    *("model", "packed to plain", "packed to plain without waits", "bfloat16 to plain"),
    *("products", "plain MB", "packed MB, each"),
)
TIMED = (PLAIN, BUSY, *list(WAYS)[1:])
GOALS = {
    **{
        f"{what}: times faster than {plain}": (bound, 1)
        for plain in ("plain", "plain without its waits")
        for what, bound in (
            ("all trainings, float32", 2.0),
            ("all trainings, bfloat16", 3.0),
            ("the slowest multilayer perceptron", 2.2),
            ("the slowest model", 1.0),
        )
    },
    "a warm run without the cell that trains (s)": (1.5, -1),
    "a build with nothing to do (s)": (3.0, -1),
    "rendering a page (s)": (1.0, -1),
    "memory of a build's own processes (GB)": (0.4, -1),
    "peak memory of a run (GB)": (1.5, -1),
}
"""The goals: a bound, and 1 if it is a minimum, -1 if it is a maximum."""


@dataclass(frozen=True)
class Steps:
    """What was measured of a case's training step.

    ``milliseconds`` by way, one value per round; ``memory`` in bytes by way; ``products``, the milliseconds that its
    matrix products alone would take.
    """

    milliseconds: dict[str, np.ndarray]
    memory: dict[str, float]
    products: float

    def median(self, way: str) -> float:
        """Return the median over the rounds, in milliseconds."""
        return float(np.median(self.milliseconds[way]))

    def speedup(self, plain: str, way: str = PACKED) -> np.ndarray:
        """Return how many times faster than ``plain`` a way is, per round."""
        return self.milliseconds[plain] / self.milliseconds[way]


def format_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def format_ratios(ratios: np.ndarray) -> str:
    """Return minimum, median and maximum as text."""
    return f"{ratios.min():.2f} – {np.median(ratios):.2f} – {ratios.max():.2f}"


def format_goals(measured: list[float]) -> str:
    """Return the table of goals; ``measured`` has a value for each, NaN if it was not measured."""
    rows = []
    for (goal, (bound, sign)), value in zip(GOALS.items(), measured, strict=True):
        limit = f"at {'least' if sign > 0 else 'most'} {bound:g}"
        met = "yes" if sign * value >= sign * bound else "**no**"
        met = "needs MNIST" if np.isnan(value) else met
        rows.append((goal, limit, f"{value:.2f}", met))
    return "## Aims\n\n" + format_table(("what", "aim", "measured", "met"), rows)


def measure_steps(product_rate: float) -> dict[str, Steps]:
    """Measure the training step of every case; ``product_rate`` is that of float32, in operations per second."""
    measured = {}
    for name, case in CASES.items():
        costs = training.measure(case)
        products = training.start(training.send_operations, case).recv() / product_rate * 1000
        measured[name] = steps = Steps(costs.steps, costs.memory, products)
        print(name, *(f"{way} {steps.median(way):.2f} ms" for way in TIMED), sep=" | ", flush=True)
    return measured


def sum_trainings(measured: dict[str, Steps]) -> dict[str, float]:
    """Return the seconds of all trainings of the write-ups with one seed, by way."""
    return {
        way: sum(
            measured[name].median(way)
            / 1000
            * (case.reported if way in (PLAIN, BUSY) else case.reported / case.trainings_per_run)
            for name, case in CASES.items()
        )
        for way in TIMED
    }


def format_steps(measured: dict[str, Steps]) -> str:
    """Return the tables of training steps, and what follows for all trainings of the write-ups."""
    rows = [(name, *(f"{steps.median(way):.2f}" for way in TIMED)) for name, steps in measured.items()]
    compared = [
        (
            name,
            *(format_ratios(steps.speedup(plain)) for plain in (PLAIN, BUSY)),
            format_ratios(steps.speedup(PLAIN, BFLOAT16)),
            f"{steps.products / steps.median(PACKED):.0%}",
            *(f"{steps.memory[way] / 1e6:.0f}" for way in (PLAIN, PACKED)),
        )
        for name, steps in measured.items()
    ]
    totals = sum_trainings(measured)
    busy = {name: case.reported * measured[name].median(BUSY) / 1000 / totals[BUSY] for name, case in CASES.items()}
    most = max(busy, key=busy.__getitem__)
    products = sum(
        steps.products / 1000 * CASES[name].reported / CASES[name].trainings_per_run for name, steps in measured.items()
    )
    note = STEPS_NOTE.format(
        determinism=np.median([steps.median(PACKED) / steps.median(LOOSE) - 1 for steps in measured.values()]),
        share=busy[most],
        name=most,
        products=measured[most].products,
        step=measured[most].median(BUSY),
        bound=measured[most].median(BUSY) / measured[most].products,
        all_products=products / 60,
        all_share=products / totals[PACKED],
        all_bound=totals[BUSY] / products,
    )
    estimate = [
        ("time", *(f"{seconds / 60:.1f} min" for seconds in totals.values())),
        ("ratio to plain", *(f"{totals[PLAIN] / seconds:.2f}" for seconds in totals.values())),
        ("ratio to plain without waits", *(f"{totals[BUSY] / seconds:.2f}" for seconds in totals.values())),
    ]
    return (
        format_table(("milliseconds per step", *TIMED), rows)
        + format_table(COMPARED, compared)
        + note
        + format_table(("all trainings of the write-ups, one seed", *TIMED), estimate)
    )


def compare_speed(measured: dict[str, Steps]) -> list[float]:
    """Return the measured values of the goals that concern training, in their order."""
    totals, values = sum_trainings(measured), []
    for plain in (PLAIN, BUSY):
        speedups = {name: float(np.median(steps.speedup(plain))) for name, steps in measured.items()}
        perceptrons = [speedups[name] for name, case in CASES.items() if case.builder == "mlp"]
        values += [totals[plain] / totals[PACKED], totals[plain] / totals[BFLOAT16]]
        values += [min(perceptrons), min(speedups.values())]
    return values


def predict_build(measured: dict[str, Steps], seconds_per_run: float) -> str:
    """Return how long a build of the whole suite on MNIST takes, with all its seeds, as a sentence."""
    plan = plan_runs(building.ROOT, "full", dataset="mnist")
    times = []
    for way in (PACKED, BFLOAT16):
        trained = sum(
            case.count_steps(run) * measured[name].median(way) / 1000 for name, case in CASES.items() for run in plan
        )
        hours = (trained + len(plan) * seconds_per_run) / 3600
        times.append(f"{hours:.1f} hours in {'bfloat16' if way == BFLOAT16 else 'float32'}")
    return (
        f"From these: the {len(plan)} runs of `make reports DATASET=mnist`, with all seeds of these trainings, take\n"
        f"{' or '.join(times)}. What denoisers and summaries compute, and what else `depth` and `beyond`\n"
        "train, comes on top.\n\n"
    )


def write_limits(measured: dict[str, Steps], peak: float) -> None:
    """Write what runs on MNIST take on one processor: the most, and the seconds per seed of each that trains.

    The limits of a cluster's jobs follow from the most, the time left of a build from the seconds. These stand under
    the notebook if all its runs take the same. ``peak`` is the largest memory of a run in bytes.
    """
    per_seed: dict[str, dict[str, int]] = {}
    for run in plan_runs(building.ROOT, "full", dataset="mnist"):
        milliseconds = sum(case.count_steps(run) * measured[name].median(PACKED) for name, case in CASES.items())
        seconds = milliseconds * training.N_CORES / 1000 / run.parameters.get("n_seeds", 1)
        per_seed.setdefault(f"{run.assignment}/{run.notebook}", {})[run.path] = round(seconds)
    listed: dict[str, int] = {}
    for notebook, runs in per_seed.items():
        listed |= runs if len(set(runs.values())) > 1 else {notebook: max(runs.values())}
    content = {
        "memory_mb": round(peak / 1e6),
        "minutes_per_seed": round(max(listed.values()) / 60, 1),
        "seconds_per_seed": {path: seconds for path, seconds in listed.items() if seconds},
    }
    comment = "# What runs on MNIST take on one processor, at most and each. Made by `make bench`.\n"
    LIMITS.write_text(comment + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def draw_builds(measured: dict[int, building.BuildTimes]) -> tuple[float, float, float]:
    """Draw the seconds of builds against their grid points.

    Returns slope and intercept of a straight line, and the largest distance of a build from it as a fraction of it.
    """
    points, seconds = (np.array(values) for values in (list(measured), [each.warm for each in measured.values()]))
    slope, intercept = np.polyfit(points, seconds, 1)
    line = intercept + slope * points
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(points, seconds, "o", color="#0072B2", label="measured")
    axes.plot(points, line, color="#D55E00", label=f"{intercept:.1f} s + {slope:.2f} s per point")
    axes.set(xlabel="grid points", ylabel="build (s)", title="Time of a build by its grid points")
    axes.legend()
    figure.savefig(HERE / "scaling.svg", metadata={"Date": None})
    return float(slope), float(intercept), float(np.abs(seconds / line - 1).max())


def measure_builds() -> tuple[str, list[float], float]:
    """Measure what a build costs besides its trainings.

    Returns the tables, the measured values of the goals that concern builds, and the seconds of one more run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        one = Path(scratch) / "one"
        cold, page = building.time_cold_run(one), building.time_page(one)
        warm, own = building.time_warm_run(Path(scratch) / "warm"), building.measure_own_memory(Path(scratch) / "own")
        builds = building.time_builds(Path(scratch) / "builds")
        planning = format_planning(building.measure_planning(Path(scratch)))
        peaks = building.measure_memory(Path(scratch) / "memory") if locate_dataset("mnist") else {}
    slope, intercept, distance = draw_builds(builds)
    line = (
        f"A straight line through the warm builds: {intercept:.1f} s and {slope:.2f} s per grid point. The largest "
        f"distance of a build from it is {distance:.0%}.\n\n"
    )
    table = format_table(("what", "cost"), list_costs(cold, warm, page, peaks)) + format_builds(builds)
    idle, peak = max(each.nothing for each in builds.values()), max(peaks.values(), default=np.nan)
    goals = [warm, idle, page, own / 1e9, peak / 1e9]
    return "## Other costs\n\n" + table + line + FIGURE + planning, goals, slope


def list_costs(cold: float, warm: float, page: float, peaks: dict[str, float]) -> list[tuple[str, str]]:
    """Return the rows of the table of costs besides training."""
    return [
        *(
            (f"noise.{name}, 60,000 images", f"{seconds:.2f} s, {extra / 1e6:.0f} MB beyond the result")
            for name, (seconds, extra) in building.time_noises().items()
        ),
        ("a run by hand without the cell that trains, with its page", f"{cold:.2f} s"),
        ("one more run of a build, the same", f"{warm:.2f} s"),
        ("rendering its page", f"{page:.2f} s"),
        *((f"memory of {notebook} on MNIST, two seeds", f"{peak / 1e9:.2f} GB") for notebook, peak in peaks.items()),
    ]


def format_builds(measured: dict[int, building.BuildTimes]) -> str:
    """Return the table of builds by their number of grid points, each with one training of one step."""
    rows = [
        (str(n_points), *(f"{seconds:.1f} s" for seconds in (each.cold, each.warm, each.restored, each.nothing)))
        for n_points, each in measured.items()
    ]
    return format_table(("grid points", "cold", "warm", "trainings restored", "nothing to do"), rows)


def format_planning(measured: dict[int, building.PlanningCost]) -> str:
    """Return the table of what large studies cost before and after their runs."""
    rows = [
        (
            f"{n_points:,}",
            *(f"{seconds:.1f} s" for seconds in (each.checking, each.planning, each.nothing, each.index)),
            f"{each.memory / 1e6:.0f} MB",
        )
        for n_points, each in measured.items()
    ]
    columns = ("grid points", "checking params", "planning all", "nothing to do", "index", "memory, at most")
    return "## Large studies\n\n" + format_table(columns, rows)


def main() -> None:
    """Measure everything, then write it down."""
    argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__).parse_args()
    rates = {dtype: training.start(training.send_product_rate, dtype).recv() for dtype in ("float32", "bfloat16")}
    introduction = INTRODUCTION.format(
        cores=os.cpu_count(),
        rounds=training.N_ROUNDS,
        instructions=" and ".join(find_vector_instructions()) or "no vector instructions that the system tells of",
        **{name: version(name) for name in ("tensorflow", "keras")},
        **{dtype: rate / 1e9 for dtype, rate in rates.items()},
    )
    measured = measure_steps(rates["float32"])
    costs, goals, seconds_per_run = measure_builds()
    if not np.isnan(peak := goals[-1]):
        write_limits(measured, peak * 1e9)
    prediction = predict_build(measured, seconds_per_run)
    report = introduction + format_steps(measured) + prediction + costs + format_goals(compare_speed(measured) + goals)
    (HERE / "README.md").write_text(report.rstrip() + "\n", encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
