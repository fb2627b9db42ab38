"""The plot of the GPU is 80 columns wide at most, whatever the file says."""

from __future__ import annotations

import pytest

from scripts.command_line.results.gpu_plot import gpu_plot

HEAD = "timestamp,gpu_percent,memory_percent,memory_used_mib,power_w\n"


def csv_of(*values: object) -> bytes:
    times = (
        f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z" for second in range(len(values))
    )
    return (HEAD + "".join(f"{at},{value},1,2,3\n" for at, value in zip(times, values, strict=True))).encode()


def test_it_rises_and_falls_with_the_gpu() -> None:
    assert gpu_plot(csv_of(0, 50, 100, 25)) == [
        "100%   █",
        "       █",
        "      ██",
        "  0%  ███",
        "     GPU busy: 44% on average over 3 s.",
    ]


def test_a_long_run_fits_into_80_columns() -> None:
    lines = gpu_plot(csv_of(*([100] * 5000)))
    assert {len(line) for line in lines[:-1]} == {79}


@pytest.mark.parametrize("content", [b"", b"\x00\xff", csv_of("[N/A]", ""), b"a" * 200_000])
def test_what_has_no_sample_has_no_plot(content: bytes) -> None:
    assert gpu_plot(content) == []


def test_what_is_odd_stays_within_the_plot() -> None:
    lines = gpu_plot(csv_of("\x1b[31m", "1e300", "-5", "nan", 50))
    assert lines[-1].startswith("     GPU busy: ")
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
