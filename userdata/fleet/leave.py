"""`python3 -m userdata.fleet.leave [WHY]`: takes this machine out of its group; with WHY it has failed.

For whatever powers a machine off. On a machine that is in no group it does nothing. Whoever calls it powers off
afterwards, whatever it did. Root's rights are dropped, because what other machines have told in the bucket is read.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Mapping, Optional

from userdata.contract.environment_file import read_environment_file
from userdata.contract.layout import Folders
from userdata.contract.parameter_file import read_parameters
from userdata.fleet.group import Group

NOBODY = 65534


def leave(parameters: Mapping[str, str], *, failure: Optional[str] = None) -> None:
    """Takes the machine with these deployed `parameters` out of its group, if it has one; `failure` is what failed."""
    group = Group.of(parameters)
    if group is None:
        return
    if failure:
        group.tell_failed(failure)
    else:
        group.tell_booted()
    group.leave()


def drop_rights(folders: Folders) -> None:
    """Lets root go on as nobody. Below a prefix there is one user for everything."""
    if os.geteuid() == 0 and folders.root == Path("/"):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.environ["HOME"] = "/"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folders = Folders()
    # The image's own, which a timer's process has not; where it says nothing, `aws` needs nothing.
    os.environ.update(read_environment_file(folders.machine_settings))
    deployed = read_parameters(folders.parameters)
    drop_rights(folders)
    leave(deployed, failure=" ".join(sys.argv[1:]) or None)
