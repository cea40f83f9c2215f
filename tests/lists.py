"""What a list promises, asked of any List operation: its pages are the whole, orders mirror, filters narrow.

What is asked, and what has to come, follows from the operation's shapes and from what the whole list shows; the tables
below hold what does not follow.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from tests.acceptance.conftest import wait_for_execution
from tests.golden.story import GROUP, IMAGE, MODELS, ROLE, definition, script, training, transform

Item = Any  # a document of a list, or the name that it consists of

ORDER = ("SortBy", "SortOrder")
TOKENS = ("NextToken", "Marker")
SIZES = ("MaxResults", "MaxItems", "Limit")
NOBODY = "nobody"  #: a name that nothing has
NOWHERE = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/nowhere"


BESIDE = ("Pending", "OwningAccounts")  #: lists that an answer has beside the one that is asked for


def of(aws: Mapping[str, Any], operation: str, member: str, **asked: Any) -> str:
    """Return a member of the first that a list of SageMaker shows."""
    answer = aws["sagemaker"]._make_api_call(operation, asked)
    first = next(value for name, value in answer.items() if isinstance(value, list))[0]
    return str(first[member])


@dataclass(frozen=True)
class Listing:
    """A List operation and what is particular about it."""

    service: str
    operation: str
    given: Mapping[str, Any] = field(default_factory=dict)  #: what every request says: whose list it is
    widest: Mapping[str, Any] = field(default_factory=dict)  #: what makes it the list of all

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of its request, with their shapes."""
        model = MODELS.operation(self.service, self.operation)
        assert model is not None
        shape: Any = model.input_shape
        return dict(shape.members)

    @property
    def list_member(self) -> str:
        """The member of its answer that holds the list."""
        model = MODELS.operation(self.service, self.operation)
        assert model is not None
        shape: Any = model.output_shape
        (name,) = [name for name, member in shape.members.items() if member.type_name == "list" and name not in BESIDE]
        return str(name)

    @property
    def noun(self) -> str:
        """What it lists: "TrainingJob"."""
        words = self.operation.removeprefix("List")
        return words[:-3] + "y" if words.endswith("ies") else words.removesuffix("s")

    def one_of(self, names: Sequence[str]) -> str | None:
        """Return which of the names its request has."""
        return next((name for name in names if name in self.members), None)


def pages(client: Any, listing: Listing, size: int | None = None, **asked: Any) -> Iterator[list[Item]]:
    """Yield the pages of a list until the end."""
    told, sized = listing.one_of(TOKENS), listing.one_of(SIZES)
    request = {**listing.given, **asked}
    if sized is not None and size is not None:
        request[sized] = size
    seen: set[str] = set()
    while True:
        answer = client._make_api_call(listing.operation, request)
        yield answer.get(listing.list_member, [])
        token = (answer.get(told) or answer.get(f"Next{told}")) if told is not None else None
        if token is None:
            return
        assert token not in seen, "a page that leads back"
        seen.add(token)
        assert told is not None
        request[told] = token


def listed(client: Any, listing: Listing, size: int | None = None, **asked: Any) -> list[Item]:
    """Return a whole list."""
    return [item for page in pages(client, listing, size, **asked) for item in page]


def everything(client: Any, listing: Listing, **asked: Any) -> list[Item]:
    """Return a list with nothing narrowed."""
    return listed(client, listing, **{**listing.widest, **asked})


# --- pages --------------------------------------------------------------------------------------------------------


def check_pages(client: Any, listing: Listing) -> None:
    """The smallest pages, one behind the other, are the whole list, and none is larger than asked."""
    whole = everything(client, listing)
    assert len([item for place, item in enumerate(whole) if item not in whole[:place]]) == len(whole), "repeats"
    sized = listing.one_of(SIZES)
    if sized is None:
        return
    smallest = max(1, listing.members[sized].metadata.get("min", 1))
    for asked in ({}, *orders(listing)):
        together: list[Item] = []
        for page in pages(client, listing, smallest, **listing.widest, **asked):
            assert len(page) <= smallest, (asked, page)
            together += page
        assert together == everything(client, listing, **asked), asked


def check_wrong_token(client: Any, listing: Listing) -> None:
    """A token that no page gave is refused."""
    told = listing.one_of(TOKENS)
    if told is None:
        return
    for token in ("nonsense", "-1"):
        try:
            client._make_api_call(listing.operation, {**listing.given, told: token})
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
        else:
            raise AssertionError(f"{listing.operation} took the token {token!r}")


# --- orders -------------------------------------------------------------------------------------------------------


def orders(listing: Listing) -> list[dict[str, str]]:
    """Return every way in which a list may be sorted."""
    by, way = listing.members.get("SortBy"), listing.members.get("SortOrder")
    sorts: list[dict[str, str]] = [{}, *({"SortBy": value} for value in (by.enum if by is not None else ()))]
    ways: list[dict[str, str]] = [{"SortOrder": value} for value in way.enum] if way is not None else [{}]
    return [{**sort, **one} for sort in sorts for one in ways]


#: What a list is sorted by, where the item calls it otherwise.
SHOWN_AS: dict[tuple[str, str], Callable[[Item], Any]] = {
    ("ListPipelineExecutions", "CreationTime"): lambda item: item["StartTime"],
    ("ListTrainingJobsForHyperParameterTuningJob", "FinalObjectiveMetricValue"): lambda item: item[
        "FinalHyperParameterTuningJobObjectiveMetric"
    ]["Value"],
    ("ListModelCardVersions", "Version"): lambda item: item["ModelCardVersion"],
    ("ListTrainingJobsForHyperParameterTuningJob", "Name"): lambda item: item["TrainingJobName"],
    ("ListTrainingJobsForHyperParameterTuningJob", "Status"): lambda item: item["TrainingJobStatus"],
    # The name of a version is GROUP/NUMBER; one without a group has a name.
    ("ListModelPackages", "Name"): lambda item: item["ModelPackageArn"].partition("/")[2],
}


def sorted_by(listing: Listing, by: str) -> Callable[[Item], Any]:
    """Return what an item is sorted by."""
    shown = SHOWN_AS.get((listing.operation, by))
    member = f"{listing.noun}{by}" if by in {"Name", "Status"} else by
    return shown or (lambda item: item[member])


def check_orders(client: Any, listing: Listing) -> None:
    """Ascending is the reverse of descending, and each is the order that it says."""
    by, way = listing.members.get("SortBy"), listing.members.get("SortOrder")
    if way is None:
        return
    for sort in [{}, *({"SortBy": value} for value in (by.enum if by is not None else ()))]:
        up = everything(client, listing, SortOrder="Ascending", **sort)
        assert up == everything(client, listing, SortOrder="Descending", **sort)[::-1], sort
        assert everything(client, listing, **sort) in (up, up[::-1]), sort
        if not sort:
            continue
        keys = [sorted_by(listing, sort["SortBy"])(item) for item in up]
        assert keys == sorted(keys), (sort, keys)


# --- filters ------------------------------------------------------------------------------------------------------


def name_of(listing: Listing) -> Callable[[Item], str]:
    """Return the name by which an item is filtered."""
    if listing.operation == "ListModelPackages":
        return lambda item: str(item["ModelPackageArn"].partition("/")[2])
    if listing.service in {"sagemaker", "towpath"}:
        return lambda item: str(item[f"{listing.noun}Name"])
    if listing.service == "sqs":  # items are addresses, whose last part is the name
        return lambda item: str(item).rpartition("/")[2]
    return lambda item: str(item["Name"])


def moment_of(member: str) -> Callable[[Item], datetime]:
    """Return the moment that a filter by time is about."""

    def moment(item: Item) -> datetime:
        if member.startswith("LastModified"):
            shown = item["LastModifiedTime"]
        else:
            shown = item["CreationTime"] if "CreationTime" in item else item["StartTime"]
        assert isinstance(shown, datetime)
        return shown

    return moment


def _nothing(_: Item) -> bool:
    return False


def _all(_: Item) -> bool:
    return True


def _named(member: str, *names: str) -> Callable[[Item], bool]:
    return lambda item: item[member] in names


def _has_dimension(name: str) -> Callable[[Item], bool]:
    return lambda item: name in {dimension["Name"] for dimension in item["Dimensions"]}


#: (operation, member) -> what may be asked, each with what passes it.
PARTICULAR: dict[tuple[str, str], list[tuple[Any, Callable[[Item], bool]]]] = {
    ("ListTrainingJobs", "WarmPoolStatusEquals"): [("Available", _nothing)],
    ("ListTrainingJobs", "TrainingPlanArnEquals"): [
        ("arn:aws:sagemaker:us-east-1:000000000000:training-plan/none", _nothing)
    ],
    ("ListModelPackageGroups", "CrossAccountFilterOption"): [("SameAccount", _all), ("CrossAccount", _nothing)],
    ("ListFunctions", "FunctionVersion"): [("ALL", _all)],  # there is no version but the latest
    ("ListFunctions", "MasterRegion"): [("ALL", _all), ("us-east-1", _nothing)],
    ("ListMetrics", "IncludeLinkedAccounts"): [(True, _all), (False, _all)],
    ("ListMetrics", "OwningAccount"): [("000000000000", _all), ("123456789012", _nothing)],
    ("ListMetrics", "RecentlyActive"): [("PT3H", _all)],
    ("ListMetrics", "Dimensions"): [
        ([{"Name": "TrainingJobName"}], _has_dimension("TrainingJobName")),
        ([{"Name": "nobody"}], _nothing),
    ],
    ("ListPipelines", "ManagedBy"): [("CUSTOMER", _all), ("AWS", _nothing)],
    ("ListModelPackages", "ModelPackageType"): [
        ("Both", _all),
        ("Versioned", lambda item: "ModelPackageGroupName" in item),
        ("Unversioned", lambda item: "ModelPackageGroupName" not in item),
    ],
    ("ListModelPackages", "ModelPackageGroupName"): [
        (GROUP, lambda item: item.get("ModelPackageGroupName") == GROUP),
        ("early", _nothing),
    ],
    ("ListPipelineExecutions", "PipelineVersionAlias"): [("old", _named("PipelineExecutionDisplayName", "of-old"))],
    ("ListTrials", "ExperimentName"): [
        ("tasting", _named("TrialName", "evening", "late-tasting")),
        ("early", _named("TrialName", "early")),
        ("late", _named("TrialName", "late")),
    ],
    ("ListTrials", "TrialComponentName"): [
        ("glass", _named("TrialName", "evening", "late-tasting")),
        ("early", _nothing),
    ],
    ("ListTrialComponents", "ExperimentName"): [
        ("tasting", _named("TrialComponentName", "glass", "late")),
        ("early", _nothing),
    ],
    ("ListTrialComponents", "TrialName"): [
        ("evening", _named("TrialComponentName", "glass")),
        ("late-tasting", _named("TrialComponentName", "glass", "late")),
        ("early", _nothing),
    ],
    ("ListSchedules", "GroupName"): [("default", _all), (NOBODY, _nothing)],
    ("ListRules", "EventBusName"): [("default", _all)],
    ("ListRuleNamesByTarget", "EventBusName"): [("default", _all)],
    ("ListTargetsByRule", "EventBusName"): [("default", _all)],
    ("ListPolicies", "Scope"): [
        ("All", _all),
        ("AWS", lambda item: item["Arn"].startswith("arn:aws:iam::aws:")),
        ("Local", lambda item: not item["Arn"].startswith("arn:aws:iam::aws:")),
    ],
    ("ListPolicies", "OnlyAttached"): [(True, lambda item: item["AttachmentCount"] > 0), (False, _all)],
    ("ListPolicies", "PolicyUsageFilter"): [("PermissionsPolicy", _all), ("PermissionsBoundary", _nothing)],
    ("ListAttachedUserPolicies", "PathPrefix"): [("/", _all), ("/nobody/", _nothing)],
    ("ListAttachedRolePolicies", "PathPrefix"): [
        ("/", _all),
        ("/early/", _named("PolicyName", "early")),
        ("/nobody/", _nothing),
    ],
}
#: Lists whose few items the filters do not part.
UNPARTED = {
    "ListAttachedUserPolicies",
    "ListRuleNamesByTarget",
    "ListTargetsByRule",
    "ListTrainingJobsForHyperParameterTuningJob",
}
#: Members of a request that an item shows inside another one.
INSIDE: dict[tuple[str, str], Callable[[Item], Any]] = {
    ("ListActions", "SourceUri"): lambda item: item["Source"]["SourceUri"],
    ("ListArtifacts", "SourceUri"): lambda item: item["Source"]["SourceUri"],
    ("ListContexts", "SourceUri"): lambda item: item["Source"]["SourceUri"],
    ("ListTrialComponents", "SourceArn"): lambda item: item.get("TrialComponentSource", {}).get("SourceArn"),
}


def questions(listing: Listing, member: str, whole: list[Item]) -> list[tuple[Any, Callable[[Item], bool]]]:
    """Return what may be asked by a filter, each with whether an item passes it."""
    particular = PARTICULAR.get((listing.operation, member))
    if particular is not None:
        return particular
    shape = listing.members[member]
    if shape.type_name == "timestamp":
        return _moments(member, whole)
    if member.endswith(("Contains", "NamePrefix")):
        return _parts(listing, member, whole)
    if member == "PathPrefix":
        paths = sorted({item["Path"] for item in whole})
        return [(path, partial(_begins, path, lambda item: str(item["Path"]))) for path in [*paths, "/nobody/"]]
    shown = INSIDE.get((listing.operation, member))
    if shown is None:
        name = f"{listing.noun}Status" if member == "StatusEquals" else member
        if listing.operation == "ListTrainingJobsForHyperParameterTuningJob":
            name = "TrainingJobStatus"
        shown = partial(_member, name)
    words = getattr(shape, "enum", None) or ()
    values = {shown(item) for item in whole} - {None} | set(words)
    if shape.type_name == "string" and not words and not member.endswith("Arn"):
        values.add(NOBODY)
    return [(value, partial(_equals, value, shown)) for value in sorted(values)]


def _moments(member: str, whole: list[Item]) -> list[tuple[datetime, Callable[[Item], bool]]]:
    """Return whole seconds, which is what boto3 sends: before all, after all, and between."""
    seconds = sorted({int(moment_of(member)(item).timestamp()) for item in whole})
    bounds = sorted({seconds[0], seconds[len(seconds) // 2], seconds[-1], seconds[-1] + 1})
    passes = _from if member.endswith("After") else _until
    moments = [datetime.fromtimestamp(second, UTC) for second in bounds]
    return [(bound, partial(passes, bound, moment_of(member))) for bound in moments]


def _parts(listing: Listing, member: str, whole: list[Item]) -> list[tuple[str, Callable[[Item], bool]]]:
    """Return beginnings and parts of the names that there are."""
    name = name_of(listing)
    names = sorted({name(item) for item in whole})
    texts = sorted({names[0], names[-1][:3], names[-1][:1], NOBODY})
    if not member.endswith("Contains"):
        return [(text, partial(_begins, text, name)) for text in texts]
    inner = [text[1:] or text for text in texts]
    return [(text, partial(_contains, text, name)) for text in [*inner, *map(str.upper, texts)]]


def _from(bound: datetime, of: Callable[[Item], datetime], item: Item) -> bool:
    return of(item) >= bound


def _until(bound: datetime, of: Callable[[Item], datetime], item: Item) -> bool:
    return of(item) <= bound


def _begins(text: str, of: Callable[[Item], str], item: Item) -> bool:
    return of(item).startswith(text)


def _contains(text: str, of: Callable[[Item], str], item: Item) -> bool:
    return text.lower() in of(item).lower()


def _equals(value: Any, of: Callable[[Item], Any], item: Item) -> bool:
    return bool(of(item) == value)


def _member(name: str, item: Item) -> Any:
    return item.get(name)


def check_filters(client: Any, listing: Listing) -> None:
    """Each filter narrows to what it says, alone and in the smallest pages."""
    whole = everything(client, listing)
    narrowed = False
    filters = set(listing.members) - {*ORDER, *TOKENS, *SIZES} - (set(listing.given) - set(listing.widest))
    for member in sorted(filters):
        asked = questions(listing, member, whole)
        assert asked, f"nothing is known to ask by {member}"
        for value, passes in asked:
            wanted = [item for item in whole if passes(item)]
            request = {**listing.widest, member: value}
            assert listed(client, listing, **request) == wanted, (member, value)
            assert listed(client, listing, _smallest(listing), **request) == wanted, (member, value, "in pages")
            narrowed = narrowed or 0 < len(wanted) < len(whole)
    assert narrowed == (bool(filters) and len(whole) > 1 and listing.operation not in UNPARTED), (
        "does a filter part it?"
    )


def _smallest(listing: Listing) -> int:
    sized = listing.one_of(SIZES)
    return 1 if sized is None else max(1, listing.members[sized].metadata.get("min", 1))


# --- what is listed -----------------------------------------------------------------------------------------------


def whose(aws: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return whose list each operation is asked for; SERVICE.OPERATION where two services share a name."""
    execution = of(aws, "ListPipelineExecutions", "PipelineExecutionArn", PipelineName="wine", SortOrder="Ascending")
    group = of(aws, "ListModelPackageGroups", "ModelPackageGroupArn", NameContains=GROUP)
    return {
        "ListModelCardVersions": {"ModelCardName": "wine"},
        "ListPipelineExecutionSteps": {"PipelineExecutionArn": execution},
        "ListPipelineExecutions": {"PipelineName": "wine"},
        "ListPipelineParametersForExecution": {"PipelineExecutionArn": execution},
        "ListPipelineVersions": {"PipelineName": "wine"},
        "ListTags": {"ResourceArn": group},
        "ListTrainingJobsForHyperParameterTuningJob": {"HyperParameterTuningJobName": "trees"},
        "ListDatasetCheckOuts": {"DatasetName": "wine"},
        "ListDatasetVersions": {"DatasetName": "wine"},
        "ListTriggerDeliveries": {"TriggerName": "harvest"},
        "ListRuleNamesByTarget": {"TargetArn": NOWHERE},
        "ListTargetsByRule": {"Rule": "harvest"},
        "ListTagsForResource": {"ResourceARN": aws["events"].describe_rule(Name="harvest")["Arn"]},
        "cloudwatch.ListTagsForResource": {
            "ResourceARN": aws["cloudwatch"].describe_alarms()["MetricAlarms"][0]["AlarmArn"]
        },
        "ListAccessKeys": {"UserName": "ada"},
        "ListAttachedRolePolicies": {"RoleName": "Trainer"},
        "ListAttachedUserPolicies": {"UserName": "ada"},
        "ListRolePolicies": {"RoleName": "Trainer"},
    }


#: What makes an operation list all that there is.
WIDEST: dict[str, dict[str, Any]] = {"ListModelPackages": {"ModelPackageType": "Both"}}


def more(aws: Mapping[str, Any], name: str) -> None:
    """Make one more of each record, of a name of its own."""
    sagemaker = aws["sagemaker"]
    sagemaker.create_experiment(ExperimentName=name)
    sagemaker.create_trial(TrialName=name, ExperimentName=name)
    sagemaker.create_trial_component(TrialComponentName=name)
    source = {"SourceUri": f"cellar/{name}"}
    sagemaker.create_artifact(ArtifactName=name, ArtifactType="Notes", Source=source)
    sagemaker.create_action(ActionName=name, ActionType="Pressing", Source=source)
    sagemaker.create_context(ContextName=name, ContextType="Place", Source=source)
    sagemaker.create_model_card(ModelCardName=name, Content="{}", ModelCardStatus="Draft")
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    aws["s3"].create_bucket(Bucket=name)
    aws["s3"].put_object(Bucket=name, Key="model.tar.gz", Body=script("", "nothing.py"))
    sagemaker.create_model_package(
        ModelPackageName=f"{name}-alone",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{name}/model.tar.gz"}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "only", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition()), RoleArn=ROLE)
    aws["iam"].create_user(UserName=name, Path=f"/{name}/")
    aws["iam"].create_role(RoleName=name, Path=f"/{name}/", AssumeRolePolicyDocument="{}")
    aws["iam"].create_policy(PolicyName=name, Path=f"/{name}/", PolicyDocument="{}")
    aws["events"].put_rule(Name=name, EventPattern='{"source": ["nobody"]}')
    aws["events"].put_targets(Rule=name, Targets=[{"Id": "press", "Arn": NOWHERE}])
    aws["scheduler"].create_schedule(
        Name=name,
        ScheduleExpression="rate(9 days)",
        FlexibleTimeWindow={"Mode": "OFF"},
        State="DISABLED",
        Target={"Arn": NOWHERE, "RoleArn": ROLE},
    )
    # What is deleted is listed, too.
    sagemaker.create_experiment(ExperimentName=f"{name}-gone")
    sagemaker.delete_experiment(ExperimentName=f"{name}-gone")
    sagemaker.create_action(ActionName=f"{name}-gone", ActionType="Pressing", Source=source)
    sagemaker.delete_action(ActionName=f"{name}-gone")


def more_of_the_story(aws: Mapping[str, Any]) -> None:
    """Make more of what hangs on what the story has left behind, and wait until all of it stands still."""
    sagemaker = aws["sagemaker"]
    sagemaker.update_pipeline(PipelineName="wine", PipelineDefinition=json.dumps(definition()) + "\n\n")
    started = sagemaker.start_pipeline_execution(
        PipelineName="wine", PipelineVersionId=1, PipelineExecutionDisplayName="of-old"
    )
    wait_for_execution(sagemaker, started["PipelineExecutionArn"])
    sagemaker.create_trial(TrialName="late-tasting", ExperimentName="tasting")
    for component in ("glass", "late"):
        sagemaker.associate_trial_component(TrialComponentName=component, TrialName="late-tasting")
    sagemaker.update_model_card(ModelCardName="wine", ModelCardStatus="Approved")
    for number in range(2):
        aws["s3"].put_object(Bucket="golden", Key=f"raw/{number}.csv", Body=f"{number},1\n".encode())
        aws["towpath"].create_dataset_version(DatasetName="wine", S3Uri="s3://golden/raw/")
        aws["towpath"].create_dataset_version(DatasetName=f"barrel-{number}", S3Uri="s3://golden/raw/")
        aws["towpath"].check_out_dataset(DatasetName="wine", Version=number + 1, Purpose=f"look {number}")
        aws["towpath"].put_job_secret(Name=f"secret-{number}", Value="hidden away")
        sagemaker.create_transform_job(TransformJobName=f"late-{number}", **transform("wine"))
        sagemaker.create_endpoint(EndpointName=f"late-{number}", EndpointConfigName="wine")
        sagemaker.create_training_job(TrainingJobName=f"late-{number}", **training("train", "s3://golden/raw/"))
    group = of(aws, "ListModelPackageGroups", "ModelPackageGroupArn", NameContains=GROUP)
    sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": f"key-{n:02}", "Value": str(n)} for n in range(50)])
    rule = aws["events"].describe_rule(Name="harvest")["Arn"]
    aws["events"].tag_resource(ResourceARN=rule, Tags=[{"Key": key, "Value": key} for key in "ab"])
    aws["events"].put_targets(Rule="harvest", Targets=[{"Id": f"press-{n}", "Arn": NOWHERE} for n in range(2)])
    for role in ("Viewer", "Operator", "Approver"):
        aws["iam"].attach_user_policy(UserName="ada", PolicyArn=f"arn:aws:iam::aws:policy/Towpath{role}")
        aws["iam"].attach_role_policy(RoleName="Trainer", PolicyArn=f"arn:aws:iam::aws:policy/Towpath{role}")
        aws["iam"].put_role_policy(RoleName="Trainer", PolicyName=role, PolicyDocument="{}")
    for policy in aws["iam"].list_policies()["Policies"]:
        if policy["PolicyName"] in {"Reader", "early"}:
            aws["iam"].attach_role_policy(RoleName="Trainer", PolicyArn=policy["Arn"])
    for _ in range(2):
        aws["iam"].create_access_key(UserName="ada")
    soon = {"Delay": 1, "MaxAttempts": 300}
    for number in range(2):
        sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
            TransformJobName=f"late-{number}", WaiterConfig=soon
        )
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName=f"late-{number}", WaiterConfig=soon
        )
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=f"late-{number}", WaiterConfig=soon)
