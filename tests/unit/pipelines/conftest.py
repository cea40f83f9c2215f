"""What the tests of pipelines share: real documents and the shapes of the real API."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

GOLDEN = Path(__file__).parents[2] / "golden" / "definitions"


@pytest.fixture
def golden() -> Callable[[str], Any]:
    """Return a function that reads a real document, fresh for each caller to mutate."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text())


class RealShapes:
    """The shapes of the SageMaker API."""

    def __init__(self) -> None:
        self.model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))

    def input(self, operation: str) -> Shape | None:
        return self._shape(operation, lambda model: model.input_shape)

    def output(self, operation: str) -> Shape | None:
        return self._shape(operation, lambda model: model.output_shape)

    def _shape(self, operation: str, pick: Callable[[Any], Any]) -> Shape | None:
        return pick(self.model.operation_model(operation)) if operation in self.model.operation_names else None


@pytest.fixture(scope="session")
def shapes() -> RealShapes:
    """Return the shapes of the real API."""
    return RealShapes()
