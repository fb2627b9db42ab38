"""Fetches a secret by its name in Parameter Store; it is never on a command line, in a log or in a file."""

from __future__ import annotations

from userdata.boot.machine.commands import CommandError, answer_of
from userdata.boot.machine.step_error import StepError
from userdata.contract.patience import Patience

CALL_SECONDS = 60
PATIENCE = Patience(attempts=4, first_pause=2)


def read_secret(name: str, *, patience: Patience = PATIENCE) -> str:
    """The value of the parameter `name`, a SecureString. Raises `StepError` when it cannot be had or is empty."""
    command = ["aws", "ssm", "get-parameter", "--name", name, "--with-decryption"]
    command += ["--query", "Parameter.Value", "--output", "text"]
    try:
        value = patience.retry(lambda: answer_of(command, seconds=CALL_SECONDS), on=CommandError).strip()
    except CommandError as error:
        raise StepError(_explain(name, str(error))) from error
    if not value:
        raise StepError(_explain(name, "it is empty"))
    return value


def _explain(name: str, why: str) -> str:
    return (
        f"The token {name} could not be read from Parameter Store: {why}. Store it in the stack's region: "
        f"`aws ssm put-parameter --type SecureString --name {name} --value file://token.txt`"
    )
