"""Questions to the lineage graph: what something came from, what came of it, and the story of a model package."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from posixpath import commonprefix

import msgspec

from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import LineageRows, Transaction
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage.model import Association, NodeType


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A node reached by following edges."""

    id: str
    type: str
    properties: Document
    distance: int  #: edges from where the search began


def upstream(rows: LineageRows, start: str, *, depth: int | None = None) -> Iterator[Found]:
    """Yield what `start` came from, nearest first, each node once."""
    return _walk(rows, start, rows.edges_into, depth)


def downstream(rows: LineageRows, start: str, *, depth: int | None = None) -> Iterator[Found]:
    """Yield what came of `start`, nearest first, each node once."""
    return _walk(rows, start, rows.edges_out_of, depth)


def _walk(
    rows: LineageRows, start: str, neighbours: Callable[[str], list[tuple[str, str]]], depth: int | None
) -> Iterator[Found]:
    seen = {start}
    waiting = deque([(start, 0)])
    while waiting:
        node_id, distance = waiting.popleft()
        if depth is not None and distance >= depth:
            continue
        for neighbour, _ in neighbours(node_id):
            if neighbour in seen:
                continue
            seen.add(neighbour)
            node = rows.node(neighbour)
            if node is not None:
                yield Found(id=neighbour, type=node[0], properties=node[1], distance=distance + 1)
            waiting.append((neighbour, distance + 1))


def summary_of(transaction: Transaction, package: Resource) -> Document:
    """Return the story of a model package: where it is deployed, what it is, what trained it on which data with which
    code in which environment, how it was evaluated and who approved it. Parts that nobody recorded are left out."""
    rows = transaction.lineage
    package_id = f"model-package:{package.uid}"
    origins = list(upstream(rows, package_id))
    # One without a name has not ended: somebody associated it with something meanwhile.
    jobs = [node for node in origins if node.type == NodeType.JOB and "name" in node.properties]
    training = [node for node in jobs if node.properties.get("kind") == "TrainingJob"]
    trained_by = next((node for node in training if not node.properties.get("packs_only")), None)
    summary: Document = {
        "ModelPackageArn": package.arn,
        "ModelPackageName": package.name,
        "Endpoints": _endpoints(transaction, package_id),
        "Models": [_artifact(found) for found in _direct(rows, package_id, Association.CONTRIBUTED_TO)],
        "Approval": _approval(transaction, package),
        "Evaluations": _evaluations(rows, package_id),
    }
    if trained_by is not None:
        summary["TrainingJob"] = _job(trained_by)
        summary["Data"] = _data(rows, trained_by)
        summary["SourceData"] = _source_data(rows, trained_by)
        summary.update(_code_and_environment(rows, trained_by))
    execution = next((node for node in origins if node.type == NodeType.EXECUTION), None)
    if execution is not None:
        summary["PipelineExecution"] = _execution(transaction, execution)
    summary["ProcessingJobs"] = [
        {**_job(node), **_code_and_environment(rows, node, packages=False)}
        for node in jobs
        if node.properties.get("kind") == "ProcessingJob"
    ]
    return summary


def _direct(rows: LineageRows, node_id: str, association: Association) -> Iterator[Found]:
    for source, word in rows.edges_into(node_id):
        node = rows.node(source)
        if node is not None and word == association and node[0] == NodeType.ARTIFACT:
            yield Found(id=source, type=node[0], properties=node[1], distance=1)


def _artifact(found: Found) -> Document:
    properties = found.properties
    return {
        "S3Uri": properties["uri"],
        "VersionId": properties["version_id"],
        "Sha256": properties["sha256"],
        "Size": properties["size"],
    }


def _together(group: list[Found], *, name: str = "", dataset: str = "") -> Document:
    """Return files that belong together as one entry. Its digest is the file's own where there is one file; of several
    it is the digest of their list, a line `SHA256  KEY` for each in the order of the keys."""
    files = sorted((_artifact(found) for found in group), key=lambda file: str(file["S3Uri"]))
    if len(files) == 1:
        document = dict(files[0])
    else:
        uris = [str(file["S3Uri"]) for file in files]
        lines = "".join(f"{file['Sha256']}  {file['S3Uri'].split('/', 3)[3]}\n" for file in files)
        document = {
            "S3Uri": commonprefix(uris).rpartition("/")[0] + "/",
            "Sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "Size": sum(file["Size"] for file in files),
        }
    document |= {"FileCount": len(files), "Files": files}
    if name:
        document["Name"] = name
    if dataset:
        document["Dataset"] = dataset
    return document


def _job(found: Found) -> Document:
    properties = found.properties
    return {
        "Arn": properties["arn"],
        "Name": properties["name"],
        "Kind": properties["kind"],
        "Image": properties.get("image", ""),
        "Parameters": properties.get("parameters", {}),
        "Metrics": properties.get("metrics", {}),
        "StartTime": properties.get("started_at"),
        "EndTime": properties.get("ended_at"),
        "Began": properties.get("began"),
    }


def _data(rows: LineageRows, job: Found) -> list[Document]:
    """Return the data that a job read, by channel and dataset."""
    uses, datasets = job.properties.get("inputs", {}), job.properties.get("datasets", {})
    groups: dict[tuple[str, str], list[Found]] = {}
    for item in _direct(rows, job.id, Association.CONTRIBUTED_TO):
        use = uses.get(item.id, {})
        if use.get("role") == "data":
            key = (use.get("name", ""), datasets.get(item.id, ""))
            groups.setdefault(key, []).append(item)
    return [_together(group, name=name, dataset=dataset) for (name, dataset), group in sorted(groups.items())]


def _source_data(rows: LineageRows, job: Found) -> list[Document]:
    """Return the data at the beginning: what the job's data was made of, that no job here produced, by dataset or by
    folder. What the job read itself is told as its data."""
    origins = list(upstream(rows, job.id))
    told = set(job.properties.get("inputs", {}))
    datasets: dict[str, str] = {}
    for node in origins:
        datasets.update(node.properties.get("datasets", {}))
        told.update(item for item, use in node.properties.get("inputs", {}).items() if use.get("role") == "code")
    groups: dict[tuple[str, str], list[Found]] = {}
    for node in origins:
        if node.type == NodeType.ARTIFACT and node.id not in told and not _is_product(rows, node):
            dataset = datasets.get(node.id, "")
            folder = "" if dataset else node.properties["uri"].rpartition("/")[0]
            groups.setdefault((dataset, folder), []).append(node)
    return [_together(group, dataset=dataset) for (dataset, _), group in sorted(groups.items())]


def _is_product(rows: LineageRows, artifact: Found) -> bool:
    return any(association == Association.PRODUCED for _, association in rows.edges_into(artifact.id))


def _code_and_environment(rows: LineageRows, job: Found, *, packages: bool = True) -> Document:
    document: Document = {}
    for source, _ in rows.edges_into(job.id):
        node = rows.node(source)
        if node is None:
            continue
        type_, properties = node
        if type_ == NodeType.CODE:
            document["Code"] = {
                "Commit": properties.get("commit"),
                "Dirty": properties.get("dirty"),
                "TreeDigest": properties.get("tree"),
                "Repository": properties.get("repository"),
                "Objects": properties.get("objects", []),
            }
        elif type_ == NodeType.ENVIRONMENT:
            document["Environment"] = {
                "PythonVersion": properties["python_version"],
                "Fingerprint": properties["fingerprint"],
                **({"Packages": properties["packages"]} if packages else {}),
            }
    return document


def _evaluations(rows: LineageRows, package_id: str) -> list[Document]:
    found = []
    for report in _direct(rows, package_id, Association.ASSOCIATED_WITH):
        document = _artifact(report)
        for source, _ in rows.edges_into(report.id):
            node = rows.node(source)
            if node is not None and node[0] == NodeType.JOB and "name" in node[1]:
                document["Job"] = node[1]["name"]
        found.append(document)
    return found


def _endpoints(transaction: Transaction, package_id: str) -> list[Document]:
    """Return the endpoints that a package was ever deployed on, with how each stands and whether it serves it now."""
    found = []
    below = list(downstream(transaction.lineage, package_id))
    models = {node.id for node in below if node.type == NodeType.MODEL}
    for node in below:
        if node.type != NodeType.ENDPOINT:
            continue
        endpoint = transaction.resources.get(Uid(node.id.partition(":")[2]))
        live = endpoint is not None and endpoint.is_live
        found.append(
            {
                "EndpointName": node.properties.get("name", ""),
                "EndpointArn": node.properties.get("arn", ""),
                "EndpointStatus": endpoint.status if endpoint is not None and live else "Deleted",
                "Serving": live and not models.isdisjoint(node.properties.get("serves", ())),
            }
        )
    return found


def _approval(transaction: Transaction, package: Resource) -> Document:
    shown = {**package.spec, **package.state}
    document: Document = {"ModelApprovalStatus": shown.get("ModelApprovalStatus")}
    if shown.get("ApprovalDescription"):
        document["ApprovalDescription"] = shown["ApprovalDescription"]
    for event in transaction.events.of(package.uid):
        # Only what tells of the approval: somebody who changes a package's metadata has not decided about it.
        if "ModelApprovalStatus" in event.detail:
            document["By"] = event.principal
            document["At"] = event.at.timestamp()
    return document


def _execution(transaction: Transaction, found: Found) -> Document:
    execution = transaction.resources.get(Uid(found.id.partition(":")[2]))
    arn = execution.arn if execution is not None else found.properties.get("arn", "")
    return {"PipelineExecutionArn": arn}


def package_given_by(transaction: Transaction, name: str) -> Resource:
    """Return a model package given by ARN, or as GROUP/VERSION.

    Raises:
        NotFound: there is none.
    """
    arn = name if name.startswith("arn:") else transaction.home.arn("model-package", name)
    package = transaction.resources.by_arn(arn)
    if package is None or package.kind != "ModelPackage":
        raise NotFound(
            f"ModelPackage {name} does not exist; versions are written GROUP/VERSION", code="ValidationException"
        )
    return package


def describe_model_package_lineage(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeModelPackageLineage: `ModelPackageName` is an ARN or GROUP/VERSION."""
    name = request.input.get("ModelPackageName")
    if not name:
        raise Invalid("DescribeModelPackageLineage needs ModelPackageName: an ARN, or GROUP/VERSION")
    return summary_of(transaction, package_given_by(transaction, name))


def operations() -> list[Operation]:
    """Return the operations on lineage."""
    return [
        Operation(name="DescribeModelPackageLineage", function=describe_model_package_lineage, writes=False),
    ]
