"""The one exception that a failing step of the boot raises."""


class StepError(Exception):
    """A step failed. The text is for a person: what failed, why, and what to do next."""
