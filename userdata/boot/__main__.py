"""`python3 -m userdata.boot`: boots the product on this machine."""

import sys

from userdata.boot.sequence import boot
from userdata.contract.layout import Folders

if __name__ == "__main__":
    sys.exit(boot(Folders()))
