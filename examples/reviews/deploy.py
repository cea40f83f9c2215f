"""The second pipeline: an approved version goes into production, unless it fails its smoke test.

    CreateModel ─┬─► Ask ─► SmokeTest ─► Config ─► Serve
    Questions ───┘

A trigger starts it for each version that somebody approves, see README.md. The new model is tried before the endpoint
is touched: Ask loads it as the endpoint will, with the same handlers and packages, and has it answer the texts of
`samples.json`. Where it does not load, fails over one of them or misjudges what is plain, the execution has failed with
the reason, and the version before goes on answering.
"""

from towpath import CreateModel, Endpoint, EndpointConfig, Pipeline, Processing, Transform, parameter

version = parameter("ModelPackageArn", type=str)  # no default: each execution deploys the version that it is given
endpoint = parameter("Endpoint", "reviews")

create = CreateModel("CreateModel", package=version, description="Refused for a version that is not approved")

questions = Processing(
    "Questions",
    script="smoke.py",
    include=["samples.json"],
    arguments=["ask"],
    outputs=["questions"],
    description="Write down what the model will be asked",
)
ask = Transform(
    "Ask",
    model=create.model_name,
    data=questions.output("questions"),
    join=True,  # each answer stays with its question
    retries=0,  # a model that fails over a question has failed
    description="Have the model answer, before anybody depends on it",
)
smoke_test = Processing(
    "SmokeTest",
    script="smoke.py",
    arguments=["check"],
    inputs={"answers": ask.output},
    description="Refuse answers that are plainly wrong",
)

config = EndpointConfig("Config", model=create, depends_on=[smoke_test])
serve = Endpoint("Serve", endpoint=endpoint, config=config, description="Answer with this version from now on")

pipeline = Pipeline(
    "reviews-deploy",
    description="From an approved version to the endpoint that answers with it",
    parameters=[version, endpoint],
    steps=[create, questions, ask, smoke_test, config, serve],
)
