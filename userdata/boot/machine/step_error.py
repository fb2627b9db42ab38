"""The exceptions that a failing step of the boot raises."""


class StepError(Exception):
    """A step failed. The text is for a person: what failed, why, and what to do next."""


class PassingStepError(StepError):
    """A step failed for a cause outside the machine that passes by itself: the network is away, a server is busy."""


class NoRoomError(StepError):
    """A step failed because the disk is full."""
