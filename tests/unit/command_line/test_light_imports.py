from __future__ import annotations

import subprocess
import sys

# What takes a second or more to import, and starts a process of its own: the CDK's runtime.
HEAVY = {"aws_cdk", "jsii", "torch", "diffusers", "transformers", "moto"}


def test_the_command_line_answers_at_once() -> None:
    code = f"import sys, scripts.command_line.main; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
