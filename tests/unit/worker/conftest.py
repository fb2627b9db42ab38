from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from userdata.job.job import Job
from userdata.worker.bucket.bucket import Bucket
from userdata.worker.process.settings import Settings

# The workers of pytest-xdist share the machine: more threads each would only fight one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BUCKET = "results"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model `tiny`, made once for all tests of a process."""
    from userdata.worker.model.tiny_model import make_tiny_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_model(folder)
    return folder


@pytest.fixture
def kept_loaded_ends_with_the_test() -> Iterator[None]:
    """What a process keeps prepared has set how all of the process computes attention."""
    import torch

    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    yield
    torch.backends.cuda.enable_cudnn_sdp(before)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty, versioned bucket of an emulated S3."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield Bucket(BUCKET)


@pytest.fixture
def settings(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Settings:
    """A machine without a GPU, all of whose folders are below `tmp_path`, and which logs as the worker does."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("SD_PREFIX", str(tmp_path / "machine"))
    return Settings.read(
        {
            "SD_BUCKET": BUCKET,
            "SD_INSTANCE_ID": "i-0123456789abcdef0",
            "SD_INSTANCE_TYPE": "g5.xlarge",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SD_MODEL_FOLDER": str(tiny_model),
            "SD_BOOT_STARTED_AT": "2026-01-01T00:00:00.000Z",
            "SD_DEVICE": "cpu",
            "STATE_DIRECTORY": str(tmp_path / "state"),
        }
    )


@pytest.fixture
def parameters() -> Callable[..., dict[str, str]]:
    """Deployed parameters as the instance reads them, all as text: a small job of six images, and what is given."""

    def deploy(**given: str) -> dict[str, str]:
        small = {"Model": "tiny", "Height": "64", "Width": "72", "Steps": "4", "Sampler": "ddim"}
        defaults = {name: str(value) for name, value in Job().model_dump(by_alias=True).items()}
        return {**defaults, **small, "IdleMinutes": "0", "AfterRun": "stop", **given}

    return deploy
