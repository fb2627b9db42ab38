"""The error whose message is meant for the person who asked for the run."""


class RunError(Exception):
    """The run cannot go on. The message says in one or two sentences what failed, why, and what to do next."""


class Stopped(Exception):  # noqa: N818  # nothing went wrong: the machine goes down and the next boot goes on
    """The worker was asked to stop; what is saved is kept, and the next start goes on."""
