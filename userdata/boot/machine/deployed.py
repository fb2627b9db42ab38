"""The deployed parameters, for the modules that power the machine off."""

from __future__ import annotations

import logging
from typing import Dict

from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters

logger = logging.getLogger(__name__)
# The value of AfterRun and of OnFailure that leaves the machine running.
KEEP = "keep"


def deployed_parameters(folders: Folders) -> Dict[str, str]:
    """The deployed parameters; none, and an error in the log, when they cannot be read."""
    try:
        return read_parameters(folders.parameters)
    except (OSError, ValueError) as error:
        logger.error("the parameters cannot be read: %s", error)
        return {}
