"""Steps as an execution's list shows them."""

from towpath.sdk.executions import step_run


def test_a_step_of_a_round_is_named_by_its_number() -> None:
    context = {"ParentStepName": "Tries", "Index": 2, "Item": "5"}
    metadata = {"TrainingJob": {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/j"}}
    step = step_run({"StepName": "Train", "IterationContext": context, "Metadata": metadata})
    assert (step.name, step.type, step.job) == ("Train[2]", "TrainingJob", "j")


def test_the_job_of_a_check_is_at_hand() -> None:
    told = {"CheckType": "DATA_QUALITY", "CheckJobArn": "arn:aws:sagemaker:us-east-1:000000000000:processing-job/j"}
    step = step_run({"StepName": "Check", "StepStatus": "Failed", "Metadata": {"QualityCheck": told}})
    assert (step.type, step.job) == ("ProcessingJob", "j")
