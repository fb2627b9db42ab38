"""The units of AWS's bills, and of the machine's sizes. Standard library only."""

from userdata.contract.catalogue import GIB as GIB

HOUR = 3600.0  # seconds
# A month of what AWS bills by the month: the twelfth part of a year.
HOURS_PER_MONTH = 730
MONTH = HOURS_PER_MONTH * HOUR
# On AWS's bills a GB is 2^30 bytes, which everybody else calls a GiB.
GB = GIB
