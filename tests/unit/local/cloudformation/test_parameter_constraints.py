from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.cloudformation.parameter_constraints import ParameterError, check_parameters, check_value

HEIGHT = {"Type": "Number", "Default": 512, "MinValue": 64, "MaxValue": 2048}


@pytest.mark.parametrize(
    ("value", "declared", "message"),
    [
        ("0", HEIGHT, "Parameter 'Height' must be a number not less than 64"),
        ("2049", HEIGHT, "Parameter 'Height' must be a number not greater than 2048"),
        ("tall", HEIGHT, "Parameter 'Height' must be a number"),
        ("nan", HEIGHT, "Parameter 'Height' must be a number"),
        ("1_00", HEIGHT, "Parameter 'Height' must be a number"),
        ("x", {"Type": "String", "AllowedValues": ["a", "b"]}, "must be one of AllowedValues [a, b]"),
        ("b7", {"Type": "String", "AllowedPattern": "[a-z]+"}, "Parameter 'Height' must match pattern [a-z]+"),
        ("", {"Type": "String", "MinLength": 1}, "must contain at least 1 characters"),
        ("abc", {"Type": "String", "MaxLength": "2"}, "must contain at most 2 characters"),
        ("é" * 2049, {"Type": "String"}, "4096 bytes"),
        ("a,c", {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "AllowedValues"),
        (
            "0",
            {**HEIGHT, "ConstraintDescription": "a multiple of 8 from 64 to 2048"},
            "Parameter Height failed to satisfy constraint: a multiple of 8 from 64 to 2048",
        ),
    ],
)
def test_a_broken_rule_is_refused_in_the_service_s_words(value: str, declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        check_value("Height", value, declared)


def test_the_pattern_must_match_the_whole_value() -> None:
    declared = {"Type": "String", "AllowedPattern": "[a-z]+$"}
    check_value("Name", "abc", declared)
    for value in ("abc\n", "\nabc", "abc1"):
        with pytest.raises(ParameterError):
            check_value("Name", value, declared)


@given(st.text(max_size=1000).filter(lambda text: len(text.encode("utf-8", "replace")) <= 4096))
def test_free_text_within_its_length_passes_unchanged(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert check_parameters({"Prompt": {"Type": "String", "MaxLength": 1000}}, {"Prompt": text}) == {"Prompt": text}


def test_defaults_fill_in_and_become_text() -> None:
    declared = {"Height": HEIGHT, "Public": {"Type": "String", "Default": False}}
    assert check_parameters(declared, {}) == {"Height": "512", "Public": "false"}
    assert check_parameters(declared, {"Height": "7e1"})["Height"] == "7e1"


def test_missing_and_unknown_parameters_are_refused() -> None:
    with pytest.raises(ParameterError, match=re.escape("Parameters: [Prompt] must have values")):
        check_parameters({"Prompt": {"Type": "String"}, "Height": HEIGHT}, {})
    with pytest.raises(ParameterError, match=re.escape("Parameters: [Hieght] do not exist in the template")):
        check_parameters({"Height": HEIGHT}, {"Hieght": "512"})
