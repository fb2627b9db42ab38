"""The one exception that a step of the boot ends with when it cannot be done."""


class StepError(Exception):
    """A step failed. The text is for a person: what failed, why, and what to do next."""
