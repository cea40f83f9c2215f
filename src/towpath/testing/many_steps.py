"""Pipelines of many steps, and a platform in this process that runs them, to see what each step costs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from towpath.app import Platform
from towpath.compute.process import ProcessBackend
from towpath.home import HomeFolder
from towpath.kernel.operations import Request
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document
from towpath.settings import Settings
from towpath.testing.instant import InstantBackend

ROLE = "arn:aws:iam::000000000000:role/anything"


def processing(code: str = "pass", *words: str) -> Document:
    """Return what a processing job is asked for that runs some code and keeps nothing."""
    application: Document = {"ImageUri": "towpath", "ContainerEntrypoint": ["python", "-c", code]}
    return {
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "AppSpecification": {**application, "ContainerArguments": list(words)} if words else application,
    }


def jobs(count: int, arguments: Document | None = None, *, chained: bool = True) -> str:
    """Return the definition of processing steps, one after the other or side by side; None: they do nothing."""
    return _definition(count, "Processing", processing() if arguments is None else arguments, chained=chained)


def conditions(count: int) -> str:
    """Return the definition of a chain of steps that start nothing."""
    holds = {"Type": "Equals", "LeftValue": 1, "RightValue": 1}
    return _definition(count, "Condition", {"Conditions": [holds], "IfSteps": [], "ElseSteps": []}, chained=True)


def _definition(count: int, step_type: str, arguments: Document, *, chained: bool) -> str:
    steps = [
        {
            "Name": f"s{number}",
            "Type": step_type,
            "Arguments": arguments,
            **({"DependsOn": [f"s{number - 1}"]} if number and chained else {}),
        }
        for number in range(count)
    ]
    return json.dumps({"Version": "2020-12-01", "Steps": steps})


@contextmanager
def at_work(folder: Path, backend: Callable[[HomeFolder], ProcessBackend] = InstantBackend) -> Iterator[Platform]:
    """Give a platform at work whose home is new below a folder, and close it afterwards."""
    home = HomeFolder(folder / "home")
    home.path.mkdir()
    platform = Platform.open(home, Settings(), url="http://127.0.0.1:0", backend=backend(home))
    try:
        platform.start()
        yield platform
    finally:
        platform.close()


def ask(platform: Platform, name: str, **members: Any) -> Document:
    """Return what an operation answers, carried out in a transaction of its own."""
    operation = platform.operations[name]
    request = Request(operation=name, input=members, caller=PLATFORM)
    return platform.store.write(lambda transaction: operation.function(transaction, request))
