from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from userdata.worker.drawing.batch_size import largest_batch

GIB = 2**30
PIXELS = 512 * 640


@pytest.mark.parametrize(
    ("multiprocessors", "free_gib", "pixels", "expected"),
    [
        (132, 75.0, PIXELS, 20),  # H100
        (80, 20.0, PIXELS, 13),  # A10G
        (40, 12.0, PIXELS, 6),  # T4
        (132, 2.0, PIXELS, 4),  # another process has the rest
        (132, 75.0, 2048 * 2048, 20),
        (80, 20.0, 2048 * 2048, 2),
        (40, 0.1, 2048 * 2048, 1),  # does not fit: one is tried, and refused in words
    ],
)
def test_batch_fills_the_gpu_and_fits_into_its_memory(
    monkeypatch: pytest.MonkeyPatch, multiprocessors: int, free_gib: float, pixels: int, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free_gib * GIB), 80 * GIB))
    properties = SimpleNamespace(multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    assert largest_batch(torch.device("cuda"), pixels=pixels, asked=1) == expected


def test_what_is_decoded_in_tiles_leaves_the_decoder_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(14.5 * GIB), 16 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=80))
    pixels = 2048 * 2048
    assert largest_batch(torch.device("cuda"), pixels=pixels, asked=1) == 1
    assert largest_batch(torch.device("cuda"), pixels=pixels, asked=1, decoded=1024**2) == 4


def test_on_the_cpu_the_job_decides() -> None:
    assert largest_batch(torch.device("cpu"), pixels=PIXELS, asked=5) == 5
