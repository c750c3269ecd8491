"""Compare the numbers of this edition with those of the first, whose names it maps to today's.

python -m tests.renaming                      build before and after the renaming (quick, digits), compare every number
python -m tests.renaming OLD.csv NEW.csv      compare two results.csv: of the first edition, and of this one
python -m tests.renaming OLD.csv --to NEW.csv write the first edition's results.csv in today's names
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

REPOSITORY = Path(__file__).parents[1]
FIRST_EDITION = "1feef43"
"""The last revision with the old names."""
RENAMED = "8c71560"
"""The last revision that differs from it in names and layers only; later ones compute with oneDNN."""

NOTEBOOKS = {
    "mlp_noise/2_training": "mlp_noise/2_train",
    "cnn_noise/2_training": "cnn_noise/2_train",
    "denoising/2d_weight_decay": "denoising/2d_l2_train",
    "denoising/2d_summary": "denoising/2d_l2_compare",
    "denoising/3b_layer_types": "denoising/3b_dense_vs_conv",
    "denoising/4c_denoisers": "denoising/4c_evaluate_denoiser",
    "denoising/4c_summary": "denoising/4c_compare_denoisers",
    "depth/2_training": "depth/2_train",
    "beyond/1_transfer": "beyond/1_noise_transfer",
    "beyond/2_transfer_summary": "beyond/2_transfer_compare",
    "beyond/3_fresh_noise": "beyond/3_noise_resampling",
    "beyond/4_fresh_summary": "beyond/4_resampling_compare",
}
COLUMNS = {
    "architecture": "autoencoder",
    "hidden_layers": "n_hidden_layers",
    "penalised": "use_l2",
    "network": "model",
    "trained_on": "train_noise",
    "drawn": "noise_sampling",
}
SAMPLING = {"once": "fixed", "every_epoch": "per_epoch"}
METRICS = {
    "gap": "generalization_gap",
    "majority_rate": "majority_baseline",
    "mean_of_training_pixels": "train_pixel_mean",
    "deviation_of_training_pixels": "train_pixel_std",
    "penalty": "l2_penalty",
    "best_mean": "best_val_accuracy",
    "best_factor": "best_l2",
    "friedman_p": "friedman_pvalue",
    "loss_of_mean_image": "mean_image_loss",
    "loss_of_perfect_copy": "perfect_copy_loss",
    "relative_change": "relative_weight_change",
    "penalty_pull": "l2_gradient_ratio",
    "classes": "n_classes",
    "images": "n_images",
    "l2": "l2_factor",
    "gradient_difference": "max_gradient_difference",
    "weight_difference": "max_weight_difference",
    "largest_training_loss": "max_train_loss",
    "largest_validation_loss": "max_val_loss",
    "epochs": "n_epochs",
    "kept_accuracy": "train_accuracy_same_noise",
    "new_accuracy": "train_accuracy_new_noise",
    "share_sure": "confident_fraction",
    "deviation": "noise_std",
    "correlation_of_neighbours": "neighbor_correlation",
    "correlation_of_draws": "draw_correlation",
    "correlation_with_image": "image_correlation",
    "learning_speed": "bias_gradient_norm",
    "mean_learning_speed": "mean_bias_gradient_norm",
    "log_speed": "log_gradient_norm_ratio",
    "macs": "macs",
    "parameters": "n_parameters",
    "crossing": "crossover_level",
    "largest_up_to": "max_val_accuracy_so_far",
    "level_of_accuracy": "level_at_accuracy",
    "level_of": "level_at_accuracy",
}
MODELS = {"64": "mlp_64_64", "500": "mlp_500_300", "convolutional": "cnn"}
CODES = {"real": "real", "matched": "copula", "naive": "uniform"}
NUMBER = r"[\d.]+(?:e-\d+)?"
COORDINATES = (  # a pattern of the old metric, the coordinates that its groups are, and what their values are called
    (rf"(?P<metric>.+_change)_at_(?P<scale>{NUMBER})", {}),
    (rf"(?P<metric>deviation|correlation_\w+)_at_(?P<scale>{NUMBER})", {}),
    (rf"(?P<metric>accuracy|ssim|psnr)_at_(?P<noise_level>{NUMBER})", {}),
    (rf"(?P<metric>level_of_accuracy)_(?P<target_accuracy>{NUMBER})", {}),
    (rf"(?P<metric>level_of)_(?P<target_accuracy>{NUMBER})_(?P<train_noise>.+)", {}),
    (r"(?P<metric>accuracy)_on_(?P<test_noise>.+)", {}),
    (rf"(?P<metric>largest_up_to)_(?P<l2>{NUMBER})", {}),
    (r"(?P<metric>macs|parameters)_(?P<model>64|500|convolutional)", MODELS),
    (r"(?P<metric>crossing)_(?P<denoiser>.+)", {}),
    (r"(?P<metric>mean_confidence|share_sure|classes)_(?P<code_sampling>real|matched|naive)", CODES),
    (r"(?P<metric>(?:mean_)?learning_speed)_(?P<layer>\d)", {}),
    (r"(?P<metric>log_speed)_(?P<layer>\d)_over_\d", {}),
    (r"(?P<metric>mean_accuracy)_(?P<model>mlp|cnn)_(?P<train_noise>.+)", {}),
)
COUNTS = ("macs", "n_parameters", "n_images", "n_classes", "n_epochs")
"""Metrics that are whole numbers, and are written as such today."""
NEW_COORDINATES = ("noise_level", "target_accuracy", "code_sampling", "layer", "test_noise")


def rename_metric(metric: str) -> tuple[str, dict[str, str]]:
    """Return today's name of a metric of the first edition, and the coordinates that were part of it."""
    coordinates = {}
    for pattern, values in COORDINATES:
        if found := re.fullmatch(pattern, metric):
            coordinates = {key: values.get(value, value) for key, value in found.groupdict().items()}
            metric = coordinates.pop("metric")
            break
    change = metric.endswith("_change") and metric != "relative_change"
    name = metric.removesuffix("_change") if change else metric
    name = METRICS.get(name, re.sub("^validation_", "val_", re.sub("^training_", "train_", name)))
    return name + "_change" * change, coordinates


def rename_results(old: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first edition's results.csv, read as text, under today's names."""
    rows = []
    for row in old.to_dict("records"):
        name = f"{row.pop('assignment')}/{row.pop('notebook')}"
        assignment, notebook = NOTEBOOKS.get(name, name).split("/")
        grid = {COLUMNS.get(key, key): value for key, value in row.items() if key not in ("seed", "metric", "value")}
        grid["noise_sampling"] = SAMPLING.get(grid["noise_sampling"], grid["noise_sampling"])
        grid["n_hidden_layers"] = grid["n_hidden_layers"].removesuffix(".0")
        metric, coordinates = rename_metric(row["metric"])
        value = row["value"].removesuffix(".0") if metric in COUNTS else row["value"]
        grid |= dict.fromkeys(NEW_COORDINATES, "") | coordinates
        rows.append(
            {"assignment": assignment, "notebook": notebook}
            | grid
            | {"seed": row["seed"], "metric": metric, "value": value}
        )
    return pd.DataFrame(rows)


def read_results(path: Path) -> pd.DataFrame:
    """Read a results.csv as text, an empty field as an empty text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def list_differences(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Return a line per number that is missing, added or different in ``new``; both in today's names, as text."""
    values = []
    for table in (old, new):
        keys = [column for column in table.columns if column != "value"]
        values.append(
            {
                tuple(sorted((key, _plain(row[key])) for key in keys if row[key] != "")): float(row["value"])
                for row in table.to_dict("records")
            }
        )
        assert len(values[-1]) == len(table), "two rows of results.csv have the same names"
    before, after = values
    return [
        f"{' '.join(f'{key}={value}' for key, value in key)}: {before.get(key, 'not there')} -> "
        f"{after.get(key, 'not there')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _plain(text: str) -> str:
    """Return a number without its spelling: 1.0 and 1, 1e-06 and 0.000001 are the same grid value."""
    try:
        return repr(float(text))
    except ValueError:
        return text


def build_quick(revision: str) -> pd.DataFrame:
    """Build a revision's quick collection of scikit-learn's digits in a worktree; return its results.csv."""
    environment = {key: value for key, value in os.environ.items() if key != "NOISY_DIGITS_DATA"}
    with tempfile.TemporaryDirectory(prefix="noisy-digits-") as folder:
        root = Path(folder, revision)
        worktree = ["git", "worktree", "add", "--quiet", "--detach", str(root), revision]
        subprocess.run(worktree, cwd=REPOSITORY, check=True)
        try:
            command = [sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick"]
            subprocess.run(command, cwd=root, env=environment | {"PYTHONPATH": str(root / "src")}, check=True)
            return read_results(root / "results/digits-quick/results.csv")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(root)], cwd=REPOSITORY, check=True)


def main() -> None:
    """Compare as the module's text says; exit with status 1 if a number differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", type=Path)
    parser.add_argument("new", nargs="?", type=Path)
    parser.add_argument("--to", type=Path)
    arguments = parser.parse_args()
    if arguments.to:
        rename_results(read_results(arguments.old)).to_csv(arguments.to, index=False)
        return
    if arguments.old:
        tables = [read_results(path) for path in (arguments.old, arguments.new)]
    else:
        tables = [build_quick(revision) for revision in (FIRST_EDITION, RENAMED)]
    differences = list_differences(rename_results(tables[0]), tables[1])
    print("\n".join([*differences, f"{len(tables[1])} numbers compared, {len(differences)} differ"]))
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
