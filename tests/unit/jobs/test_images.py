"""An image name stands for a Python environment, or is refused with a way out."""

import pytest

from towpath.jobs import ImageMap, Interpreter
from towpath.kernel.errors import Invalid

PLATFORM = Interpreter(python="/platform/python", version="3.12.1", packages={"numpy": "2.0"})
OTHER = Interpreter(python="/other/python", version="3.11.0", packages={"torch": "2.5"}, commands=("train",))
ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("image", "toolkit"),
    [
        ("towpath", "training"),
        ("towpath/default", "training"),
        ("python", "processing"),
        ("python:3.12", "processing"),
        (f"{ECR}/pytorch-training:1.10.0-cpu-py38", "training"),
        (f"{ECR}/pytorch-inference:2.3-cpu-py311", "serving"),
        (f"{ECR}/huggingface-pytorch-training:2.1.0-transformers4.36.0-gpu-py310", "training"),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3", "training"),
        ("236514542706.dkr.ecr.us-east-1.amazonaws.com/sagemaker-base-python-310:1.0", "training"),
    ],
)
def test_names_that_everybody_uses_run_in_the_platforms_environment(image: str, toolkit: str) -> None:
    environment = ImageMap(PLATFORM, {}).resolve(image)
    assert (environment.python, environment.toolkit, environment.image) == ("/platform/python", toolkit, image)


def test_the_users_own_entry_wins_over_the_known_families() -> None:
    images = ImageMap(PLATFORM, {"*/pytorch-training": OTHER})
    assert images.resolve(f"{ECR}/pytorch-training:1.10.0-cpu-py38").python == "/other/python"
    assert images.resolve(f"{ECR}/pytorch-inference:1.10.0-cpu-py38").python == "/platform/python"


def test_an_entry_may_name_one_tag_only() -> None:
    images = ImageMap(PLATFORM, {"localhost:5000/team/model:7": OTHER})
    assert images.resolve("localhost:5000/team/model:7").commands == ("train",)
    with pytest.raises(Invalid):
        images.resolve("localhost:5000/team/model:8")


def test_an_unknown_image_is_refused_with_the_line_that_would_map_it() -> None:
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"
    with pytest.raises(Invalid) as refused:
        ImageMap(PLATFORM, {}).resolve(image)
    assert f'"{image}" = "/path/to/environment/bin/python" under [images]' in refused.value.message
    assert "'towpath'" in refused.value.message


def test_a_framework_that_is_not_installed_is_named_at_once() -> None:
    image = f"{ECR}/sagemaker-xgboost:1.7-1"
    with pytest.raises(Invalid, match="needs the package 'xgboost'"):
        ImageMap(PLATFORM, {}).resolve(image)
    richer = Interpreter(python="/p", version="3.12.1", packages={"xgboost": "2.1"})
    assert ImageMap(richer, {}).resolve(image).python == "/p"


def test_the_fingerprint_depends_on_python_and_packages_alone() -> None:
    first = ImageMap(PLATFORM, {}).resolve("python").fingerprint
    assert first == ImageMap(PLATFORM, {}).resolve("towpath").fingerprint
    newer = Interpreter(python="/platform/python", version="3.12.1", packages={"numpy": "2.1"})
    assert first != ImageMap(newer, {}).resolve("python").fingerprint
