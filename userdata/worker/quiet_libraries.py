"""Environment variables that the libraries read while they are imported."""

# Without network nothing may be looked up, and their hints about optional packages would be the first lines of every
# log.
QUIET_AND_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}
