"""The networks of the write-ups, as uncompiled Keras models over images of shape (28, 28)."""

import os
from collections.abc import Sequence

from noisy_digits.backend import keras, layers
from noisy_digits.project import PRECISION

keras.config.set_dtype_policy(os.environ.get(PRECISION, "float32"))

IMAGE = (28, 28)
CLASSES = 10
OUTPUT = "float32"
"""The type of what a model gives, at any precision inside: probabilities near 1 need its digits."""


def mlp(
    hidden: Sequence[int] = (512, 512), *, activation: str = "relu", dropout: float = 0.0, l2: float = 0.0
) -> keras.Model:
    """A multilayer perceptron with softmax output: (n, 28, 28) images to (n, 10) class probabilities.

    ``hidden`` gives the units of each hidden layer; each is followed by dropout at rate ``dropout`` (0 to 1), and
    ``l2`` times the sum of its squared weights is added to the loss, where these are not 0. W1 is
    ``mlp((512, 512), dropout=0.2)`` with 669,706 parameters, W3's first ``mlp((64, 64))`` with 55,050, its second
    ``mlp((500, 300), l2=…)``, W4's ``mlp((30,) * depth, activation="sigmoid", l2=…)`` with 23,860, 24,790 and 25,720.
    """
    model = keras.Sequential([keras.Input(IMAGE), layers.Flatten()], name="mlp")
    for units in hidden:
        penalty = keras.regularizers.L2(l2) if l2 else None
        model.add(layers.Dense(units, activation=activation, kernel_regularizer=penalty))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(CLASSES, activation="softmax", dtype=OUTPUT))
    return model


def cnn(hidden: Sequence[int] = (128,), *, pool_between: bool = False, feature_dropout: float = 0.25) -> keras.Model:
    """A convolutional network with softmax output: (n, 28, 28) images to (n, 10) class probabilities.

    3×3 convolutions of 32 and 64 filters, 2×2 max pooling after the second (and after the first with
    ``pool_between``), dropout at rate ``feature_dropout`` unless that is 0, dense layers of ``hidden`` units and
    dropout 0.5. W2 is ``cnn()`` with 1,199,882 parameters, after the MNIST example that Keras shipped; W3 is
    ``cnn((200, 128), pool_between=True, feature_dropout=0)`` with 366,034.
    """
    model = keras.Sequential([keras.Input(IMAGE), layers.Reshape((*IMAGE, 1))], name="cnn")
    model.add(layers.Conv2D(32, 3, activation="relu"))
    if pool_between:
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Conv2D(64, 3, activation="relu"))
    model.add(layers.MaxPooling2D(2))
    if feature_dropout:
        model.add(layers.Dropout(feature_dropout))
    model.add(layers.Flatten())
    for units in hidden:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(CLASSES, activation="softmax", dtype=OUTPUT))
    return model


def augmentation(shift: float, rotation: float) -> keras.Sequential:
    """Random shifts and rotations of images (n, 28, 28), a draw of its own for each: active in training only.

    Both directions move by up to ``shift`` pixels and the image turns by up to ``rotation`` degrees, either way, all
    uniformly distributed; beyond the border the nearest pixel is repeated. Call it with ``training=True`` to see some.
    """
    share = shift / IMAGE[0]
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Reshape((*IMAGE, 1)),
            layers.RandomTranslation(share, share, fill_mode="nearest"),
            layers.RandomRotation(rotation / 360, fill_mode="nearest"),
            layers.Reshape(IMAGE),
        ],
        name="augmentation",
    )


def leaky_cnn(augment: keras.Model) -> keras.Model:
    """W4's convolutional network with softmax output: (n, 28, 28) images to (n, 10) class probabilities.

    ``augment`` comes first. Three 3×3 convolutions of 32, 64 and 128 filters, each with leaky rectified linear units of
    negative slope 0.1, 2×2 max pooling and dropout 0.2 (the last one before its pooling), then a dense layer of 256;
    619,786 parameters.
    """
    model = keras.Sequential([keras.Input(IMAGE), augment, layers.Reshape((*IMAGE, 1))], name="leaky_cnn")
    for filters, pool_at in ((32, 2), (64, 2), (128, 3)):
        block = [layers.Conv2D(filters, 3, padding="same"), layers.LeakyReLU(0.1), layers.Dropout(0.2)]
        block.insert(pool_at, layers.MaxPooling2D(2, padding="same"))
        for layer in block:
            model.add(layer)
    model.add(layers.Flatten())
    model.add(layers.Dense(256))
    model.add(layers.LeakyReLU(0.1))
    model.add(layers.Dense(CLASSES, activation="softmax", dtype=OUTPUT))
    return model


def autoencoder(hidden: int = 128, code: int = 96) -> keras.Model:
    """W3's dense autoencoder: images (n, 28, 28) to images of the same shape with pixels from 0 to 1.

    784 → ``hidden`` → ``code`` → ``hidden`` → 784 units, rectified linear but for the sigmoid at the end; 226,416
    parameters. ``encoder`` and ``decoder`` give its two halves.
    """
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(code, activation="relu", name="code"),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(IMAGE[0] * IMAGE[1], activation="sigmoid", dtype=OUTPUT),
            layers.Reshape(IMAGE, dtype=OUTPUT),
        ],
        name="autoencoder",
    )


def convolutional_autoencoder() -> keras.Model:
    """A convolutional autoencoder: images (n, 28, 28) to images of the same shape with pixels from 0 to 1.

    Two 3×3 convolutions of 32 filters, each followed by 2×2 max pooling, then two transposed ones of stride 2 and
    a last convolution with a sigmoid; 28,353 parameters. Source: the denoising autoencoder of Keras's examples.
    """
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Reshape((*IMAGE, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2, name="code"),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype=OUTPUT),
            layers.Reshape(IMAGE, dtype=OUTPUT),
        ],
        name="convolutional_autoencoder",
    )


def encoder(model: keras.Model) -> keras.Model:
    """The first half of an autoencoder, images to codes; it shares the weights of ``model``."""
    return keras.Model(model.inputs[0], keras.ops.cast(model.get_layer("code").output, OUTPUT))


def decoder(model: keras.Model) -> keras.Model:
    """The second half of an autoencoder, codes to images; it shares the weights of ``model``."""
    names = [layer.name for layer in model.layers]
    start = names.index("code") + 1
    inputs = keras.Input(model.get_layer("code").output.shape[1:])
    outputs = inputs
    for layer in model.layers[start:]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)
