"""CloudWatch and EventBridge Scheduler as AWS documents them: a clock that tests move, metrics, alarms, schedules."""
