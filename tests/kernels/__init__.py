"""The GPU's kernels without a GPU: run by Triton's interpreter, and compiled for each card."""
