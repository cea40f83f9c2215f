"""Writes docs/api.md: every operation that a server offers, how, and which tests show it.

A test says so by a mark whose arguments are written out, so that it can be read without running anything:

    @pytest.mark.shows("sagemaker", "CreateModelCard", "DescribeModelCard", how="stores")
"""

import ast
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from towpath.app import Platform
from towpath.gateway.offered import offered
from towpath.home import HomeFolder
from towpath.kernel.operations import Operation
from towpath.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
WAYS = ("stores", "executes", "refuses")
_OF_SAGEMAKER = """
CreatePipeline UpdatePipeline DeletePipeline DescribePipeline ListPipelines ListPipelineVersions UpdatePipelineVersion
DescribePipelineDefinitionForExecution StartPipelineExecution StopPipelineExecution RetryPipelineExecution
UpdatePipelineExecution DescribePipelineExecution ListPipelineExecutions ListPipelineExecutionSteps
ListPipelineParametersForExecution SendPipelineExecutionStepSuccess SendPipelineExecutionStepFailure
CreateProcessingJob DeleteProcessingJob DescribeProcessingJob ListProcessingJobs StopProcessingJob CreateTrainingJob
DeleteTrainingJob DescribeTrainingJob ListTrainingJobs StopTrainingJob UpdateTrainingJob
CreateHyperParameterTuningJob DeleteHyperParameterTuningJob DescribeHyperParameterTuningJob
ListHyperParameterTuningJobs StopHyperParameterTuningJob ListTrainingJobsForHyperParameterTuningJob
CreateModel DeleteModel DescribeModel ListModels CreateEndpointConfig
DeleteEndpointConfig DescribeEndpointConfig ListEndpointConfigs CreateEndpoint DeleteEndpoint DescribeEndpoint
ListEndpoints UpdateEndpoint UpdateEndpointWeightsAndCapacities CreateModelPackageGroup DeleteModelPackageGroup
DescribeModelPackageGroup ListModelPackageGroups GetModelPackageGroupPolicy PutModelPackageGroupPolicy
DeleteModelPackageGroupPolicy CreateModelPackage DeleteModelPackage DescribeModelPackage ListModelPackages
UpdateModelPackage BatchDescribeModelPackage CreateModelCard DescribeModelCard UpdateModelCard ListModelCards
ListModelCardVersions DeleteModelCard CreateModelCardExportJob DescribeModelCardExportJob ListModelCardExportJobs
AddTags DeleteTags ListTags Search GetSearchSuggestions CreateExperiment DescribeExperiment ListExperiments
UpdateExperiment DeleteExperiment CreateTrial DescribeTrial ListTrials UpdateTrial DeleteTrial CreateTrialComponent
DescribeTrialComponent ListTrialComponents UpdateTrialComponent DeleteTrialComponent AssociateTrialComponent
DisassociateTrialComponent CreateArtifact DescribeArtifact ListArtifacts UpdateArtifact DeleteArtifact CreateAction
DescribeAction ListActions UpdateAction DeleteAction CreateContext DescribeContext ListContexts UpdateContext
DeleteContext AddAssociation DeleteAssociation ListAssociations QueryLineage DescribeLineageGroup ListLineageGroups
GetLineageGroupPolicy
"""
#: The groups of the API that are complete: what of them is not offered is missing from the table, and a fault.
COMPLETE = {
    "sagemaker": _OF_SAGEMAKER.split(),
    "sagemaker-metrics": ["BatchPutMetrics", "BatchGetMetrics"],
}
HEAD = """# Operations

What a server answers, by service of AWS, and the tests that show it. `make api` writes this page from the marks of
the tests; a test fails when the two differ, when an operation is shown by no test, and when a test shows one that is
not there.

- **executes**: its success is work that is done or begun: processes, traffic, bytes.
- **stores**: it writes down or reads back what is kept here, and later answers show it.
- **refuses**: it answers every request with a sentence that says what is missing, and nothing changes.

Every other operation of these services is answered with `UnknownOperationException` (S3: `NotImplemented`), and a
member that asks for something that is not built is refused by its name.
"""


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """One test that shows one operation."""

    service: str
    operation: str
    how: str
    path: str  #: of the test's file, below the checkout
    test: str


def marks_of(source: str, path: str) -> Iterator[Shown]:
    """Yield what the tests of a file show.

    Raises:
        ValueError: a mark's arguments are not written out, or it does not say one of the ways.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.shows":
                    yield from _shown(decorator, path, node.name)


def _shown(mark: ast.Call, path: str, test: str) -> Iterator[Shown]:
    texts = [argument.value for argument in mark.args if isinstance(argument, ast.Constant)]
    named = {word.arg: word.value.value for word in mark.keywords if isinstance(word.value, ast.Constant)}
    how = named.get("how", "stores")
    if len(texts) != len(mark.args) or len(texts) < 2 or set(named) - {"how"} or how not in WAYS:
        raise ValueError(f"{path}: {test}: expected (service, operation, ..., how={' | '.join(WAYS)}), written out")
    service, *operations = map(str, texts)
    for operation in operations:
        yield Shown(service, operation, str(how), path, test)


def all_marks() -> list[Shown]:
    """Return what all tests of the checkout show."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return sorted(shown for file in files for shown in marks_of(file.read_text("utf-8"), str(file.relative_to(ROOT))))


def all_offered() -> dict[str, dict[str, Operation | None]]:
    """Return what a server offers."""
    with tempfile.TemporaryDirectory() as folder:
        home = HomeFolder(Path(folder) / "home")
        home.path.mkdir()
        platform = Platform.open(home, Settings(), url="http://127.0.0.1:0")
        try:
            return offered(platform.gateway)
        finally:
            platform.close()


def faults(marks: Iterable[Shown], table: Mapping[str, Mapping[str, Operation | None]]) -> Iterator[str]:
    """Yield where marks and operations do not fit together."""
    ways: dict[tuple[str, str], set[str]] = {}
    for mark in marks:
        ways.setdefault((mark.service, mark.operation), set()).add(mark.how)
        if mark.operation not in table.get(mark.service, {}):
            yield f"{mark.path}: {mark.test} shows {mark.service} {mark.operation}, which is not offered"
    for service, operations in table.items():
        for name, operation in operations.items():
            said = ways.get((service, name), set())
            if not said:
                yield f"{service} {name} is shown by no test; mark one that asserts its effect"
            elif len(said) > 1:
                yield f"{service} {name} is said to be of several ways: {', '.join(sorted(said))}"
            elif (said == {"refuses"}) != (operation is not None and operation.why_refused is not None):
                yield f"{service} {name} {'is' if said == {'refuses'} else 'is not'} refused, say its marks"
    for service, names in COMPLETE.items():
        for name in names:
            if name not in table.get(service, {}):
                yield f"{service} {name} is of a group that is complete, and is neither offered nor refused"


def page(marks: Iterable[Shown], table: Mapping[str, Mapping[str, Operation | None]]) -> str:
    """Return the page."""
    by_operation: dict[tuple[str, str], list[Shown]] = {}
    for mark in marks:
        by_operation.setdefault((mark.service, mark.operation), []).append(mark)
    text = [HEAD]
    for service, operations in table.items():
        text.append(f"\n## {service}\n\n| operation | how | shown by |\n|---|---|---|\n")
        for name, operation in sorted(operations.items()):
            shown = by_operation.get((service, name), [])
            how = shown[0].how if shown else "?"
            if operation is not None and operation.why_refused is not None:
                how += f": {operation.why_refused}"
            links = ", ".join(
                f"[{mark.test.removeprefix('test_').replace('_', ' ')}](../{mark.path})" for mark in shown
            )
            text.append(f"| {name} | {how} | {links} |\n")
    return "".join(text)


def main() -> None:
    """Write the page, or say why it cannot be written."""
    marks, table = all_marks(), all_offered()
    wrong = list(faults(marks, table))
    if wrong:
        sys.exit("\n".join(wrong))
    PAGE.write_text(page(marks, table), encoding="utf-8")


if __name__ == "__main__":
    main()
