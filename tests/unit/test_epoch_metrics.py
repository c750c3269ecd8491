import numpy as np
import pytest

from noisy_digits import epoch_metrics, models, training

from .small_training import DIGITS, fit


def train_with_epoch_metrics(n_hidden_layers, epochs=3):
    """Train W4's network briefly with all its epoch metrics; return the model and its history."""
    training.set_random_seed(0)
    model = models.mlp((30,) * n_hidden_layers, activation="sigmoid")
    x, y = DIGITS.x_train, DIGITS.y_train
    measured = [
        epoch_metrics.error_rate(x, y, "train_error"),
        epoch_metrics.error_rate(DIGITS.x_test, DIGITS.y_test, "test_error"),
        epoch_metrics.bias_gradient_norms(x, y),
        epoch_metrics.relative_weight_change(model, model.count_params()),
    ]
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": epochs, "batch_size": 10}
    return model, fit(model, epoch_metrics=measured, **settings)


def test_error_rate_and_accuracy_add_to_one_after_every_epoch():
    model, history = train_with_epoch_metrics(2)
    both = np.add(history.curves["test_error"], history.curves["val_accuracy"])
    assert both == pytest.approx([1, 1, 1], abs=1e-6)
    train_accuracy = training.evaluate(model, DIGITS.x_train, DIGITS.y_train)["accuracy"]
    assert history.final_metrics()["train_error"] + train_accuracy == pytest.approx(1, abs=1e-6)


def loss_in_double_precision(weights, x, y):
    """Compute the mean cross-entropy of a network of sigmoid layers and a softmax, with NumPy."""
    activity = x.reshape(len(x), -1).astype(np.float64)
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        activity = 1 / (1 + np.exp(-(activity @ kernel + bias)))
    z = activity @ weights[-2] + weights[-1]
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])


def test_bias_gradient_norms_are_those_of_finite_differences_layer_by_layer():
    model, history = train_with_epoch_metrics(3, epochs=2)
    norms = history.curves["bias_gradient_norm"]
    assert [len(epoch) for epoch in norms] == [3, 3]
    weights = [weight.astype(np.float64) for weight in model.get_weights()]
    step = 1e-5
    for layer in range(3):
        bias = weights[2 * layer + 1]
        slopes = np.empty_like(bias)
        for unit in range(len(bias)):
            sides = []
            for change in (step, -step):
                bias[unit] += change
                sides.append(loss_in_double_precision(weights, DIGITS.x_train, DIGITS.y_train))
                bias[unit] -= change
            slopes[unit] = (sides[0] - sides[1]) / (2 * step)
        assert norms[-1][layer] == pytest.approx(np.linalg.norm(slopes), rel=1e-3)


def test_final_metrics_leave_out_epoch_metrics_that_are_lists():
    _, history = train_with_epoch_metrics(1, epochs=1)
    assert "bias_gradient_norm" not in history.final_metrics()
    assert {"train_error", "test_error", "relative_weight_change"} <= history.final_metrics().keys()


def test_relative_weight_change_is_the_write_ups():
    training.set_random_seed(0)
    model = models.mlp((3,), activation="sigmoid")
    measure = epoch_metrics.relative_weight_change(model, 10)
    before = model.get_weights()
    model.set_weights([2 * weight for weight in before])
    nonzero = sum(np.count_nonzero(weight) for weight in before)
    assert measure(model)["relative_weight_change"] == pytest.approx(nonzero * 0.5 / 10)
    assert measure(model)["relative_weight_change"] == 0


def test_l2_gradient_ratio_is_the_ratio_of_two_norms():
    training.set_random_seed(0)
    model = models.mlp((30, 30), activation="sigmoid", l2=0.5)
    kernels = [layer.kernel for layer in training.get_hidden_layers(model)]
    of_data = training.compute_gradients(model, DIGITS.x_train, DIGITS.y_train, kernels)
    data, penalty = (sum(np.sum(each**2) for each in group) for group in (of_data, [k.numpy() for k in kernels]))
    expected = np.sqrt(penalty / data)
    assert epoch_metrics.l2_gradient_ratio(model, DIGITS.x_train, DIGITS.y_train) == pytest.approx(expected, rel=1e-5)


def test_l2_gradient_ratio_is_zero_without_a_penalty():
    model = models.mlp((30,), activation="sigmoid")
    assert epoch_metrics.l2_gradient_ratio(model, DIGITS.x_train, DIGITS.y_train) == 0
