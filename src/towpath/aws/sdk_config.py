"""The defaults file of the SageMaker SDKs, which 2.x and 3.x read in one schema.

It is the only way to name the default bucket before the SDKs ask STS for it, and the only one to keep them from sending
telemetry to AWS: neither has a variable.
"""

from __future__ import annotations

import os
from pathlib import Path

_TEXT = """\
# Written by `towpath env` and `towpath exec`, anew each time.
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: "{bucket}"
      RemoteFunction:
        RoleArn: "{role}"
  Pipeline:
    RoleArn: "{role}"
  ProcessingJob:
    RoleArn: "{role}"
  TrainingJob:
    RoleArn: "{role}"
  Model:
    ExecutionRoleArn: "{role}"
  FeatureGroup:
    RoleArn: "{role}"
  MonitoringSchedule:
    MonitoringScheduleConfig:
      MonitoringJobDefinition:
        RoleArn: "{role}"
"""


def write(folder: Path, *, account: str, region: str, role: str) -> Path:
    """Write the file into a folder, whole or not at all, and return its path."""
    folder.mkdir(exist_ok=True, parents=True, mode=0o700)
    file = folder / "sagemaker.yaml"
    text = _TEXT.format(bucket=f"sagemaker-{region}-{account}", role=role)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        # Shells that start side by side write the same; nobody may read half of it.
        new = folder / f"{file.name}.{os.getpid()}"
        new.write_text(text, encoding="utf-8")
        new.replace(file)
    return file
