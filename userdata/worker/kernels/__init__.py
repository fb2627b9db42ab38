"""Runs the network: with PyTorch's own operations, as a CUDA graph, or with fused kernels."""
