"""Runs the network: eagerly, as a CUDA graph, or with fused kernels."""
