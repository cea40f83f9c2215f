"""The properties of what is searched: which there are, of what type, and how they are read from a document.

A property is named by its path, with dots: lists on the way stand for all of their items, and names of members may be
written in any case, as the analytics of the SageMaker SDK do. The names of metrics, parameters and tags may hold dots
themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from towpath.kernel.resource import Document
from towpath.search.model import PropertyType

if TYPE_CHECKING:
    from botocore.model import Shape

_TYPES = {
    "string": PropertyType.TEXT,
    "char": PropertyType.TEXT,
    "integer": PropertyType.NUMBER,
    "long": PropertyType.NUMBER,
    "float": PropertyType.NUMBER,
    "double": PropertyType.NUMBER,
    "timestamp": PropertyType.TIME,
    "boolean": PropertyType.BOOLEAN,
}
_DEEPEST = 6  #: suggestions do not go deeper into a shape than this
_STATISTICS = ("Min", "Max", "Avg", "Last", "StdDev", "Count")


def searched(record: Document) -> Document:
    """Return a record of a search as its properties are named: tags, metrics and parameters by their names.

    Source: Amazon SageMaker API Reference, "Filter": `Metrics.<name>`, `HyperParameters.<name>`, `Tags.<key>`.
    """
    # The members of the model are those that are meant in an entry of the model dashboard.
    record = {**record["Model"], **record} if isinstance(record.get("Model"), Mapping) else record
    found = dict(record)
    if "Tags" in record:
        found["Tags"] = {tag["Key"]: tag["Value"] for tag in record["Tags"]}
    if "FinalMetricDataList" in record:
        found["Metrics"] = {point["MetricName"]: point["Value"] for point in record["FinalMetricDataList"]}
    elif "Metrics" in record:
        found["Metrics"] = {summary["MetricName"]: summary for summary in record["Metrics"]}
    if "Parameters" in record:
        found["Parameters"] = {
            name: value.get("NumberValue", value.get("StringValue")) for name, value in record["Parameters"].items()
        }
    return found


def narrowed(shown: Document, shape: "Shape", names: Iterable[str]) -> Document:
    """Return what of a document the properties of these names are read from, so that the rest need not be looked at."""
    roots = {name.partition(".")[0].lower() for name in names}
    if "metrics" in roots:
        roots.add("finalmetricdatalist")
    if "Model" in shape.members:
        roots.add("model")  # whose members are meant where a name is not one of the entry's own
    return {member: value for member, value in shown.items() if member.lower() in roots}


def type_of(shape: "Shape", name: str) -> PropertyType | None:
    """Return the type of a property of the records of `shape`, None when they have no such property."""
    root, _, rest = name.partition(".")
    if "Model" in shape.members and root.lower() not in {member.lower() for member in shape.members}:
        return type_of(shape.members["Model"], name)
    match root.lower():
        case "tags" if "Tags" in shape.members and rest:
            return PropertyType.TEXT
        case "metrics" if "FinalMetricDataList" in shape.members:
            return PropertyType.NUMBER if rest else PropertyType.GROUP
        case "metrics" if "Metrics" in shape.members:
            return _type_of_summary(rest)
        case "parameters" if "Parameters" in shape.members:
            return PropertyType.OPEN if rest else PropertyType.GROUP
    return _type_at(shape, name)


def _type_of_summary(rest: str) -> PropertyType:
    # A metric's own name may end like a statistic; what a trial component shows of one are its statistics alone.
    ends_in_a_statistic = rest.rpartition(".")[2].lower() in {word.lower() for word in _STATISTICS}
    return PropertyType.NUMBER if "." in rest and ends_in_a_statistic else PropertyType.GROUP


def _type_at(shape: Any, name: str) -> PropertyType | None:
    while shape.type_name == "list":
        shape = shape.member
    if not name:
        return _TYPES.get(shape.type_name, PropertyType.GROUP)
    if shape.type_name == "map":
        inner = shape.value.type_name
        if inner == "string":
            return PropertyType.OPEN
        # The key may hold dots: only the members behind it are known.
        behind = name.rpartition(".")[2]
        return _type_at(shape.value, behind) if "." in name and inner == "structure" else PropertyType.GROUP
    if shape.type_name != "structure":
        return None
    head, _, rest = name.partition(".")
    member = next((member for member in shape.members if member.lower() == head.lower()), None)
    return None if member is None else _type_at(shape.members[member], rest)


def values(document: Any, name: str) -> list[Any]:
    """Return the values that a property has in a document: none, one, or those of all items of the lists on its way."""
    return list(_values(document, name.split(".")))


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _values(item, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping):
        for length in range(1, len(path) + 1):
            key = ".".join(path[:length])
            found = value[key] if key in value else _in_any_case(value, key)
            if found is not None:
                yield from _values(found, path[length:])


def _in_any_case(members: Mapping[str, Any], key: str) -> Any:
    wanted = key.lower()
    return next((value for name, value in members.items() if name.lower() == wanted), None)


def static_names(shape: "Shape") -> list[str]:
    """Return the names of the properties that a shape itself names, those of maps ending in a dot."""
    found = list(_names(shape, "", 0))
    return [name for name in found if not name.startswith(("Tags.", "FinalMetricDataList.", "Metrics."))]


def _names(shape: Any, prefix: str, depth: int) -> Iterator[str]:
    while shape.type_name == "list":
        shape = shape.member
    if shape.type_name == "structure" and depth < _DEEPEST:
        for name, member in shape.members.items():
            yield from _names(member, f"{prefix}.{name}" if prefix else name, depth + 1)
    elif shape.type_name in _TYPES and prefix:
        yield prefix


def own_names(document: Document) -> Iterator[str]:
    """Yield the names of the properties that a document brings itself: its tags, metrics and parameters."""
    for root in ("HyperParameters", "Parameters", "Tags", "Environment", "CustomerMetadataProperties"):
        yield from (f"{root}.{key}" for key in _keys(document.get(root)))
    metrics = document.get("Metrics")
    for name in _keys(metrics):
        assert isinstance(metrics, Mapping)
        summary = metrics[name]
        if isinstance(summary, Mapping):
            yield from (f"Metrics.{name}.{word}" for word in _STATISTICS if word in summary)
        else:
            yield f"Metrics.{name}"


def _keys(value: Any) -> Iterable[str]:
    return value.keys() if isinstance(value, Mapping) else ()
