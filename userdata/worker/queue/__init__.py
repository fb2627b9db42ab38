"""Does the runs that the queues hold, one after the other, until the machine has been idle for the idle time."""
