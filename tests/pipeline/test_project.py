import pytest

from noisy_digits.errors import UserError
from noisy_digits.pipeline.datasets import Datasets, load_datasets
from noisy_digits.project import Project, find_project_root, read_project

from ..conftest import REPOSITORY


def test_find_project_root_from_a_folder_inside(toy):
    assert find_project_root(toy / "notebooks" / "toy") == toy


def test_find_project_root_refuses_a_folder_outside(tmp_path):
    with pytest.raises(UserError, match="not inside a project"):
        find_project_root(tmp_path)


def test_read_project_without_a_file_is_named_after_its_folder(toy):
    (toy / "project.yml").unlink()
    assert read_project(toy) == Project(title="toy project")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("titel: x", r'project\.yml: unknown key "titel"; did you mean title\?'),
        ("title: 3", r"project\.yml: title: 3: must be text"),
        ("", r"project\.yml: must hold keys and values"),
    ],
)
def test_read_project_names_file_and_key(toy, content, message):
    (toy / "project.yml").write_text(content)
    with pytest.raises(UserError, match=message):
        read_project(toy)


def test_this_project_names_its_datasets():
    project = read_project(REPOSITORY)
    datasets = load_datasets(project)
    assert project.reference_collection in datasets.DATASET_NAMES
    assert datasets.dataset_notice(project.reference_collection) is None
    assert datasets.dataset_title("mnist") == "MNIST"


def test_load_datasets_without_a_module_knows_only_auto():
    datasets = load_datasets(Project())
    assert datasets == Datasets()
    assert datasets.DATASET_NAMES == ()
    assert datasets.resolve_dataset("auto") is None
    assert [datasets.dataset_sha256(None), datasets.dataset_title(None), datasets.dataset_notice(None)] == [
        None,
        "",
        None,
    ]
    with pytest.raises(UserError, match=r'unknown dataset "mnist": project\.yml names no `datasets`'):
        datasets.resolve_dataset("mnist")


@pytest.mark.parametrize(
    ("module", "message"),
    [("no.such.module", "cannot be imported: ModuleNotFoundError: No module"), ("json", "json has no DATASET_NAMES")],
)
def test_load_datasets_refuses_what_provides_none(module, message):
    with pytest.raises(UserError, match=rf"project\.yml: datasets: .*{message}"):
        load_datasets(Project(datasets=module))
