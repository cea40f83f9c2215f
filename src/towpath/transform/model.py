"""The process of the model: loads it as the model server does, and answers payload after payload."""

import gc
import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from towpath.transform.channel import ANSWER, FAILED, READY, REFUSED, Frame, ModelEnd

MESSAGE_CHARACTERS = 1024  #: of the error that is told; the log holds all of it


def run(base: Path, environment: Mapping[str, str], channel: ModelEnd, *, content_type: str, accept: str) -> int:
    """Load the model below `base` and answer until the driver hangs up; return the exit code.

    What the model's code raises while it is loaded goes to the log, where the reason of the job's failure is read.
    """
    # Here and not above: the driver, of which this process is a fork, needs none of it.
    from towpath.serving.content import UnreadableBody, UnsupportedAccept, UnsupportedContentType
    from towpath.serving.handlers import ScriptError
    from towpath.serving.server import load_handlers

    began = time.monotonic()
    try:
        handlers = load_handlers(base, environment)
    except ScriptError as error:
        print(error, file=sys.stderr)  # the sentence says it all
        return 1
    logging.info("Model loaded in %.1f s", time.monotonic() - began)
    gc.freeze()  # what is there now stays; looking through it again and again would be for nothing
    channel.send(Frame(READY, b""))
    while (frame := channel.receive()) is not None:
        try:
            body, _ = handlers.answer(frame.data, content_type, accept)
            told = Frame(ANSWER, body)
        except (UnreadableBody, UnsupportedContentType, UnsupportedAccept) as error:
            told = _about(REFUSED, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the script's, whose sys.exit() is a failure as well
            traceback.print_exc(file=sys.stderr)
            told = _about(FAILED, f"{type(error).__name__}: {error}")
        channel.send(told)
    return 0


def _about(word: bytes, text: str) -> Frame:
    return Frame(word, text[:MESSAGE_CHARACTERS].encode("utf-8", "replace"))


def enter(base: Path, environment: Mapping[str, str], channel: ModelEnd, *, content_type: str, accept: str) -> None:
    """Be the model's process, in a fork of the driver. Never returns."""
    code = 1
    try:
        level = environment.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "")
        logging.basicConfig(
            level=int(level) if level.isdigit() else logging.INFO, stream=sys.stderr, format="%(message)s"
        )
        code = run(base, environment, channel, content_type=content_type, accept=accept)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if not isinstance(error.code, int | None):
            print(error.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - this fork must end here, and the log must say why
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
