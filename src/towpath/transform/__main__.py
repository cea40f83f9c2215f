"""`python -m towpath.transform`: be the driver of a transform job whose /opt/ml is SAGEMAKER_BASE_DIR."""

import os
import sys
from pathlib import Path

from towpath.transform.channel import ModelEnd
from towpath.transform.driver import Driver
from towpath.transform.feeding import ForkedModel, ModelGone
from towpath.transform.model import enter
from towpath.transform.settings import FAILURE, read


def main() -> int:
    """Transform the files of the job; return the exit code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml").absolute()
    settings = read(base)
    if not settings.sources:
        say("There is no file for this host")
        return 0

    def life(channel: ModelEnd) -> None:
        # What the model server takes a request for that says nothing.
        content_type, accept = settings.content_type or "application/json", settings.accept or "*/*"
        enter(base, os.environ, channel, content_type=content_type, accept=accept)

    model = ForkedModel(life)
    try:
        model.start()
        outcome = Driver(base, settings, model, say).run()
    except ModelGone as gone:
        return gone.exit_code  # its last lines are the last of the log, where the reason is read
    model.close()
    if outcome.reason is None:
        return 0
    (base / FAILURE).write_text(outcome.reason, "utf-8")
    return 1


def say(line: str) -> None:
    """Write a line of the log."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
