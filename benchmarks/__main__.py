"""Measure training and building, and write what came out to benchmarks/README.md and benchmarks/scaling.svg."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure

from benchmarks import building, training
from benchmarks.training import BFLOAT16, BUSY, LOOSE, PACKED, PLAIN
from noisy_digits import data, params

HERE = Path(__file__).parent
LIMITS = building.ROOT / "workflow/measured.yml"
EXPLAINED = """\
# What the suite costs

Made by `make bench` on {cores} processors, TensorFlow {tensorflow}, Keras {keras}; run it on a machine at rest.
One 2048³ matrix product runs at {float32:.0f} GFLOP/s in float32 and {bfloat16:.0f} in bfloat16.

## A training step

*plain* is Keras's `fit` at its defaults, in one process on all processors, as the write-ups call it. *ours* is
`training.fit`, the same; *packed* is ours with one process a processor, each on one thread, as the build runs them;
*not deterministic* is that without TensorFlow's deterministic operations, and *bfloat16* with
`PRECISION=mixed_bfloat16`. The ways take turns on the same random images, as many as the write-up trains on: {rounds}
rounds of whole epochs after one that is not counted, each with its validation. Milliseconds a step are medians; for
packed ones, of the whole machine. Ratios are plain to ours, round by round: minimum – median – maximum.

Plain Keras may wait at the end of an epoch for the thread that tunes its data pipeline, which sleeps 10, 20, 40 … ms:
in some rounds, or in all, the training part of an epoch takes about 1.3, 2.6, 5.1, 10.2, 20.5 or 41 s, the next of
these after its work is done. *plain without waits* leaves them out: from an epoch's begin to its last batch, and the
validation.

"""
COMPARED = (
    *("model", "packed to plain", "packed to plain without waits", "bfloat16 to plain"),
    *("products", "plain MB", "packed MB, each"),
)
TIMED = (PLAIN, BUSY, *list(training.WAYS)[1:])
GOALS = {
    **{
        f"{what}: times faster than {plain}": (bound, 1)
        for plain in ("plain", "plain without its waits")
        for what, bound in (
            ("all trainings, float32", 1.8),
            ("all trainings, bfloat16", 3.0),
            ("the slowest multilayer perceptron", 2.2),
            ("the slowest model", 1.0),
        )
    },
    "a run beyond the cell that trains (s)": (6.0, -1),
    "a build with nothing to do (s)": (3.0, -1),
    "rendering a page (s)": (1.0, -1),
    "peak memory of a run (GB)": (1.5, -1),
}
"""What is aimed at: a bound, and 1 where at least that much is meant, -1 where at most."""


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def spread(ratios: np.ndarray) -> str:
    """Ratios for reading."""
    return f"{ratios.min():.2f} – {np.median(ratios):.2f} – {ratios.max():.2f}"


def goals(reached: list[float]) -> str:
    """The table of what is aimed at, and what was reached."""
    rows = []
    for (goal, (bound, sign)), value in zip(GOALS.items(), reached, strict=True):
        aimed = f"at {'least' if sign > 0 else 'most'} {bound:g}"
        met = "needs MNIST" if np.isnan(value) else "yes" if sign * value >= sign * bound else "**no**"
        rows.append((goal, aimed, f"{value:.2f}", met))
    return "## Aims\n\n" + table(("what", "aim", "measured", "met"), rows)


def trainings(rate: float) -> tuple[str, list[float], dict[str, dict[str, float]]]:
    """The tables of training steps and what follows for all trainings of the write-ups; what they say of the aims.

    Then the milliseconds of a step by case and way. ``rate`` is that of float32 products, in operations a second.
    """
    rows, compared, totals, medians, ratios, products = [], [], dict.fromkeys(TIMED, 0.0), {}, {}, {}
    for name, case in training.CASES.items():
        measured = training.measure(case)
        steps = measured.steps
        medians[name] = median = {way: float(np.median(values)) for way, values in steps.items()}
        for way in totals:
            trained = case.published if way in (PLAIN, BUSY) else case.published / case.trained_for
            totals[way] += median[way] / 1000 * trained
        ratios[name] = {way: steps[way] / steps[PACKED] for way in (PLAIN, BUSY)}
        products[name] = training.start(training.report_operations, case).recv() / rate * 1000
        rows.append((name, *(f"{median[way]:.2f}" for way in TIMED)))
        told = [spread(ratios[name][PLAIN]), spread(ratios[name][BUSY]), spread(steps[PLAIN] / steps[BFLOAT16])]
        memory = [f"{measured.memory[way] / 1e6:.0f}" for way in (PLAIN, PACKED)]
        compared.append((name, *told, f"{products[name] / median[PACKED]:.0%}", *memory))
        print(" | ".join(rows[-1] + compared[-1][1:]), flush=True)
    minutes = [f"{seconds / 60:.1f} min" for seconds in totals.values()]
    faster = {plain: [f"{totals[plain] / seconds:.2f}" for seconds in totals.values()] for plain in (PLAIN, BUSY)}
    estimate = table(
        ("all trainings of the write-ups, one seed", *TIMED),
        [("time", *minutes), ("ratio to plain", *faster[PLAIN]), ("ratio to plain without waits", *faster[BUSY])],
    )
    determinism = np.median([median[PACKED] / median[LOOSE] - 1 for median in medians.values()])
    most, share = max(
        (case.published * medians[name][BUSY] / 1000 / totals[BUSY], name) for name, case in training.CASES.items()
    )[::-1]
    bound = medians[most][BUSY] / products[most]
    explained = (
        "The share of the product rate is that of the packed step's matrix products alone. W4's write-up trains each\n"
        "configuration three times, once for each curve; ours trains it once. Deterministic operations change the\n"
        f"time of a step by {determinism:+.0%}, the median over the models.\n\n"
        f"{share:.0%} of plain's time without waits is that of {most}. The products of its step take\n"
        f"{products[most]:.1f} ms at the product rate, plain's step {medians[most][BUSY]:.1f} ms: nothing in float32\n"
        f"could be more than {bound:.1f} times as fast, were everything but the products free.\n\n"
    )
    reached = []
    for plain in (PLAIN, BUSY):
        worst = {name: float(np.median(each[plain])) for name, each in ratios.items()}
        perceptrons = [worst[name] for name, case in training.CASES.items() if case.network == "mlp"]
        reached += [totals[plain] / totals[PACKED], totals[plain] / totals[BFLOAT16]]
        reached += [min(perceptrons), min(worst.values())]
    steps = table(("milliseconds a step", *TIMED), rows) + table(COMPARED, compared)
    return steps + explained + estimate, reached, medians


def predicted(medians: dict[str, dict[str, float]], seconds_a_run: float) -> str:
    """How long a build of the whole suite on MNIST takes, its replicates included."""
    planned = params.plan(building.ROOT, "full")
    told = []
    for way in (PACKED, BFLOAT16):
        trained = sum(
            case.steps_of(run) * medians[name][way] / 1000 for name, case in training.CASES.items() for run in planned
        )
        hours = (trained + len(planned) * seconds_a_run) / 3600
        told.append(f"{hours:.1f} hours in {'bfloat16' if way == BFLOAT16 else 'float32'}")
    return (
        f"From these: the {len(planned)} runs of `make reports DATASET=mnist`, all replicates, take\n"
        f"{' or '.join(told)}; what denoisers and summaries work out comes on top.\n\n"
    )


def write_limits(medians: dict[str, dict[str, float]], peak: float) -> None:
    """Write down the most that a run on MNIST takes, on one processor, from which a cluster's limits follow."""
    minutes = []
    for run in params.plan(building.ROOT, "full"):
        trained = sum(case.steps_of(run) * medians[name][PACKED] for name, case in training.CASES.items())
        minutes.append(trained * training.CORES / 60_000 / run.parameters.get("seeds", 1))
    most = {"memory_mb": round(peak / 1e6), "minutes_a_seed": round(max(minutes), 1)}
    explained = "# The most that a run on MNIST takes, on one processor; made by `make bench`.\n"
    LIMITS.write_text(explained + yaml.safe_dump(most), encoding="utf-8")


def figure(measured: dict[int, tuple[float, float]]) -> tuple[float, float, float]:
    """Draw the seconds of builds against their grid points.

    Returns the straight line's slope and start, and the largest distance of a build from it as a fraction of the line.
    """
    points, seconds = (np.array(values) for values in (list(measured), [each[0] for each in measured.values()]))
    slope, start = np.polyfit(points, seconds, 1)
    line = start + slope * points
    drawing = Figure(figsize=(6, 3.5), layout="constrained")
    axes = drawing.subplots()
    axes.plot(points, seconds, "o", color="#0072B2", label="measured")
    axes.plot(points, line, color="#D55E00", label=f"{start:.1f} s + {slope:.2f} s a point")
    axes.set(xlabel="grid points", ylabel="build (s)", title="The time of a build by its grid points")
    axes.legend()
    drawing.savefig(HERE / "scaling.svg", metadata={"Date": None})
    return float(slope), float(start), float(np.abs(seconds / line - 1).max())


def builds() -> tuple[str, list[float], float]:
    """The table of what a build costs beyond its trainings, what it says of the aims, the seconds of one more run."""
    rows = [
        (f"noise.{name}, 60,000 images", f"{seconds:.2f} s, {extra / 1e6:.0f} MB beyond the result")
        for name, (seconds, extra) in building.noises().items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        one = Path(scratch) / "one"
        beyond, page = building.run(one), building.page(one)
        measured = building.builds(Path(scratch))
        large = plans(building.plans(Path(scratch)))
        peaks = building.memory(Path(scratch) / "memory") if data.find("mnist") else {}
    idle = max(nothing for _, nothing in measured.values())
    slope, start, distance = figure(measured)
    rows += [
        ("a run beyond the cell that trains, page included", f"{beyond:.2f} s"),
        ("rendering its page", f"{page:.2f} s"),
        *((f"a build of {points} such runs", f"{seconds:.1f} s") for points, (seconds, _) in measured.items()),
        *(
            (f"another build of {points}: nothing to do", f"{nothing:.2f} s")
            for points, (_, nothing) in measured.items()
        ),
        *(
            (f"memory of {path} on MNIST, two replicates of one epoch", f"{peak / 1e9:.2f} GB")
            for path, peak in peaks.items()
        ),
    ]
    line = (
        f"A straight line through the builds: {start:.1f} s and {slope:.2f} s a grid point; the furthest build is "
        f"{distance:.0%} from it.\n\n"
    )
    picture = (
        "![Seconds of a build against its grid points, measured, with a straight line through them](scaling.svg)\n\n"
    )
    reached = [beyond, idle, page, max(peaks.values(), default=np.nan) / 1e9]
    rest = "## What comes on top\n\n" + table(("what", "cost"), rows) + line + picture
    return rest + large, reached, slope


def plans(measured: dict[int, building.Planned]) -> str:
    """The table of what large studies cost before and after their runs."""
    rows = [
        (
            f"{points:,}",
            *(f"{seconds:.1f} s" for seconds in (each.checking, each.planning, each.nothing, each.index)),
            f"{each.memory / 1e6:.0f} MB",
        )
        for points, each in measured.items()
    ]
    columns = ("grid points", "checking params", "planning all", "nothing to do", "index", "memory, at most")
    return "## Large studies\n\n" + table(columns, rows)


def main() -> None:
    """Measure everything, then write it down."""
    rates = {dtype: training.start(training.multiply, dtype).recv() for dtype in ("float32", "bfloat16")}
    written = EXPLAINED.format(
        cores=os.cpu_count(),
        rounds=training.ROUNDS,
        **{name: version(name) for name in ("tensorflow", "keras")},
        **{dtype: rate / 1e9 for dtype, rate in rates.items()},
    )
    steps, faster, medians = trainings(rates["float32"])
    rest, costs, seconds_a_run = builds()
    written += steps + predicted(medians, seconds_a_run) + rest + goals(faster + costs)
    if not np.isnan(peak := costs[-1]):
        write_limits(medians, peak * 1e9)
    (HERE / "README.md").write_text(written.rstrip() + "\n", encoding="utf-8")
    print(written)


if __name__ == "__main__":
    main()
