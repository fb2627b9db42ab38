from __future__ import annotations

import os
from pathlib import Path

import pytest

# The workers of pytest-xdist share the machine: more threads each would only fight one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model `tiny`, made once for all tests of a process."""
    from userdata.worker.tiny_model import make_tiny_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_model(folder)
    return folder
