"""Show models: their layers as a diagram, and the source of the function that builds them."""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from noisy_digits.plots import _alt_text
from noisy_digits.plots._figure import AltFigure, series_color, styled

if TYPE_CHECKING:
    import keras


@styled
def model_diagram(model: "keras.Model") -> AltFigure:
    """Draw the layers of a model from left to right, each a box with kind, activation, output shape and parameters.

    The height of a box is the square root of its number of output values. The layer named "bottleneck" is hatched.
    """
    layers: list[Any] = model.layers
    sizes = np.sqrt([np.prod(layer.output.shape[1:]) for layer in layers])
    labels = [_layer_label(layer) for layer in layers]
    places = range(len(layers))
    figure = Figure(figsize=(max(7.5, 1.02 * len(layers)), 3.6))
    axes = figure.subplots()
    hatches = ["//" if layer.name == "bottleneck" else "" for layer in layers]
    axes.bar(places, sizes, 0.5, -sizes / 2, color=series_color(5), edgecolor="black", hatch=hatches)
    axes.annotate("", (len(layers) - 0.4, 0), (-0.6, 0), arrowprops={"arrowstyle": "->"}, zorder=0)
    axes.set_xticks(places, labels, fontsize=9)
    axes.set(xlim=(-0.6, len(layers) - 0.4), ylim=0.52 * sizes.max() * np.array([-1, 1]), yticks=[])
    axes.set_title(f"{model.count_params():,} parameters")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    names = [f"{label} (bottleneck)" if hatch else label for label, hatch in zip(labels, hatches, strict=True)]
    return AltFigure(figure, _alt_text.describe_model(model.count_params(), names))


def _layer_label(layer: Any) -> str:
    kind = re.sub("(?<=[a-zD])(?=[A-Z][a-z])", "\n", type(layer).__name__)
    activation = getattr(layer, "activation", None)
    shape = " × ".join(map(str, layer.output.shape[1:]))
    parameters = f"{layer.count_params():,}\nparameters" if layer.count_params() else ""
    return "\n".join(filter(None, [kind, activation and activation.__name__, shape, parameters]))


@dataclass(frozen=True)
class Source:
    """Source code that Jupyter shows as highlighted Python."""

    text: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/markdown": f"```python\n{self.text}\n```", "text/plain": self.text}


def show_source(function: Callable) -> Source:
    """Return the source of ``function``, or of the function that a ``functools.partial`` calls, as highlighted Python.

    Raises TypeError for a built-in function and OSError where the source is not available.
    """
    while isinstance(function, functools.partial):
        function = function.func
    return Source(textwrap.dedent(inspect.getsource(function)).rstrip())
