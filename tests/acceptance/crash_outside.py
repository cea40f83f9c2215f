"""Somebody outside of the platform, who answers what steps ask and stops what waits to be stopped."""

import json
import threading

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from tests.acceptance.crash_shapes import answer_to
from tests.acceptance.test_crashes import Story


class Outside(threading.Thread):
    """Answers what is asked in the queue, and stops the jobs that wait to be stopped, through all deaths of the server.

    A message is deleted when its answer was taken; until then it comes back. What was answered once may be answered
    again, since an answer that was taken may not have been heard of.
    """

    def __init__(self, story: Story, queue: str) -> None:
        super().__init__()
        self.refused: list[str] = []  #: why answers were not taken
        self.failure: Exception | None = None
        self._story = story
        self._queue = queue
        self._stopped: set[str] = set()
        self._over = threading.Event()

    def run(self) -> None:
        """Go on until it is told to end."""
        while not self._over.is_set():
            try:
                self._stop_jobs()
                self._answer()
            except (NoConnection, HTTPClientError):
                self._over.wait(0.02)  # the server is down; there is nobody else to ask when it is back
            except Exception as error:  # noqa: BLE001 - raised where it is ended
                self.failure = error
                return

    def end(self) -> None:
        """End it."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _stop_jobs(self) -> None:
        for who in self._story.recorder.running():
            _, step, job = who.split()
            if step.startswith("Halting") and job not in self._stopped:
                self._story.aws["sagemaker"].stop_processing_job(ProcessingJobName=job)
                self._stopped.add(job)

    def _answer(self) -> None:
        sqs, sagemaker = self._story.aws["sqs"], self._story.aws["sagemaker"]
        got = sqs.receive_message(QueueUrl=self._queue, VisibilityTimeout=1, MaxNumberOfMessages=10)
        if not got.get("Messages"):
            self._over.wait(0.05)
        for message in got.get("Messages", ()):
            asked = json.loads(message["Body"])
            # What nobody answers is gone with its message.
            if asked["status"] == "Executing" and not asked["arguments"]["step"].startswith("Silent"):
                token = asked["token"]
                answer = {"Name": "answer", "Value": answer_to(asked["arguments"]["step"])}
                try:
                    sagemaker.send_pipeline_execution_step_success(
                        CallbackToken=token, OutputParameters=[answer], ClientRequestToken=token.ljust(32, "0")
                    )
                except ClientError as error:
                    self.refused.append(str(error))
            sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
