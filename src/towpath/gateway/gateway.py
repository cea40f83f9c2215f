"""What the front door needs from the rest of the platform."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from towpath.gateway.errors import Protocol as Wire
from towpath.gateway.news import News
from towpath.gateway.service_models import ServiceModels
from towpath.gateway.services.s3 import S3Request, S3Response
from towpath.gateway.signing import Keys
from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.operations import Operations
from towpath.kernel.ports import Store

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]  #: an ASGIApp of ours


class S3(Protocol):
    """Answers S3 requests whose signature was verified. Called in a thread; bodies are read and yielded bit by bit."""

    def handle(self, request: S3Request) -> S3Response:
        """Return the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the front door takes on."""

    document_bytes: int = 16 << 20  #: body of a request that carries a document
    function_bytes: int = 70_167_211  #: the same for functions, whose code comes in it. Source: AWS Lambda quotas
    invocation_bytes: int = 6 << 20  #: body of a signed invocation, which has to be read before it is passed on
    discarded_bytes: int = 64 << 20  #: of a refused body, read so that the client gets to see why it was refused
    whole_bytes: int = 256 << 10  #: of an object that passes in one piece; larger ones pass bit by bit
    body_idle_s: float = 60.0  #: without a byte of a body that was announced
    threads: int = 32  #: operations at a time
    object_threads: int = 32  #: S3 requests at a time; apart, since slow uploads must not hold up operations
    waiting: int = 1000  #: requests that wait for something to happen, at a time; they hold no thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The ports of the front door."""

    store: Store
    freeing: Store | None = None  #: the same one for operations that delete, which a full disk does not refuse
    operations: Operations  #: of the services sagemaker and towpath
    keys: Keys
    home: Home = field(default_factory=Home)
    own_key: str = ""  #: the access key that the server made for itself; good for callers on this host alone
    home_id: str = ""  #: shown by /health, so that clients know whom they talk to
    clock: Clock = field(default_factory=SystemClock)
    models: ServiceModels = field(default_factory=ServiceModels)
    services: Mapping[str, Operations] = field(default_factory=dict)  #: of the other services, by their names
    s3: S3 | None = None
    invocations: ASGIApp | None = None  #: gets `scope["towpath.caller"]`, a Caller
    limits: Limits = Limits()
    news: News = field(default_factory=News)  #: told of changes that requests may wait for
    on_shutdown: tuple[Callable[[], None], ...] = ()  #: called on the event loop when the HTTP server ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of AWS, or ours, at this door."""

    name: str  #: as botocore names it
    signing_name: str
    protocol: Wire
    target: str = ""  #: what X-Amz-Target begins with
    by_path: bool = False  #: operations are found by method and path, as the service's model says
    anywhere: bool = False  #: clients also sign for us-east-1 whatever the region of the home is


_TABLE = (
    Service(name="sagemaker", signing_name="sagemaker", protocol=Wire.JSON, target="SageMaker"),
    Service(name="towpath", signing_name="towpath", protocol=Wire.JSON, target="Towpath"),
    Service(name="logs", signing_name="logs", protocol=Wire.JSON, target="Logs_20140328"),
    Service(name="ecr", signing_name="ecr", protocol=Wire.JSON, target="AmazonEC2ContainerRegistry_V20150921"),
    Service(name="events", signing_name="events", protocol=Wire.JSON, target="AWSEvents"),
    Service(
        name="cloudtrail",
        signing_name="cloudtrail",
        protocol=Wire.JSON,
        target="com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
    ),
    Service(name="sqs", signing_name="sqs", protocol=Wire.JSON, target="AmazonSQS"),
    Service(name="sagemaker-runtime", signing_name="sagemaker", protocol=Wire.REST_JSON),
    Service(name="sagemaker-metrics", signing_name="sagemaker", protocol=Wire.REST_JSON, by_path=True),
    Service(name="scheduler", signing_name="scheduler", protocol=Wire.REST_JSON, by_path=True),
    Service(name="lambda", signing_name="lambda", protocol=Wire.REST_JSON, by_path=True),
    Service(name="s3", signing_name="s3", protocol=Wire.REST_XML),
    Service(name="sts", signing_name="sts", protocol=Wire.QUERY, anywhere=True),
    Service(name="iam", signing_name="iam", protocol=Wire.QUERY, anywhere=True),
)
SERVICES: Mapping[str, Service] = {service.name: service for service in _TABLE}
BY_PATH: Sequence[Service] = tuple(service for service in _TABLE if service.by_path)
TARGETS: Mapping[str, Service] = {service.target: service for service in _TABLE if service.target}
