"""Stopping, holding, tearing down."""
