"""Options that all commands share: which stack, in which region, with whose credentials. Loads no library of AWS."""

from __future__ import annotations

from typing import Annotated

import typer

from stacks.facts.usual_stack import USUAL_STACK

Stack = Annotated[str, typer.Option(metavar="NAME", help="The CloudFormation stack.")]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="The AWS region; default: as for `aws`.")]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="The AWS profile.")]
STACK = USUAL_STACK
