"""Programs that measure speed. Each prints its machine, its versions and its sizes with the figures."""

from scripts.interruption.signals import end_at_once_while_imported

end_at_once_while_imported()
