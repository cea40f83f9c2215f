"""What a model package is made of: its typed view, the objects that it refers to, and what Describe shows."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from towpath.jobs.channels import PinnedInput, Role, WantedInput
from towpath.kernel.principals import user_context
from towpath.kernel.resource import Document, Resource, view
from towpath.lineage.model import Artifact
from towpath.registry.history import Entry


class S3Source(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where a model's files lie."""

    s3_uri: str
    s3_data_type: str = "S3Object"
    compression_type: str = "Gzip"


class ModelDataSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The structured form of ModelDataUrl."""

    s3_data_source: S3Source | None = msgspec.field(name="S3DataSource", default=None)


class Container(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An image and the model that it serves: a container of a model package or of a model."""

    image: str | None = None
    model_data_url: str | None = None
    model_data_source: ModelDataSource | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    model_package_name: str | None = None

    @property
    def data(self) -> S3Source | None:
        """Where the model's files lie, in whichever form it was said; None for an image that brings its own."""
        if self.model_data_source is not None and self.model_data_source.s3_data_source is not None:
            return self.model_data_source.s3_data_source
        return None if self.model_data_url is None else S3Source(s3_uri=self.model_data_url)


class InferenceSpecification(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How a package is served."""

    containers: tuple[Container, ...] = ()


class PackageSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The spec of a model package, as far as decisions read it."""

    inference_specification: InferenceSpecification = InferenceSpecification()
    model_approval_status: str | None = None
    model_metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    drift_check_baselines: dict[str, Any] = msgspec.field(default_factory=dict)


class EnvironmentFound(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a container's image stood for when the package was registered."""

    image: str
    python_version: str
    fingerprint: str  #: SHA-256 over the Python version and all packages


class PackageState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What the platform found when the package was registered, and what happened to it since. Grows, never shrinks."""

    model_package_group_name: str | None = None
    model_package_version: int | None = None
    model_data: tuple[PinnedInput, ...] = ()  #: exact object versions and digests, one input a container
    reports: tuple[PinnedInput, ...] = ()  #: metrics and baselines that exist; without objects where they do not
    environments: tuple[EnvironmentFound, ...] = ()
    history: tuple[Entry, ...] = ()
    client_token: str | None = None  #: of the request that made it; the same request again makes nothing new
    request_digest: str | None = None  #: of that request
    update_token: str | None = None  #: of the last update that came with one; the same again changes nothing
    update_digest: str | None = None  #: of that update


def spec_of(resource: Resource) -> PackageSpec:
    """Return the typed spec of a model package."""
    return view(PackageSpec, resource.spec)


def state_of(resource: Resource) -> PackageState:
    """Return the typed state of a model package."""
    return view(PackageState, resource.state)


def state_document(state: PackageState) -> Document:
    """Return the state exactly as it is read back from the store."""
    document: Document = msgspec.json.decode(msgspec.json.encode(state))
    return document


def model_files(container: Container, name: str) -> WantedInput | None:
    """Return the input that lays a container's model out below /opt/ml/model; None when it brings no files."""
    source = container.data
    if source is None:
        return None
    return WantedInput(
        name=name, uri=source.s3_uri, path="model", unpack=source.compression_type == "Gzip", role=Role.DATA
    )


def report_files(spec: PackageSpec) -> tuple[WantedInput, ...]:
    """Return the metrics and baseline files that a package names; they may be absent."""
    found: list[WantedInput] = []

    def collect(document: Any, place: str) -> None:
        if isinstance(document, dict):
            if str(document.get("S3Uri", "")).startswith("s3://"):
                found.append(WantedInput(name=place, uri=document["S3Uri"], path="report", optional=True))
            for member, value in document.items():
                collect(value, f"{place}.{member}")

    collect(spec.model_metrics, "ModelMetrics")
    collect(spec.drift_check_baselines, "DriftCheckBaselines")
    return tuple(found)


def artifacts(inputs: Iterable[PinnedInput], *, role: str) -> Iterator[Artifact]:
    """Yield the objects of pinned inputs as the lineage knows them."""
    for pinned in inputs:
        for item in pinned.objects:
            yield Artifact(
                bucket=item.bucket,
                key=item.key,
                version_id=item.version_id,
                sha256=item.sha256,
                size=item.size,
                role=role,
                name=pinned.name,
            )


def shown(resource: Resource) -> Document:
    """Return the members of Describe and List that are worked out from state and history."""
    state = state_of(resource)
    last = state.history[-1] if state.history else None
    document: Document = {
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CreatedBy": user_context(resource.account, resource.created_by),
        "LastModifiedBy": user_context(resource.account, last.by if last else resource.created_by),
        "LastModifiedTime": (last.at if last else resource.created_at).timestamp(),
    }
    if state.model_package_version is not None:
        document["ModelPackageGroupName"] = state.model_package_group_name
        document["ModelPackageVersion"] = state.model_package_version
    return document


def indexed(resource: Resource) -> dict[str, str | float | None]:
    """Return what model packages are filtered by."""
    state = state_of(resource)
    return {
        "group": state.model_package_group_name,
        "version": state.model_package_version,
        "type": "Unversioned" if state.model_package_group_name is None else "Versioned",
        "approval": resource.spec.get("ModelApprovalStatus"),
        "token": state.client_token,
    }
