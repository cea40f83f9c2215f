"""The step that has a model answer the records of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, as_text
from towpath.sdk.steps.sources import Source, source_uri
from towpath.sdk.steps.step import Step

_SPLITS = ("Line", "None")
_STRATEGIES = ("SingleRecord", "MultiRecord")


@dataclass(eq=False)
class Transform(Step):
    """Has a model answer the records of files; the answers to `a.csv` become `a.csv.out`.

    Example:
        create = CreateModel("CreateModel", model=train.model)
        score = Transform("Score", model=create.model_name, data=dataset("reviews"), content_type="text/csv")
    """

    _: KW_ONLY
    model: str | Expression  #: name of the model, mostly `create.model_name`
    data: Source
    content_type: str | Expression = "application/json"  #: of the records
    accept: str | Expression | None = None  #: of the answers; where none is given, the model's own
    split: str = "Line"  #: each line is a record, or "None": each file is one
    strategy: str = "SingleRecord"  #: the model is asked for each, or "MultiRecord": for as many as fit, on lines
    compression: str | None = None  #: "Gzip"
    input_filter: str | None = None  #: JSONPath of what the model gets of a record
    join: bool = False  #: keep the record with its answer
    output_filter: str | None = None  #: JSONPath of what is kept of both
    max_payload_mb: int | Expression | None = None
    max_concurrent: int | Expression | None = None
    answer_timeout_s: int | Expression | None = None
    retries: int | Expression | None = None  #: of a payload that the model failed over
    environment: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str | Expression | None = None
    instance_count: int | Expression = 1

    type: ClassVar[str] = "Transform"

    def __post_init__(self) -> None:
        super().__post_init__()
        for member, value, known in (("split", self.split, _SPLITS), ("strategy", self.strategy, _STRATEGIES)):
            if value not in known:
                raise DefinitionError(f"step {self.name}: {member} {value!r} is not one of {', '.join(known)}")

    @property
    def output(self) -> Get:
        """The S3 URI of the folder with the answers."""
        return self.property("TransformOutput.S3OutputPath")

    def request(self, build: Build) -> Document:
        uri = source_uri(self.data, reader=f"step {self.name}")
        client = _given(InvocationsTimeoutInSeconds=self.answer_timeout_s, InvocationsMaxRetries=self.retries)
        processing = _given(
            InputFilter=self.input_filter,
            JoinSource="Input" if self.join else None,
            OutputFilter=self.output_filter,
        )
        return {
            "ModelName": self.model,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                "ContentType": self.content_type,
                "SplitType": self.split,
                **_given(CompressionType=self.compression),
            },
            "TransformOutput": {
                "S3OutputPath": build.location(self.name, "output"),
                "AssembleWith": self.split,
                **_given(Accept=self.accept),
            },
            "TransformResources": {
                "InstanceType": build.defaults.instance_type if self.instance_type is None else self.instance_type,
                "InstanceCount": self.instance_count,
            },
            **({} if self.split == "None" else {"BatchStrategy": self.strategy}),
            **_given(MaxPayloadInMB=self.max_payload_mb, MaxConcurrentTransforms=self.max_concurrent),
            **({"ModelClientConfig": client} if client else {}),
            **({"DataProcessing": processing} if processing else {}),
            **({"Environment": {k: as_text(v) for k, v in self.environment.items()}} if self.environment else {}),
        }


def _given(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value is not None}
