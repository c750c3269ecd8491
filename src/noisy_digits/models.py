"""The networks of the write-ups: functions that build uncompiled Keras models of images (28, 28).

To add a network, register its builder. Builders import Keras, so that names can be read without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from noisy_digits.registry import Registry

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (28, 28)
NUM_CLASSES = 10
OUTPUT_DTYPE = "float32"
"""The type of a model's output, at any precision inside: probabilities near 1 need all its digits."""

CLASSIFIERS: Registry[Callable[[], keras.Model]] = Registry("classifier")
AUTOENCODERS: Registry[Callable[[], keras.Model]] = Registry("autoencoder")


def mlp(
    hidden_units: Sequence[int] = (512, 512), *, activation: str = "relu", dropout: float = 0.0, l2: float = 0.0
) -> keras.Model:
    """Build a multilayer perceptron (MLP) with softmax output: images (n, 28, 28) to class probabilities (n, 10).

    Each hidden layer is followed by dropout at rate ``dropout`` (0 to 1); ``l2`` times the sum of its squared weights
    is added to the loss. Both are left out if 0. W3 has ``mlp((64, 64))`` with 55,050 parameters and
    ``mlp((500, 300), l2=…)``. W4 is ``mlp((30,) * depth, activation="sigmoid", l2=…)`` with 23,860, 24,790 and 25,720.
    """
    from keras import Input, Sequential, layers, regularizers

    model = Sequential([Input(INPUT_SHAPE), layers.Flatten()], name="mlp")
    for units in hidden_units:
        regularizer = regularizers.L2(l2) if l2 else None
        model.add(layers.Dense(units, activation=activation, kernel_regularizer=regularizer))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(NUM_CLASSES, activation="softmax", dtype=OUTPUT_DTYPE))
    return model


def cnn(
    hidden_units: Sequence[int] = (128,), *, pool_after_first: bool = False, conv_dropout: float = 0.25
) -> keras.Model:
    """Build a convolutional network (CNN) with softmax output: images (n, 28, 28) to class probabilities (n, 10).

    It has 3×3 convolutions of 32 and 64 filters, and 2×2 max pooling after the second (also after the first with
    ``pool_after_first``). Dropout at rate ``conv_dropout`` follows unless that is 0, then dense layers of
    ``hidden_units`` and dropout 0.5. W2 is ``cnn()`` with 1,199,882 parameters, after Keras's MNIST example.
    """
    from keras import Input, Sequential, layers

    model = Sequential([Input(INPUT_SHAPE), layers.Reshape((*INPUT_SHAPE, 1))], name="cnn")
    model.add(layers.Conv2D(32, 3, activation="relu"))
    if pool_after_first:
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Conv2D(64, 3, activation="relu"))
    model.add(layers.MaxPooling2D(2))
    if conv_dropout:
        model.add(layers.Dropout(conv_dropout))
    model.add(layers.Flatten())
    for units in hidden_units:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(NUM_CLASSES, activation="softmax", dtype=OUTPUT_DTYPE))
    return model


@CLASSIFIERS.register("mlp")
def dropout_mlp() -> keras.Model:
    """Build W1's multilayer perceptron: two hidden layers of 512 ReLUs with dropout; 669,706 parameters."""
    return mlp((512, 512), dropout=0.2)


@CLASSIFIERS.register("cnn")
def lenet_cnn() -> keras.Model:
    """Build W3's convolutional network in LeNet's order, twice convolution and pooling; 366,034 parameters."""
    return cnn((200, 128), pool_after_first=True, conv_dropout=0)


def augmentation(shift: float, rotation: float) -> keras.Sequential:
    """Build a model that shifts and rotates images (n, 28, 28) at random, each by its own draw, in training only.

    They move by up to ``shift`` pixels in both directions and turn by up to ``rotation`` degrees either way, uniformly
    distributed. Beyond the border the nearest pixel is repeated. Call the model with ``training=True`` to see some.
    """
    from keras import Input, Sequential, layers

    fraction = shift / INPUT_SHAPE[0]
    stack = [
        Input(INPUT_SHAPE),
        layers.Reshape((*INPUT_SHAPE, 1)),
        layers.RandomTranslation(fraction, fraction, fill_mode="nearest"),
        layers.RandomRotation(rotation / 360, fill_mode="nearest"),
        layers.Reshape(INPUT_SHAPE),
    ]
    return Sequential(stack, name="augmentation")


def leaky_relu_cnn(augmentation: keras.Model) -> keras.Model:
    """Build W4's convolutional network with softmax output: images (n, 28, 28) to class probabilities (n, 10).

    ``augmentation`` comes first, then 3×3 convolutions of 32, 64 and 128 filters with leaky ReLUs (negative slope 0.1),
    2×2 max pooling and dropout 0.2 (the last before its pooling), then a dense layer of 256; 619,786 parameters.
    """
    from keras import Input, Sequential, layers

    model = Sequential([Input(INPUT_SHAPE), augmentation, layers.Reshape((*INPUT_SHAPE, 1))], name="leaky_relu_cnn")
    for filters, pool_at in ((32, 2), (64, 2), (128, 3)):
        block = [layers.Conv2D(filters, 3, padding="same"), layers.LeakyReLU(0.1), layers.Dropout(0.2)]
        block.insert(pool_at, layers.MaxPooling2D(2, padding="same"))
        for layer in block:
            model.add(layer)
    model.add(layers.Flatten())
    model.add(layers.Dense(256))
    model.add(layers.LeakyReLU(0.1))
    model.add(layers.Dense(NUM_CLASSES, activation="softmax", dtype=OUTPUT_DTYPE))
    return model


@AUTOENCODERS.register("dense")
def dense_autoencoder(hidden_units: int = 128, latent_dim: int = 96) -> keras.Model:
    """Build W3's dense autoencoder: images (n, 28, 28) to images of the same shape with pixels from 0 to 1.

    784 → ``hidden_units`` → ``latent_dim`` → ``hidden_units`` → 784 units, ReLU except for the sigmoid at the end;
    226,416 parameters.
    """
    from keras import Input, Sequential, layers

    stack = [
        Input(INPUT_SHAPE),
        layers.Flatten(),
        layers.Dense(hidden_units, activation="relu"),
        layers.Dense(latent_dim, activation="relu", name="bottleneck"),
        layers.Dense(hidden_units, activation="relu"),
        layers.Dense(INPUT_SHAPE[0] * INPUT_SHAPE[1], activation="sigmoid", dtype=OUTPUT_DTYPE),
        layers.Reshape(INPUT_SHAPE, dtype=OUTPUT_DTYPE),
    ]
    return Sequential(stack, name="dense_autoencoder")


@AUTOENCODERS.register("convolutional")
def convolutional_autoencoder() -> keras.Model:
    """Build a convolutional autoencoder: images (n, 28, 28) to images of the same shape with pixels from 0 to 1.

    Two 3×3 convolutions of 32 filters, each followed by 2×2 max pooling, then two transposed ones of stride 2 and
    a last convolution with a sigmoid; 28,353 parameters. Source: the denoising autoencoder of Keras's examples.
    """
    from keras import Input, Sequential, layers

    stack = [
        Input(INPUT_SHAPE),
        layers.Reshape((*INPUT_SHAPE, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2, name="bottleneck"),
        layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype=OUTPUT_DTYPE),
        layers.Reshape(INPUT_SHAPE, dtype=OUTPUT_DTYPE),
    ]
    return Sequential(stack, name="convolutional_autoencoder")


def get_encoder(model: keras.Model) -> keras.Model:
    """Return the first half of an autoencoder, images to codes. It shares the weights of ``model``."""
    from keras import Model, ops

    return Model(model.inputs[0], ops.cast(model.get_layer("bottleneck").output, OUTPUT_DTYPE))


def get_decoder(model: keras.Model) -> keras.Model:
    """Return the second half of an autoencoder, codes to images. It shares the weights of ``model``."""
    from keras import Input, Sequential

    bottleneck = model.get_layer("bottleneck")
    after = model.layers[model.layers.index(bottleneck) + 1 :]
    return Sequential([Input(bottleneck.output.shape[1:]), *after])
