"""Measure training and building, and write what came out to benchmarks/README.md and benchmarks/scaling.svg."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import building, training

HERE = Path(__file__).parent
EXPLAINED = """\
# What the suite costs

Made by `make bench` on {cores} processors, TensorFlow {tensorflow}, Keras {keras}; run it on a machine at rest.
One 2048³ matrix product runs at {float32:.0f} GFLOP/s in float32 and {bfloat16:.0f} in bfloat16.

## A training step

*plain* is Keras's `fit` at its defaults, in one process on all processors, as the write-ups call it. *ours* is
`training.fit`, the same; *packed* is ours with one process a processor, each on one thread, as the build runs them, and
*bfloat16* is that with `PRECISION=mixed_bfloat16`. The ways take turns on the same random images of MNIST's shape,
{rounds} rounds after one that is not counted, each with its validation. Milliseconds a step are medians; for packed
ones, of the whole machine. Ratios are round by round.

"""
COLUMNS = (
    *("model", "plain ms", "ours ms", "packed ms", "bfloat16 ms"),
    *("plain / packed: min – median – max", "plain / bfloat16: median", "of the product rate", "peak memory"),
)


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def trainings(rate: float) -> str:
    """The table of training steps, and what follows from it for all trainings of the write-ups."""
    rows, totals = [], dict.fromkeys(training.WAYS, 0.0)
    for name, case in training.CASES.items():
        steps, memory = training.measure(case)
        median = {way: float(np.median(values)) for way, values in steps.items()}
        for way in totals:
            totals[way] += median[way] / 1000 * (case.published_steps if way == training.PLAIN else case.our_steps)
        packed, bfloat16 = (steps[training.PLAIN] / steps[way] for way in (training.PACKED, training.BFLOAT16))
        share = training.start(training.report_operations, case).recv() / (median[training.PACKED] / 1000) / rate
        row = (
            name,
            *(f"{median[way]:.2f}" for way in training.WAYS),
            f"{packed.min():.2f} – {np.median(packed):.2f} – {packed.max():.2f}",
            f"{np.median(bfloat16):.2f}",
            f"{share:.1%}",
            f"{memory[training.PACKED] / 1e9:.2f} GB",
        )
        print(" | ".join(row), flush=True)
        rows.append(row)
    minutes = {way: f"{seconds / 60:.1f} min" for way, seconds in totals.items()}
    plain = totals[training.PLAIN]
    estimate = table(
        ("all trainings of the write-ups, one seed", *training.WAYS),
        [
            ("time", *minutes.values()),
            ("ratio to plain", *(f"{plain / seconds:.2f}" for seconds in totals.values())),
        ],
    )
    explained = (
        "The product rate's share is that of the packed step's matrix products alone. W4's write-up trains each\n"
        "configuration three times, once for each curve; ours trains it once.\n\n"
    )
    return table(COLUMNS, rows) + explained + estimate


def figure(measured: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """Draw the seconds of builds against their grid points; return the straight line's slope and start."""
    points, seconds = (np.array(values) for values in (list(measured), [each[0] for each in measured.values()]))
    slope, start = np.polyfit(points, seconds, 1)
    drawing = Figure(figsize=(6, 3.5), layout="constrained")
    axes = drawing.subplots()
    axes.plot(points, seconds, "o", color="#0072B2", label="measured")
    axes.plot(points, start + slope * points, color="#D55E00", label=f"{start:.1f} s + {slope:.2f} s a point")
    axes.set(xlabel="grid points", ylabel="build (s)", title="A build grows linearly with its grid")
    axes.legend()
    drawing.savefig(HERE / "scaling.svg")
    return float(slope), float(start)


def builds() -> str:
    """The table of what a build costs beyond its trainings."""
    rows = [
        (f"noise.{name}, 60,000 images", f"{seconds:.2f} s, {extra / 1e6:.0f} MB beyond the result")
        for name, (seconds, extra) in building.noises().items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        one = Path(scratch) / "one"
        rows.append(("a run beyond the cell that trains, page included", f"{building.run(one):.2f} s"))
        rows.append(("rendering its page", f"{building.page(one):.2f} s"))
        measured = building.builds(Path(scratch))
    slope, start = figure(measured)
    rows += [
        (f"a build of {points} such runs, quick profile", f"{seconds:.1f} s")
        for points, (seconds, _) in measured.items()
    ]
    largest = max(measured)
    rows.append((f"a second build of {largest} runs: nothing to do", f"{measured[largest][1]:.2f} s"))
    line = f"A straight line through the builds: {start:.1f} s and {slope:.2f} s a grid point.\n\n"
    picture = (
        "![Seconds of a build against its grid points, measured, with a straight line through them](scaling.svg)\n"
    )
    return "## What comes on top\n\n" + table(("what", "cost"), rows) + line + picture


def main() -> None:
    """Measure everything, then write it down."""
    rates = {dtype: training.start(training.multiply, dtype).recv() for dtype in ("float32", "bfloat16")}
    written = EXPLAINED.format(
        cores=os.cpu_count(),
        rounds=training.ROUNDS,
        **{name: version(name) for name in ("tensorflow", "keras")},
        **{dtype: rate / 1e9 for dtype, rate in rates.items()},
    )
    written += trainings(rates["float32"]) + builds()
    (HERE / "README.md").write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
