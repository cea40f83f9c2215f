"""Which local Python environment runs a job that names a container image."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

import msgspec

from towpath.kernel.errors import Invalid

Toolkit = Literal["training", "processing", "serving", "plain"]


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python on this host, as the composition root found it."""

    python: str  #: absolute path of the interpreter
    version: str  #: "3.11.7"
    packages: dict[str, str] = msgspec.field(default_factory=dict)  #: distribution name, in lower case -> version
    commands: tuple[str, ...] = ()  #: of "train" and "serve", those that lie beside the interpreter


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What an image name stands for on this host."""

    image: str  #: as it was asked for
    python: str
    python_version: str
    packages: dict[str, str]
    commands: tuple[str, ...]
    toolkit: Toolkit
    description: str
    fingerprint: str  #: SHA-256 over the Python version and every package with its version


def fingerprint(interpreter: Interpreter) -> str:
    """Return the digest that two environments share when they hold the same Python and packages."""
    lines = [f"python=={interpreter.version}"]
    lines += [f"{name}=={version}" for name, version in sorted(interpreter.packages.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Known:
    """A family of images that the platform's own environment stands in for."""

    pattern: str
    toolkit: Toolkit
    description: str
    needs: str | None = None  #: a distribution without which standing in would only fail later


_ECR = "*.dkr.ecr.*.amazonaws.com/"

#: Image names without a tag; the tag is whatever follows, since versions of AWS images cannot be had here anyway.
KNOWN_IMAGES: tuple[_Known, ...] = (
    _Known("towpath", "training", "the platform's own environment"),
    _Known("towpath/*", "training", "the platform's own environment"),
    _Known("python", "processing", "plain Python"),
    _Known("python3.*", "plain", "in place of AWS Lambda's runtime"),
    _Known("library/python", "processing", "plain Python"),
    _Known(f"{_ECR}sagemaker-scikit-learn", "training", "in place of AWS's scikit-learn image"),
    _Known(f"{_ECR}sagemaker-base-python*", "training", "in place of AWS's base Python image"),
    _Known(f"{_ECR}pytorch-training", "training", "in place of AWS's PyTorch training image"),
    _Known(f"{_ECR}pytorch-inference", "serving", "in place of AWS's PyTorch inference image"),
    _Known(f"{_ECR}huggingface-pytorch-training", "training", "in place of AWS's Hugging Face training image"),
    _Known(f"{_ECR}huggingface-pytorch-inference", "serving", "in place of AWS's Hugging Face inference image"),
    _Known(f"{_ECR}sagemaker-distribution-prod", "training", "in place of SageMaker Distribution", needs="papermill"),
    _Known(f"{_ECR}sagemaker-xgboost", "training", "in place of AWS's XGBoost image", needs="xgboost"),
    _Known(f"{_ECR}tensorflow-training", "training", "in place of AWS's TensorFlow image", needs="tensorflow"),
    _Known(f"{_ECR}tensorflow-inference", "serving", "in place of AWS's TensorFlow image", needs="tensorflow"),
)


def repository(image: str) -> str:
    """Return an image name without tag and digest; a colon before the last slash is a registry's port."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


class Images(Protocol):
    """What stands for image names on this host."""

    def resolve(self, image: str) -> Environment:
        """Return the environment that runs `image`, as it is now.

        Raises:
            Invalid: nothing maps it; the message says how to.
        """


@dataclass(frozen=True, slots=True)
class ImageMap:
    """Turns image names into environments: the user's own entries first, in their order, then the known families."""

    platform: Interpreter
    mapped: Mapping[str, Interpreter]  #: setting `images`: pattern, with * and ?, of the whole name -> interpreter

    def resolve(self, image: str) -> Environment:
        """Return the environment that runs `image`.

        Raises:
            Invalid: nothing maps it; the message says how to.
        """
        for pattern, interpreter in self.mapped.items():
            if fnmatchcase(image, pattern) or fnmatchcase(repository(image), pattern):
                return _environment(image, interpreter, self._toolkit(image), f"mapped by {pattern!r} in the settings")
        for known in KNOWN_IMAGES:
            if fnmatchcase(repository(image), known.pattern):
                if known.needs is not None and known.needs not in self.platform.packages:
                    raise Invalid(
                        f"Image {image!r} needs the package {known.needs!r}, which the platform's own environment "
                        f"({self.platform.python}) does not hold. Install it there, or {_how_to_map(image)}"
                    )
                return _environment(image, self.platform, known.toolkit, known.description)
        raise Invalid(
            f"Image {image!r} is not mapped to a Python environment. To map it, {_how_to_map(image)}; or name the "
            "image 'towpath', which is the platform's own environment."
        )

    @staticmethod
    def _toolkit(image: str) -> Toolkit:
        for known in KNOWN_IMAGES:
            if fnmatchcase(repository(image), known.pattern):
                return known.toolkit
        return "plain"


def _how_to_map(image: str) -> str:
    return (
        f'write "{image}" = "/path/to/environment/bin/python" under [images] in towpath.toml '
        "(* stands for any characters) and start the server again"
    )


def _environment(image: str, interpreter: Interpreter, toolkit: Toolkit, description: str) -> Environment:
    return Environment(
        image=image,
        python=interpreter.python,
        python_version=interpreter.version,
        packages=interpreter.packages,
        commands=interpreter.commands,
        toolkit=toolkit,
        description=description,
        fingerprint=fingerprint(interpreter),
    )
