"""Short trainings on scikit-learn's digits."""

from noisy_digits import data, training

training.configure()

DIGITS = data.load("digits")


def fit(model, *, optimizer="rmsprop", learning_rate=0.001, epochs=2, batch_size=128, **settings):
    """Compile a classifier and train it on all digits; return its history."""
    loss = "sparse_categorical_crossentropy"
    training.compile(model, optimizer=optimizer, learning_rate=learning_rate, loss=loss)
    settings |= {"validation_data": (DIGITS.x_test, DIGITS.y_test), "epochs": epochs, "batch_size": batch_size}
    return training.fit(model, DIGITS.x_train, DIGITS.y_train, **settings)
