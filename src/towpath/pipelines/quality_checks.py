"""What QualityCheck and ClarifyCheck steps add to the processing job that their Arguments describe. Pure.

Source: Amazon SageMaker Developer Guide, "Baseline calculation, drift detection and lifecycle with ClarifyCheck and
QualityCheck steps".
"""

from collections.abc import Mapping
from typing import Any

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document

#: CheckType -> where its files stand among the DriftCheckBaselines of a model package: (statistics, constraints).
_BASELINES: Mapping[str, tuple[tuple[str, str] | None, tuple[str, str]]] = {
    "DATA_QUALITY": (("ModelDataQuality", "Statistics"), ("ModelDataQuality", "Constraints")),
    "MODEL_QUALITY": (("ModelQuality", "Statistics"), ("ModelQuality", "Constraints")),
    "DATA_BIAS": (None, ("Bias", "PreTrainingConstraints")),
    "MODEL_BIAS": (None, ("Bias", "PostTrainingConstraints")),
    "MODEL_EXPLAINABILITY": (None, ("Explainability", "Constraints")),
}
CHECK_TYPES: Mapping[str, frozenset[str]] = {
    "QualityCheck": frozenset({"DATA_QUALITY", "MODEL_QUALITY"}),
    "ClarifyCheck": frozenset({"DATA_BIAS", "MODEL_BIAS", "MODEL_EXPLAINABILITY"}),
}
VIOLATIONS = "constraint_violations.json"
VIOLATION_REPORT = "ViolationReport"  #: member of a step's metadata that names that file, where there are violations
_BASELINE_FOLDER = "/opt/ml/processing/baseline"
_KINDS = ("Statistics", "Constraints")


def needs_baseline(members: Document) -> bool:
    """Return whether a step compares with an earlier baseline, or goes on using it."""
    return not members.get("SkipCheck") or not members.get("RegisterNewBaseline")


def supplied(members: Document) -> dict[str, str]:
    """Return the S3 URIs of the baseline that the step itself names, by kind."""
    return {kind: uri for kind in _KINDS if (uri := members.get(f"SuppliedBaseline{kind}")) is not None}


def registered(check_type: str, baselines: Document) -> dict[str, str]:
    """Return the S3 URIs of the baseline that the DriftCheckBaselines of a model package name, by kind."""
    found = {}
    for kind, path in zip(_KINDS, _BASELINES[check_type], strict=True):
        source = {} if path is None else (baselines.get(path[0]) or {}).get(path[1]) or {}
        if source.get("S3Uri") is not None:
            found[kind] = source["S3Uri"]
    return found


def checked_members(step_type: str, members: Document) -> None:
    """Refuse members beside the Arguments whose values make no sense.

    Raises:
        Invalid: names the member, its value and what was expected.
    """
    known = CHECK_TYPES[step_type]
    if members.get("CheckType") not in known:
        raise Invalid(f"CheckType is {members.get('CheckType')!r}; expected one of {', '.join(sorted(known))}")
    for name in ("SkipCheck", "FailOnViolation", "RegisterNewBaseline"):
        if not isinstance(members.get(name), bool | None):
            raise Invalid(f"{name} is {members[name]!r}; expected true or false")


def prepared(step_type: str, request: Document, members: Document, baseline: Mapping[str, str]) -> Document:
    """Return the request of the job, with the earlier baseline as inputs where it is to be compared with.

    Args:
        baseline: S3 URIs of the earlier baseline, by kind.
    Raises:
        Invalid: a baseline is needed and there is none.
    """
    if needs_baseline(members) and "Constraints" not in baseline:
        group = members.get("ModelPackageGroupName")
        raise Invalid(
            f"There is no earlier baseline for {members['CheckType']}: the step names no SuppliedBaselineConstraints, "
            + (
                f"and the latest approved version of {group!r} has none among its DriftCheckBaselines. "
                if group
                else "and no ModelPackageGroupName to look for one. "
            )
            + "Name one, or set SkipCheck and RegisterNewBaseline to true for the first run"
        )
    if members.get("SkipCheck"):
        return request
    inputs = list(request.get("ProcessingInputs") or ())
    environment = dict(request.get("Environment") or {})
    for kind, uri in baseline.items():
        name = f"baseline_{kind.lower()}"
        folder = f"{_BASELINE_FOLDER}/{kind.lower()}"
        source = {"S3Uri": uri, "LocalPath": folder, "S3DataType": "S3Prefix", "S3InputMode": "File"}
        inputs.append({"InputName": name, "S3Input": source})
        if step_type == "QualityCheck":
            environment[name] = f"{folder}/{uri.rpartition('/')[2]}"
    return {**request, "ProcessingInputs": inputs, **({"Environment": environment} if environment else {})}


def shown(step_type: str, request: Document, members: Document, baseline: Mapping[str, str]) -> Document:
    """Return the step's metadata: what is checked, the baseline that the job calculates, and the one in use.

    Raises:
        Invalid: the job has no output to write a baseline to.
    """
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    uri = next((found for output in outputs if (found := (output.get("S3Output") or {}).get("S3Uri"))), None)
    if uri is None:
        raise Invalid(f"A {step_type} step needs an output in ProcessingOutputConfig, where its baseline is written to")
    folder = uri.rstrip("/")
    calculated = {"Constraints": f"{folder}/analysis.json"}
    if step_type == "QualityCheck":
        calculated = {"Statistics": f"{folder}/statistics.json", "Constraints": f"{folder}/constraints.json"}
    used = calculated if members.get("RegisterNewBaseline") else {**baseline}
    metadata: Document = {
        name: members[name]
        for name in ("CheckType", "ModelPackageGroupName", "SkipCheck", "RegisterNewBaseline", "FailOnViolation")
        if members.get(name) is not None
    }
    metadata |= {f"CalculatedBaseline{kind}": found for kind, found in calculated.items()}
    metadata |= {f"BaselineUsedForDriftCheck{kind}": used[kind] for kind in calculated if kind in used}
    return metadata


def deciding(told: Document) -> Document:
    """Return those of a step's metadata that decide what comes of it, beside the request of its job.

    The files of a baseline that it compares with are inputs of the job. One that it goes on using is told on, so its
    place counts; one that it registers lies where the job writes it.
    """
    left_out = {"CheckJobArn", "ModelPackageGroupName", VIOLATION_REPORT}
    left_out |= {name for name in told if name.startswith("CalculatedBaseline")}
    if told.get("RegisterNewBaseline"):
        left_out |= {name for name in told if name.startswith("BaselineUsedForDriftCheck")}
    return {name: value for name, value in told.items() if name not in left_out}


def violations_at(metadata: Document) -> str:
    """Return the S3 URI at which the job of a step writes what violates the baseline."""
    constraints: str = metadata["CalculatedBaselineConstraints"]
    return f"{constraints.rpartition('/')[0]}/{VIOLATIONS}"


def verdict(report: Any, uri: str) -> str | None:
    """Return why a step fails whose job wrote this report of violations, None when it holds none."""
    found = report.get("violations") if isinstance(report, dict) else None
    if not found:
        return None
    features = [
        str(entry.get("feature_name")) for entry in found if isinstance(entry, dict) and "feature_name" in entry
    ]
    about = f" ({', '.join(features[:5])}{', …' if len(features) > 5 else ''})" if features else ""
    return f"CheckFailed: {len(found)} violations of the baseline{about}; see {uri}"
