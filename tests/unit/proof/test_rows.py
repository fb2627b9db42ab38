"""The table is narrow, and the report keeps no secret."""

from __future__ import annotations

from pathlib import Path

from scripts.proof.rows import WIDTH, Report, Row, table_of

ROWS = [
    Row("first boot", "its run", "done, 1 of 1", "failed: " + "no space left on the device; " * 6, "no"),
    Row("first boot", "an hour of g4dn.xlarge", "$0.526", "$0.526", "yes"),
    Row("umlaut", "on the instance", "ein Bär [bold]", "\x1b[31mein Bär [bold]", "no"),
]


def test_no_line_is_wider_than_80_columns_and_no_word_is_lost() -> None:
    table = table_of(ROWS)
    lines = table.splitlines()
    assert max(map(len, lines)) <= WIDTH == 80
    assert " ".join("".join(line[48:71] for line in lines).split()).count("device;") == 6
    assert [line for line in lines if line.startswith("[")] == ["[first boot]", "[umlaut]"]
    assert r"\x1b[31mein Bär [bold]" in " ".join(line[48:71].strip() for line in lines)


def test_the_report_has_the_table_and_what_was_printed_but_no_secret(tmp_path: Path) -> None:
    report = Report(tmp_path / "new", "sd-on-ec2 in AWS", secrets=["123456789012"], rows=ROWS)
    noise = "\n".join(f"line {number}" for number in range(200))
    report.add_output(
        "cdk deploy", f"{noise}\narn:aws:iam::123456789012:user/me AKIAIOSFODNN7EXAMPLE {Path.home()}/x\n```"
    )
    report.facts.append("boots/i-1/now.facts.txt\nTesla T4, 123456789012")
    report.write()
    text = (tmp_path / "new/proof.md").read_text("utf-8")
    assert "an hour of g4dn.xlarge" in text
    assert "Tesla T4, ************" in text
    assert "    line 199\n    arn:aws:iam::************:user/me **** ~/x\n" in text
    assert "line 3\n" not in text
    assert "[142 lines left out]" in text
