"""The step that runs a script on files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build, Code
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, Join, JsonGet, as_text
from towpath.sdk.steps.processing_job import FOLDER, job_input, job_output
from towpath.sdk.steps.sources import Source, source_uri
from towpath.sdk.steps.step import Step

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")


@dataclass(eq=False)
class Processing(Step):
    """Runs a script on files: preparation, evaluation, anything that reads and writes.

    The script finds each input below `/opt/ml/processing/input/<name>/` and writes each output below
    `/opt/ml/processing/output/<name>/`. Its code lies in `/opt/ml/processing/input/code/`.

    Example:
        prepare = Processing("Prepare", script="prepare.py", inputs={"raw": dataset("reviews")},
                             outputs=["train", "validation", "test"], arguments={"rows": 3000})
    """

    _: KW_ONLY
    script: str  #: path from the pipeline's folder, or from `source_dir` where that is given
    source_dir: str | None = None  #: take this whole folder along
    include: Sequence[str] = ()  #: or take only these files and folders along, beside the script
    inputs: Mapping[str, Source] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    arguments: Mapping[str, Any] | Sequence[Any] = ()  #: {"rows": 3000} becomes --rows 3000
    environment: Mapping[str, Any] = field(default_factory=dict)
    image: str | Expression | None = None
    instance_type: str | Expression | None = None
    instance_count: int | Expression = 1
    volume_gb: int | Expression = 30
    timeout_s: int | Expression | None = None

    type: ClassVar[str] = "Processing"

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, names in (("input", list(self.inputs)), ("output", list(self.outputs))):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise DefinitionError(
                        f"step {self.name}: {name!r} is not an {what} name; expected letters and digits"
                    )
                if names.count(name) > 1:
                    raise DefinitionError(f"step {self.name} has two {what}s called {name!r}")
        if "code" in self.inputs:
            raise DefinitionError(f"step {self.name}: an input cannot be called 'code', the script lies there")

    @property
    def code(self) -> Code:
        return Code(script=self.script, source_dir=self.source_dir, include=tuple(self.include))

    def output(self, name: str) -> Get:
        """Return the S3 URI of the folder that the step wrote as output `name`."""
        if name not in self.outputs:
            known = ", ".join(self.outputs) or "none"
            raise DefinitionError(f"step {self.name} has no output {name!r}; its outputs: {known}")
        return self.property(f"ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri")

    def file(self, output: str, name: str | None = None) -> Join:
        """Return the S3 URI of a file in an output; its name is `<output>.json` where none is given."""
        return Join((self.output(output), name or f"{output}.json"), on="/")

    def json(self, output: str, path: str, *, file: str | None = None) -> JsonGet:
        """Return a value of a JSON file that the step wrote, for conditions, messages and arguments.

        Args:
            output: the output that holds the file.
            path: where the value stands, for example "accuracy" or "report.neutral['f1-score']".
            file: path in the output's folder; `<output>.json` where none is given.
        """
        self.output(output)
        return JsonGet(self.name, output, file or f"{output}.json", path)

    def request(self, build: Build) -> Document:
        bundle = build.bundles[self.name]
        alone = len(bundle.files) == 1
        inputs = [
            job_input(name, source_uri(source, reader=f"step {self.name}, input {name!r},"))
            for name, source in self.inputs.items()
        ]
        inputs.append(job_input("code", build.code_uri(self.name, bundle.script if alone else "")))
        request: Document = {
            "ProcessingResources": {
                "ClusterConfig": build.resources(
                    instance_type=self.instance_type, instance_count=self.instance_count, volume_gb=self.volume_gb
                )
            },
            "AppSpecification": {
                "ImageUri": self.image or build.defaults.image,
                "ContainerEntrypoint": ["python3", f"{FOLDER}/input/code/{bundle.script}"],
            },
            "RoleArn": build.defaults.role,
            "ProcessingInputs": inputs,
        }
        arguments = _command_line(self.arguments)
        if arguments:
            request["AppSpecification"]["ContainerArguments"] = arguments
        if self.outputs:
            outputs = [job_output(self.name, name, build) for name in self.outputs]
            request["ProcessingOutputConfig"] = {"Outputs": outputs}
        if self.environment:
            request["Environment"] = {name: as_text(value) for name, value in self.environment.items()}
        if self.timeout_s is not None:
            request["StoppingCondition"] = {"MaxRuntimeInSeconds": self.timeout_s}
        request["Tags"] = build.tags[self.name]
        return request


def _command_line(arguments: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    if isinstance(arguments, str):
        raise DefinitionError(f"arguments must be a mapping or a list, not the text {arguments!r}")
    if not isinstance(arguments, Mapping):
        return [as_text(value) for value in arguments]
    line: list[Any] = []
    for name, value in arguments.items():
        line += [name if name.startswith("-") else f"--{name.replace('_', '-')}", as_text(value)]
    return line
