import numpy as np

from noisy_digits import models, profiling


def test_layer_summary_has_the_layers_of_the_write_up():
    table = profiling.layer_summary(models.cnn())
    assert list(table["layer"]) == [
        *("Reshape", "Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense", "Dropout", "Dense"),
    ]
    assert table["output shape"].iloc[2] == "24 × 24 × 64"
    assert table["parameters"].iloc[6] == "1,179,776"


def test_count_macs_uses_each_weight_of_a_dense_layer_once():
    table = profiling.count_macs(models.mlp((64, 64)))
    assert list(table.columns) == ["layer", "output shape", "parameters", "multiply-accumulates", "fully connected"]
    assert list(table["multiply-accumulates"]) == [784 * 64, 64 * 64, 64 * 10]
    assert list(table["fully connected"]) == list(table["multiply-accumulates"])
    assert list(table["parameters"]) == [784 * 64 + 64, 64 * 64 + 64, 64 * 10 + 10]


def test_count_macs_uses_each_weight_of_a_convolution_once_per_place_of_its_output():
    table = profiling.count_macs(models.cnn((200, 128), pool_after_first=True, conv_dropout=0))
    assert list(table["multiply-accumulates"])[:2] == [26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64]
    dense = [28 * 28 * 26 * 26 * 32, 13 * 13 * 32 * 11 * 11 * 64, 5 * 5 * 64 * 200]
    assert list(table["fully connected"])[:3] == dense


def test_count_macs_uses_each_weight_of_a_transposed_convolution_once_per_place_of_its_input():
    table = profiling.count_macs(models.convolutional_autoencoder())
    assert list(table["multiply-accumulates"])[2:4] == [7 * 7 * 9 * 32 * 32, 14 * 14 * 9 * 32 * 32]


def test_time_train_step_trains_on_as_many_images_as_its_steps_need():
    model = models.mlp((4,))
    x, y = np.zeros((3, 28, 28), dtype=np.float32), np.array([0, 1, 2])
    milliseconds = profiling.time_train_step(model, x, y, batch_size=2, n_steps=5, n_rounds=2)
    assert milliseconds > 0
    assert model.optimizer.iterations.numpy() == 5 * (1 + 2)
