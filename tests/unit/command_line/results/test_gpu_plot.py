"""The plot of the GPU is 80 columns wide at most, whatever the file says."""

from __future__ import annotations

import pytest

from scripts.command_line.results.gpu_plot import gpu_plot

HEAD = "timestamp,gpu_percent,memory_percent,memory_used_mib,power_w\n"


def csv_of(*values: object) -> bytes:
    return (HEAD + "".join(f"2026-01-01T00:00:00Z,{value},1,2,3\n" for value in values)).encode()


def test_it_rises_and_falls_with_the_gpu() -> None:
    assert gpu_plot(csv_of(0, 50, 100, 25)) == [
        "100%   █",
        "       █",
        "      ██",
        "  0%  ███",
        "     GPU busy: 44% on average over 4 s, 100% at most.",
    ]


def test_a_long_run_fits_into_80_columns() -> None:
    lines = gpu_plot(csv_of(*([100] * 5000)))
    assert {len(line) for line in lines[:-1]} == {79}


@pytest.mark.parametrize("content", [b"", b"\x00\xff", csv_of("nan", "1e999", "-5", "101", "[N/A]"), b"a" * 200_000])
def test_what_has_no_sample_has_no_plot(content: bytes) -> None:
    assert gpu_plot(content) == []


def test_a_line_that_is_odd_costs_itself_alone() -> None:
    assert gpu_plot(csv_of("\x1b[31m", 50))[-1] == "     GPU busy: 50% on average over 1 s, 50% at most."
