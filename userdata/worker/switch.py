"""A parameter that is on or off."""

from __future__ import annotations

from enum import StrEnum


class Switch(StrEnum):
    """`on` or `off`, since CloudFormation's parameters have no truth values."""

    on = "on"
    off = "off"
