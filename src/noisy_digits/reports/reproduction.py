"""Lay out the figure of the index that shows how far the reported numbers reappear."""

from collections.abc import Mapping, Sequence
from typing import Any

LIMIT = 4.0
"""Distance in half widths at which a number is drawn if it lies further away."""
EDGE = 4.3
"""Distance in half widths from the middle of a strip to its edge."""
MARK_WIDTH = 0.28
"""Distance in half widths at which two marks do not overlap on a narrow screen."""
MARK_HEIGHT = 14
"""Height of a mark in a stack, in CSS pixels."""


def lay_out_strips(sections: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a strip of marks for each section with compared numbers: its name, title, height in px, counts and marks.

    A mark is a line of the section's reported numbers with ``x`` (% of the width), ``y`` (px) and ``shape``.
    """
    strips = []
    for section in sections:
        lines = [line for line in section["reported"] if line["distance"] is not None]
        levels = stack_marks([clip_distance(line["distance"]) for line in lines])
        height = MARK_HEIGHT * (max(levels, default=0) + 2)
        marks = [
            line
            | {
                "x": round(50 + 50 * clip_distance(line["distance"]) / EDGE, 2),
                "y": height - MARK_HEIGHT * (level + 1),
                "shape": choose_shape(line["distance"]),
            }
            for line, level in zip(lines, levels, strict=True)
        ]
        if marks:
            inside = sum(mark["shape"] == "inside" for mark in marks)
            counts = {"inside": inside, "outside": len(marks) - inside}
            strips.append(
                {"name": section["name"], "title": section["config"].title, "height": height, "marks": marks} | counts
            )
    return strips


def clip_distance(distance: float) -> float:
    """Return a distance in half widths, at most ``LIMIT`` on either side."""
    return min(max(distance, -LIMIT), LIMIT)


def choose_shape(distance: float) -> str:
    """Return the shape of a mark: inside, outside, or below and above for a number beyond ``LIMIT``."""
    if abs(distance) > LIMIT:
        return "above" if distance > 0 else "below"
    return "inside" if abs(distance) <= 1 else "outside"


def stack_marks(places: Sequence[float]) -> list[int]:
    """Return the level of each mark, 0 at the bottom: the lowest one without a mark nearer than ``MARK_WIDTH``."""
    levels: list[list[float]] = []
    chosen = [0] * len(places)
    for index in sorted(range(len(places)), key=lambda index: abs(places[index])):
        place = places[index]
        free = (level for level, marks in enumerate(levels) if all(abs(place - mark) >= MARK_WIDTH for mark in marks))
        chosen[index] = next(free, len(levels))
        if chosen[index] == len(levels):
            levels.append([])
        levels[chosen[index]].append(place)
    return chosen
