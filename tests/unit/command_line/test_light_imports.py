from __future__ import annotations

import subprocess
import sys

from scripts.command_line.main import COMMANDS

# What takes long to import: AWS's library, the CDK's runtime, what draws, emulates and serves pages.
HEAVY = {"boto3", "botocore", "aws_cdk", "jsii", "torch", "diffusers", "transformers", "moto", "starlette", "PIL"}
CODE = """
import sys, typer
from scripts.command_line.main import app

group = typer.main.get_command(app)
group.main(["status", "--help"], prog_name="sd", standalone_mode=False)
alone = {name for name in sys.modules if "_command" in name and name.count(".") == 2}
group.main(["--help"], prog_name="sd", standalone_mode=False)
print(sorted(alone), sorted(HEAVY & set(sys.modules)))

import scripts.command_line.deploying.deploy, scripts.command_line.generating.generate
from userdata.batch.documents import Batch
print(sorted(LATER & set(sys.modules)), Batch.__pydantic_complete__)
"""
# What a deploy and `sd generate` load only behind their first questions to AWS, or not at all.
LATER = {"PIL", "psutil", "sqlite3", "scripts.command_line.before.doctor", "userdata.boot.fetch.hub"}


def test_help_imports_one_command_and_nothing_heavy() -> None:
    """And the list of all commands imports them all, still without anything heavy.

    Until a deploy asks AWS, it loads no library and builds no schema that only a later step needs.
    """
    code = CODE.replace("HEAVY", repr(HEAVY)).replace("LATER", repr(LATER))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-2:] == ["['scripts.command_line.status_command'] []", "[] False"]


def test_a_command_has_one_place() -> None:
    names = [place.partition(":")[2] for places in COMMANDS.values() for place in places]
    assert len(names) == len(set(names))
