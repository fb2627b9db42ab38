"""Environment variables that the libraries read while they are imported."""

LIBRARY_ENVIRONMENT = {
    # Nothing may be looked up, because the worker may have no network. The libraries' hints about optional packages
    # would be the first lines of every log.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    # Threads that wait for each other sleep. By default they spin, which takes processor time from other work: with two
    # cores and five processes the model in the box took 20 s for an image, and takes 4 s like this.
    "OMP_WAIT_POLICY": "passive",
}
