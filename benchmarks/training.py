"""Time of a training step: plain Keras `fit` at its defaults against `training.fit`, side by side in one process.

Run by ``make bench``. Prints the median milliseconds a step of both and the ratio round by round.
"""

import multiprocessing
import time

import numpy as np

IMAGES, BATCH, EPOCHS, ROUNDS = 6400, 128, 2, 5
STEPS = IMAGES // BATCH * EPOCHS


def measure(name: str) -> None:
    """Print the row of one model."""
    from noisy_digits import models, training

    build, optimizer, learning_rate = {
        "MLP 512-512": (lambda: models.mlp((512, 512), dropout=0.2), "rmsprop", 0.001),
        "MLP 500-300": (lambda: models.mlp((500, 300), l2=1e-4), "sgd", 0.1),
        "CNN of W2": (models.cnn, "adadelta", 0.001),
        "CNN of W3": (lambda: models.cnn((200, 128), pool_between=True, feature_dropout=0), "sgd", 0.1),
    }[name]
    rng = training.seeded(0)
    x, y = rng.random((IMAGES, 28, 28), dtype=np.float32), rng.integers(0, 10, IMAGES)
    plain, ours = build(), build()
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "batch_size": BATCH}
    plain.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    plain.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    training.fit(ours, x, y, validation=(x[:BATCH], y[:BATCH]), epochs=1, **settings)
    seconds = {"plain": [], "ours": []}
    for _ in range(ROUNDS):
        for way, model in (("plain", plain), ("ours", ours)):
            began = time.perf_counter()
            model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
            seconds[way].append(time.perf_counter() - began)
    ratios = np.divide(seconds["plain"], seconds["ours"])
    plain_ms, ours_ms = (1000 * np.median(values) / STEPS for values in seconds.values())
    print(
        f"{name:12}  {plain_ms:8.2f}  {ours_ms:8.2f}  {ratios.min():.2f} – {np.median(ratios):.2f} – {ratios.max():.2f}"
    )


def main() -> None:
    """Print one row a model."""
    print("model         plain ms   ours ms  plain / ours: min – median – max")
    context = multiprocessing.get_context("spawn")
    for name in ("MLP 512-512", "MLP 500-300", "CNN of W2", "CNN of W3"):
        process = context.Process(target=measure, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
