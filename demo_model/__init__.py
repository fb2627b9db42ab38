"""How the model in the box is made: its data, its training, its measurement. Nothing here runs on the instance."""

from scripts.interruption.signals import end_at_once_while_imported

end_at_once_while_imported()
