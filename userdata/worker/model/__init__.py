"""Loads a checkpoint onto the device."""
