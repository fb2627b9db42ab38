"""`python3 -m userdata.boot`: boots the product on this machine."""

import os
import signal
from typing import Optional

from userdata.boot.machine.commands import end_commands
from userdata.boot.sequence import boot
from userdata.contract.layout import Folders


def end(number: int, frame: Optional[object] = None) -> None:
    """Ends the process, its threads and the programs that it runs. A step that is cut off goes on at the next boot.

    Nothing is left to flush: each line of the log has been written when the next one begins.
    """
    end_commands()
    os._exit(number)


if __name__ == "__main__":
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda number, frame: end(128 + number))
    # Not sys.exit: where one step has failed, another may be at work.
    end(boot(Folders()))
