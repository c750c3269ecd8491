"""The networks of the write-ups, as uncompiled Keras models over images of shape (28, 28)."""

from collections.abc import Sequence

import keras
from keras import layers

IMAGE = (28, 28)
CLASSES = 10


def mlp(hidden: Sequence[int] = (512, 512), *, activation: str = "relu", dropout: float = 0.0) -> keras.Model:
    """A multilayer perceptron with softmax output: (n, 28, 28) images to (n, 10) class probabilities.

    ``hidden`` gives the units of each hidden layer; each is followed by dropout at rate ``dropout`` (0 to 1)
    where that is not 0. W1 is ``mlp((512, 512), dropout=0.2)`` with 669,706 parameters.
    """
    model = keras.Sequential([keras.Input(IMAGE), layers.Flatten()], name="mlp")
    for units in hidden:
        model.add(layers.Dense(units, activation=activation))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(CLASSES, activation="softmax"))
    return model


def cnn() -> keras.Model:
    """W2's convolutional network with softmax output: (n, 28, 28) images to (n, 10) class probabilities.

    Two 3×3 convolutions of 32 and 64 filters, 2×2 max pooling, a dense layer of 128 units; dropout 0.25 and 0.5;
    1,199,882 parameters. Source: W2, after the MNIST example that Keras shipped.
    """
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Reshape((*IMAGE, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(CLASSES, activation="softmax"),
        ],
        name="cnn",
    )
