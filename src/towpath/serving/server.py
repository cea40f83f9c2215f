"""Loads the model, binds the socket, says that it is ready, and serves until SIGTERM."""

import argparse
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlparse

import uvicorn

from towpath.runner.toolkit import not_judged, unmet_requirements
from towpath.serving.application import ModelApplication
from towpath.serving.handlers import Handlers, ScriptError, load, load_script

SOCKET = "run/model.sock"  #: below the base folder
KEEP_ALIVE_S = 75  #: longer than the front door keeps idle connections, so that it is never the model that hangs up


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the model of this job; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m towpath.serving", description="Serve the model below /opt/ml.")
    parser.add_argument("--base", type=Path, help="folder that stands for /opt/ml (SAGEMAKER_BASE_DIR)")
    parser.add_argument("--port", type=int, help="TCP port on loopback (SAGEMAKER_BIND_TO_PORT); else run/model.sock")
    asked = parser.parse_args(arguments)
    environment = os.environ
    base = (asked.base or Path(environment.get("SAGEMAKER_BASE_DIR") or "/opt/ml")).absolute()
    level = environment.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "")
    logging.basicConfig(level=int(level) if level.isdigit() else logging.INFO, stream=sys.stderr, format="%(message)s")

    began = time.monotonic()
    try:
        handlers = load_handlers(base, environment)
    except ScriptError as error:
        sys.exit(str(error))  # the sentence says it all; a traceback through our own frames would bury it
    logging.info("Model loaded in %.1f s", time.monotonic() - began)

    # Relative to the working folder: the absolute path of a job's folder may be longer than the 107 bytes that the
    # address of a Unix socket can hold.
    os.chdir(base)
    port = asked.port
    if port is None and environment.get("SAGEMAKER_BIND_TO_PORT") and "TOWPATH_READY_FD" not in environment:
        port = int(environment["SAGEMAKER_BIND_TO_PORT"])  # the platform itself always asks for the Unix socket
    listener = unix_listener(SOCKET) if port is None else tcp_listener(port)
    application = ModelApplication(
        handlers,
        queue=int(environment.get("TOWPATH_SERVING_QUEUE") or 100),
        body_limit=int(environment.get("TOWPATH_SERVING_BODY_LIMIT") or 6 * 1024 * 1024),
    )
    serve(application, listener, environment)
    return 0


def load_handlers(base: Path, environment: Mapping[str, str]) -> Handlers:
    """Return the model below `base` and its handlers, by the environment variables of the SageMaker contract."""
    program = environment.get("SAGEMAKER_PROGRAM") or "inference.py"
    code = code_folder(base, environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or "")
    if "TOWPATH_LAYER" not in environment:  # else the platform has added what was missing
        refuse_unmet_requirements(code / "requirements.txt")
    return load(load_script(code, program), base / "model")


def refuse_unmet_requirements(requirements: Path) -> None:
    """Hold a serving script to its requirements.txt where the platform made no layer of it.

    Raises:
        ScriptError: the environment does not hold what the file asks for.
    """
    for line in not_judged(requirements):
        logging.warning(line)
    unmet = unmet_requirements(requirements)
    if unmet:
        raise ScriptError(
            f"requirements.txt asks for what this environment does not hold: {'; '.join(unmet)}. Install it into the "
            f"environment of {sys.executable}, or map the image to another environment"
        )


def code_folder(base: Path, submit_directory: str) -> Path:
    """Return where the handler script lies: the submit directory, or `model/code` when it is not given.

    A submit directory in S3 was unpacked to `code` before the job started.
    """
    location = urlparse(submit_directory)
    if location.scheme == "s3":
        return base / "code"
    if location.path.startswith("/opt/ml/"):
        return base / location.path.removeprefix("/opt/ml/")
    return Path(location.path) if location.path else base / "model" / "code"


def unix_listener(path: str) -> socket.socket:
    """Return a listening Unix socket at `path`, relative to the working folder; a stale one is replaced."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1024)
    return listener


def tcp_listener(port: int) -> socket.socket:
    """Return a listening socket on loopback."""
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def serve(application: ModelApplication, listener: socket.socket, environment: Mapping[str, str]) -> None:
    """Serve on `listener` until SIGTERM or SIGINT; requests that have begun are finished first."""
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(environment.get("SAGEMAKER_MODEL_SERVER_TIMEOUT") or 60),
    )
    # uvicorn raises the signal again once it has shut down, for whoever handled it before; that is nobody, and the
    # default would make an orderly end look like a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # The kernel queues connections from here on, so the first request may come before the loop runs.
    announce_ready(environment)
    uvicorn.Server(config).run(sockets=[listener])


def announce_ready(environment: Mapping[str, str]) -> None:
    """Write a byte to the descriptor that the runner waits on, where there is one."""
    descriptor = environment.get("TOWPATH_READY_FD")
    if descriptor:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
