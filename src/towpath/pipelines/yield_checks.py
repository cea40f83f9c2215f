"""Whether a reference reads something that a step can have yielded."""

from typing import TYPE_CHECKING, Any

from towpath.pipelines.expressions import StepValue, is_expression
from towpath.pipelines.faults import Findings
from towpath.pipelines.graph import Node
from towpath.pipelines.paths import Index, Key, Member, Path, render_path
from towpath.pipelines.ports import Shapes

if TYPE_CHECKING:
    from botocore.model import Shape


def yield_faults(reference: StepValue, target: Node, shapes: Shapes) -> Findings:
    """Yield (place, message) for a path that leads nowhere in what a step yields."""
    if target.type is None:
        return
    first = reference.path[0]
    head = first.name if isinstance(first, Member | Key) else ""
    if target.type.yields is not None:
        if head not in target.type.yields:
            listed = ", ".join(sorted(target.type.yields)) or "nothing"
            yield reference.place, f"a {target.step.type} step yields {listed}, not {render_path((first,))}"
        elif len(reference.path) == 2 and head == "OutputParameters":
            yield from _declared_output(reference, target)
        return
    shape = None if target.type.describe is None else shapes.output(target.type.describe)
    if shape is None or head in target.type.extra_yields:
        return
    missing = _missing(reference.path, shape)
    if missing is not None:
        yield reference.place, f"a {target.step.type} step yields no {missing}; see {target.type.describe}"
        return
    yield from _named_item(reference, target)


def _missing(path: Path, shape: "Shape") -> str | None:
    """Return the beginning of `path` that leads nowhere in a shape."""
    for number, part in enumerate(path):
        match part, shape.type_name:
            case Member(name) | Key(name), "structure" if name in shape.members:
                shape = shape.members[name]
            case Member() | Key(), "map":
                shape = shape.value
            case Index() | Key(), "list":
                shape = shape.member
            case _:
                return render_path(path[: number + 1])
    return None


def _declared_output(reference: StepValue, target: Node) -> Findings:
    declared = target.step.members.get("OutputParameters")
    key = reference.path[1]
    if isinstance(declared, list) and isinstance(key, Key):
        names = [str(entry.get("OutputName")) for entry in declared if isinstance(entry, dict)]
        if key.name not in names:
            listed = ", ".join(names) or "none"
            yield reference.place, f"step {target.name!r} declares no output {key.name!r}; it declares {listed}"


def _named_item(reference: StepValue, target: Node) -> Findings:
    """Check a name in brackets against the list in the target's own Arguments, from which the platform echoes it."""
    assert target.type is not None
    value: Any = target.step.arguments
    trail: list[str] = []
    for part in reference.path:
        if is_expression(value):
            return
        match part, value:
            case Member(name), dict() if name in value:
                value = value[name]
                trail.append(name)
            case Key(name), list():
                naming = target.type.names.get(".".join(trail))
                names = [entry.get(naming) for entry in value if isinstance(entry, dict)]
                if naming is None:
                    yield reference.place, f"the items of {'.'.join(trail)} have no names; use a number in the brackets"
                elif name not in names and all(isinstance(other, str) for other in names):
                    listed = ", ".join(map(str, names))
                    message = f"step {target.name!r} has no item {name!r} in {'.'.join(trail)}; it has {listed}"
                    yield reference.place, message
                return
            case _:
                return
