"""A client of one Towpath server: the API's own operations, and the few things that people do most."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from uuid import uuid4

from towpath.home import Credentials, HomeFolder, Server, find_home
from towpath.sdk.dataset_versions import DatasetVersions
from towpath.sdk.datasets import dataset, datasets_read
from towpath.sdk.errors import Conflict, DataMissing, DefinitionError, Denied, NoServer, NotFound, ServerFault
from towpath.sdk.executions import Execution
from towpath.sdk.expressions import Document
from towpath.sdk.functions import Functions
from towpath.sdk.hosting import Deployment, Prediction, deploy
from towpath.sdk.keys import Keys
from towpath.sdk.lake import Lake
from towpath.sdk.log_sources import log_lines
from towpath.sdk.logs import LogLine
from towpath.sdk.parameters import Parameter
from towpath.sdk.pipeline import Pipeline
from towpath.sdk.registry import ModelVersion, decide, find_version
from towpath.sdk.secrets import Secrets
from towpath.sdk.transport import Answer, Transport
from towpath.sdk.triggers import Triggers

JSON = "application/x-amz-json-1.1"
#: Characters of PipelineDefinition; a longer one is read from S3. Source: SageMaker API Reference, "CreatePipeline".
_LONGEST_DEFINITION = 1 << 20


class Client:
    """Talks to a server. Without arguments, to the one of the project that the working folder is in.

    Args:
        endpoint: address of the server; default: `TOWPATH_ENDPOINT`, else the server of the home. The certificate of
            one with https is checked by the PEM file in `AWS_CA_BUNDLE`, else by what this system trusts.
        token: bearer token; default: `TOWPATH_TOKEN`, else the home's administrator.
        home: the home's folder; default: `TOWPATH_HOME`, the project's `.towpath`, `~/.towpath`.
        timeout_s: longest silence of the server before a request is given up.
    Raises:
        NoServer: no server runs; says how to start one.
        Denied: there are no credentials for it.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        home: str | Path | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        folder = find_home() if home is None else HomeFolder(Path(home).expanduser().absolute())
        named, ca = endpoint or os.environ.get("TOWPATH_ENDPOINT"), os.environ.get("AWS_CA_BUNDLE")
        if not named:
            server = _server(folder)
            named, ca = server.url, server.ca or ca
        self.endpoint = named.rstrip("/")
        token = token or os.environ.get("TOWPATH_TOKEN") or _credentials(folder).token
        advice = partial(folder.where_to_look, self.endpoint)
        self._transport = Transport(self.endpoint, token, ca=ca, timeout_s=timeout_s, advice=advice)
        self.lake = Lake(self._transport)
        self.datasets = DatasetVersions(self)
        self.secrets = Secrets(self)
        self.keys = Keys(self)
        self.triggers = Triggers(self)
        self.functions = Functions(self)

    def __repr__(self) -> str:
        return f"Client({self.endpoint!r})"

    def call(self, operation: str, request: Mapping[str, Any] | None = None) -> Document:
        """Return the answer of an operation of the API.

        Args:
            operation: with its service, for example "SageMaker.CreatePipeline", "Towpath.ListDatasets" or
                "Logs_20140328.GetLogEvents".
            request: its members under the API's names; times as seconds since 1970.
        Raises:
            RequestFailed: the server refused it.
        """
        answer = self._transport.send(
            "POST",
            "/",
            headers={"Content-Type": JSON, "X-Amz-Target": operation},
            body=json.dumps(request or {}).encode(),
        )
        return self._read(answer)

    def get_json(self, path: str) -> Document:
        """Return the answer of an operation of a service whose operations are paths, such as EventBridge Scheduler.

        Args:
            path: with its query, percent-encoded.
        Raises:
            RequestFailed: the server refused it.
        """
        return self._read(self.send("GET", path, None))

    def send_json(self, method: str, path: str, document: Document) -> Document:
        """Return what such an operation answers that takes a document; as `get_json` otherwise."""
        return self._read(self.send(method, path, json.dumps(document).encode()))

    def send(self, method: str, path: str, body: bytes | None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the whole answer of such an operation; `headers` are those of its own."""
        return self._transport.send(
            method,
            path,
            headers={**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})},
            body=body,
        )

    def _read(self, answer: Answer) -> Document:
        try:
            told: Document = json.loads(answer.body) if answer.body.strip() else {}
        except ValueError as fault:
            raise ServerFault(
                "InvalidAnswer",
                f"{self.endpoint} did not answer in JSON; is it a Towpath server?",
                status=answer.status,
            ) from fault
        return told

    def send_form(self, body: bytes) -> bytes:
        """Return the XML that a service of forms (IAM, STS) answers.

        Raises:
            RequestFailed: the server refused it.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._transport.send("POST", "/", headers=headers, body=body).body

    def whole_pages(self, operation: str, request: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """Yield the whole answers of a List operation, page after page."""
        asked = dict(request or {})
        while True:
            page = self.call(operation, asked)
            yield page
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    def pages(self, operation: str, member: str, request: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """Yield the entries of a List operation, page after page.

        Args:
            member: of the answer, that holds the entries.
        """
        for page in self.whole_pages(operation, request):
            yield from page.get(member) or []

    @staticmethod
    def new_token() -> str:
        """Return a token that lets the server recognise a request that is sent again."""
        return uuid4().hex

    def upsert(self, pipeline: Pipeline) -> str:
        """Upload a pipeline's code, create or update the pipeline, and return its ARN."""
        built = pipeline.build()
        for bucket in {upload.bucket for upload in built.uploads}:
            self.lake.ensure_bucket(bucket)
        for upload in built.uploads:
            # The key holds the content's digest: what is there already is the same.
            if not self.lake.exists(upload.bucket, upload.key):
                self.lake.put_bytes(f"s3://{upload.bucket}/{upload.key}", upload.content)
        request: Document = {
            "PipelineName": pipeline.name,
            **self._as_sent(json.dumps(built.definition), pipeline),
            "RoleArn": pipeline.defaults.role,
        }
        if pipeline.description:
            request["PipelineDescription"] = pipeline.description
        try:
            answer = self.call("SageMaker.CreatePipeline", {**request, "ClientRequestToken": self.new_token()})
        except Conflict:
            answer = self.call("SageMaker.UpdatePipeline", request)
        return str(answer["PipelineArn"])

    def _as_sent(self, definition: str, pipeline: Pipeline) -> Document:
        """Return the members of a request that give a definition; one that is too long for a request is uploaded."""
        if len(definition) <= _LONGEST_DEFINITION:
            return {"PipelineDefinition": definition}
        content = definition.encode()
        bucket, key = pipeline.defaults.bucket, f"{pipeline.name}/definition/{sha256(content).hexdigest()}.json"
        self.lake.ensure_bucket(bucket)
        if not self.lake.exists(bucket, key):
            self.lake.put_bytes(f"s3://{bucket}/{key}", content)
        return {"PipelineDefinitionS3Location": {"Bucket": bucket, "ObjectKey": key}}

    def run(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        at_once: int | None = None,
    ) -> Execution:
        """Create or update a pipeline, start it, and return the execution.

        Args:
            parameters: values by parameter name; those left out take their defaults.
            name: shown for the execution in lists.
            at_once: steps that run side by side at most; None: as many as may.
        Raises:
            DataMissing: a dataset that a step reads is not there.
        """
        values = _values(pipeline.parameters, parameters or {}, pipeline.name)
        self._refuse_missing_datasets(pipeline)
        self.upsert(pipeline)
        return self.start(pipeline.name, values, name=name, at_once=at_once)

    def _refuse_missing_datasets(self, pipeline: Pipeline) -> None:
        """Say now what a step would fail for later: a dataset that nobody put yet, or whose name is mistyped."""
        for name in datasets_read(pipeline.definition()):
            try:
                self.call("Towpath.DescribeDataset", {"DatasetName": name})
            except NotFound as missing:
                if self._has_objects(dataset(name).uri):  # put there with S3 alone, which makes no version
                    continue
                there = [str(each["DatasetName"]) for each in self.datasets.names()]
                from difflib import get_close_matches

                like = get_close_matches(name, there, n=1)
                meant = f" (did you mean {like[0]!r}?)" if like else ""
                raise DataMissing(
                    missing.code,
                    f"pipeline {pipeline.name} reads the dataset {name!r}, which is not there{meant}; "
                    f"put it: towpath data put {name} FILE",
                    status=missing.status,
                ) from missing

    def _has_objects(self, uri: str) -> bool:
        try:
            return next(self.lake.objects(uri), None) is not None
        except NotFound:  # not even the bucket
            return False

    def start(
        self,
        pipeline: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        at_once: int | None = None,
    ) -> Execution:
        """Start a pipeline that the server knows already, and return the execution. See `run` for the arguments."""
        request: Document = {
            "PipelineName": pipeline,
            "PipelineParameters": [
                {"Name": key, "Value": _start_value(value)} for key, value in (parameters or {}).items()
            ],
            "ClientRequestToken": self.new_token(),
        }
        if name:
            request["PipelineExecutionDisplayName"] = name
        if at_once is not None:
            request["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": at_once}
        return Execution(self, str(self.call("SageMaker.StartPipelineExecution", request)["PipelineExecutionArn"]))

    def execution(self, arn_or_id: str) -> Execution:
        """Return the execution with that ARN, or with `PIPELINE/ID`, or with that id alone.

        `PIPELINE/latest` is the newest one; a name that an execution was given will do for its id.

        Raises:
            NotFound: there is none.
        """
        if arn_or_id.startswith("arn:"):
            return Execution(self, arn_or_id)
        pipeline, _, wanted = arn_or_id.rpartition("/")
        pipelines = (
            [pipeline]
            if pipeline
            else [shown["PipelineName"] for shown in self.pages("SageMaker.ListPipelines", "PipelineSummaries")]
        )
        for each in pipelines:
            request = {"PipelineName": each, "SortBy": "CreationTime", "SortOrder": "Descending"}
            for shown in self.pages("SageMaker.ListPipelineExecutions", "PipelineExecutionSummaries", request):
                arn = str(shown["PipelineExecutionArn"])
                names = {arn.rpartition("/")[2], shown.get("PipelineExecutionDisplayName")}
                if wanted in names or (pipeline and wanted == "latest"):
                    return Execution(self, arn)
        raise NotFound("ResourceNotFound", f"there is no pipeline execution {arn_or_id!r}", status=400)

    def queue(self, name: str) -> str:
        """Return the address of a queue, made where there is none of that name: where a Callback step asks.

        Example:
            Callback("Approve", to=client.queue("approvals"))
        """
        return str(self.call("AmazonSQS.CreateQueue", {"QueueName": name})["QueueUrl"])

    def model_version(self, name: str) -> ModelVersion:
        """Return the version of a model package group that `GROUP/VERSION` names; `GROUP` alone means the newest."""
        return find_version(self, name)

    def approve(self, name: str, *, note: str | None = None) -> ModelVersion:
        """Approve a model version, given as `GROUP/VERSION`."""
        return decide(self, name, "Approved", note=note)

    def reject(self, name: str, *, note: str | None = None) -> ModelVersion:
        """Reject a model version, given as `GROUP/VERSION`."""
        return decide(self, name, "Rejected", note=note)

    def deploy(
        self, name: str, *, endpoint: str | None = None, wait: bool = True, timeout_s: float = 600.0
    ) -> Deployment:
        """Put an approved model version behind an endpoint, new or existing.

        Args:
            name: `GROUP/VERSION`, or `GROUP` for the newest approved one.
            endpoint: its name; default: the group's.
            wait: return when the endpoint answers with this version.
        Raises:
            Conflict: the version is not approved.
            EndpointFailed: the endpoint did not come into service with it.
        """
        return deploy(self, name, endpoint=endpoint, wait=wait, timeout_s=timeout_s)

    def invoke(
        self,
        endpoint: str,
        body: bytes | str | IO[bytes] | Mapping[str, Any] | list[Any],
        *,
        content_type: str | None = None,
        accept: str = "application/json",
    ) -> Prediction:
        """Return what the model behind an endpoint answers.

        Args:
            body: bytes or text as they are; a mapping or a list is sent as JSON.
            content_type: default: application/json for JSON, text/plain for text, application/octet-stream for bytes.
        Raises:
            ModelError: the model answered with an error.
        """
        if isinstance(body, Mapping | list):
            kind, sent = "application/json", json.dumps(body).encode()
        elif isinstance(body, str):
            kind, sent = "text/plain", body.encode()
        else:
            kind, sent = "application/octet-stream", body if isinstance(body, bytes) else body.read()
        answer = self._transport.send(
            "POST",
            f"/endpoints/{quote(endpoint, safe='')}/invocations",
            headers={"Content-Type": content_type or kind, "Accept": accept},
            body=sent,
        )
        return Prediction(
            content_type=answer.headers.get("content-type", ""),
            variant=answer.headers.get("x-amzn-invoked-production-variant", ""),
            body=answer.body,
        )

    def logs(self, kind: str, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Yield the lines of a log.

        Args:
            kind: "ProcessingJob", "TrainingJob", "TransformJob", "Endpoint", or "HyperParameterTuningJob" for all its
                training jobs together.
            follow: go on until the job has ended.
            tail: only the last so many lines, of all its hosts together.
        """
        return log_lines(self, kind, name, follow=follow, tail=tail)

    def close(self) -> None:
        """Close the connection of this thread; the next call opens another."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _server(home: HomeFolder) -> Server:
    with contextlib.suppress(ValueError, TypeError):  # a half-written file of a foreign hand says no more than none
        server = home.running_server()
        if server is not None:
            return server
    raise NoServer(f"no server is running for {home.path}; start one: towpath up --background{home.option}")


def _credentials(home: HomeFolder) -> Credentials:
    try:
        found = home.credentials()
    except (OSError, ValueError, TypeError) as fault:
        # The fault's own text is left out: it could hold a part of a key.
        raise Denied(
            "NoCredentials",
            f"{home.credentials_file} cannot be read ({type(fault).__name__}); set TOWPATH_TOKEN",
            status=403,
        ) from None
    if found is None:
        raise Denied("NoCredentials", f"there is no {home.credentials_file}; set TOWPATH_TOKEN", status=403)
    return found


def _values(declared: tuple[Parameter, ...], given: Mapping[str, Any], pipeline: str) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in declared}
    for name, value in given.items():
        if name not in known:
            from difflib import get_close_matches

            # A parameter that the caller made and no step uses is none of the pipeline's, and nothing else tells so.
            unused = "; one that no step uses has to be named: Pipeline(…, parameters=[…])"
            hint = "" if get_close_matches(name, known) else unused
            told = f"pipeline {pipeline} has no parameter {name!r}; it has {', '.join(known) or 'none'}{hint}"
            raise DefinitionError(told)
        enum = known[name].enum
        if enum and str(value) not in enum:
            raise DefinitionError(f"parameter {name}: {value!r} is not one of {', '.join(enum)}")
        if not known[name].takes(value):
            raise DefinitionError(f"parameter {name}: {value!r} is not of its type, {known[name].type}")
    for name, parameter in known.items():
        if parameter.default is None and name not in given:
            raise DefinitionError(f"parameter {name} has no default; set it: {name}=VALUE")
    return dict(given)


def _start_value(value: Any) -> str:
    return ("True" if value else "False") if isinstance(value, bool) else str(value)
