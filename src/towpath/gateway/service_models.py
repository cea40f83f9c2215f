"""The service models of botocore and our own, loaded when first needed."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

#: Our own models, laid out as botocore does it: <service>/<version>/service-2.json.
OURS = Path(__file__).with_name("models")


class ServiceModels:
    """Service models by name. Loading the largest, that of sagemaker, takes about 0.3 s with the import of botocore."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders or (OURS,)
        self._lock = threading.Lock()
        self._models: dict[str, ServiceModel] = {}

    def service(self, name: str) -> "ServiceModel":
        """Return the model of a service."""
        model = self._models.get(name)
        if model is None:
            with self._lock:
                model = self._models.get(name)
                if model is None:
                    model = self._models[name] = self._load(name)
        return model

    def operation(self, service: str, name: str) -> "OperationModel | None":
        """Return the model of an operation, None when the service has none of that name."""
        model = self.service(service)
        return model.operation_model(name) if name in model.operation_names else None

    def preload(self, *names: str) -> None:
        """Load models now, so that no caller has to wait for them."""
        for name in names:
            self.service(name)

    def _load(self, name: str) -> "ServiceModel":
        from botocore.loaders import Loader
        from botocore.model import ServiceModel

        # Without the default search paths: models that a user keeps in ~/.aws are meant for clients.
        places = [str(folder) for folder in self._folders] + [Loader.BUILTIN_DATA_PATH]
        loader = Loader(extra_search_paths=places, include_default_search_paths=False)
        return ServiceModel(_without_documentation(loader.load_service_model(name, "service-2")), name)


def _without_documentation(value: Any) -> Any:
    """Return a model without its texts, which are half of it and which nothing here reads."""
    if isinstance(value, dict):
        return {
            name: _without_documentation(inner)
            for name, inner in value.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    if isinstance(value, list):
        return [_without_documentation(item) for item in value]
    return value
