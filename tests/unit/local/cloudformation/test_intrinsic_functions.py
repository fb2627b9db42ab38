from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.local.cloudformation.intrinsic_functions import Resolver
from scripts.local.cloudformation.template import bucket_and_key, dependency_order

TEMPLATE: dict[str, Any] = {
    "Conditions": {
        "WithSsh": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SshCidr"}, ""]}]},
        "Both": {"Fn::And": [{"Condition": "WithSsh"}, {"Fn::Equals": [{"Ref": "Seed"}, 42]}]},
    },
}


def resolver(**values: Any) -> Resolver:
    resource = SimpleNamespace(physical_resource_id="i-1", get_cfn_attribute=lambda name: f"the {name}")
    known = {"AWS::Region": "us-east-1", "SshCidr": "", "Seed": "42", **values}
    return Resolver(TEMPLATE, known, {"Instance": resource}.__getitem__)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::Join": ["-", ["a", {"Ref": "Seed"}, 3]]}, "a-42-3"),
        ({"Fn::Sub": "x ${Seed} ${Instance} ${Instance.Arn} ${!Kept}"}, "x 42 i-1 the Arn ${Kept}"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [1, {"Ref": "AWS::NoValue"}]}, {"b": [1]}),
        # A policy's Condition, which is none of the template's.
        ({"Condition": {"Bool": {"x": "false"}}}, {"Condition": {"Bool": {"x": "false"}}}),
    ],
)
def test_functions(value: Any, expected: Any) -> None:
    assert resolver().resolve(value) == expected


def test_conditions() -> None:
    assert not resolver().condition("Both")
    assert resolver(SshCidr="10.0.0.0/8").condition("Both")
    assert resolver(SshCidr="10.0.0.0/8").resolve({"Fn::If": ["WithSsh", "open", "shut"]}) == "open"


def test_a_function_that_is_not_emulated_is_refused() -> None:
    with pytest.raises(ValueError, match="Fn::Transform"):
        resolver().resolve({"Fn::Transform": {}})


@given(st.text())
def test_free_text_is_put_in_once_and_not_read_again(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    sub = resolver(Prompt=text).resolve({"Fn::Sub": "${Prompt}|${Seed}"})
    assert sub == f"{text}|42"
    encoded = resolver(Prompt=text).resolve({"Fn::Base64": {"Ref": "Prompt"}})
    assert base64.b64decode(encoded).decode() == text


def test_text_that_looks_like_a_reference_stays() -> None:
    assert resolver(Prompt="${Seed} ${Gone}").resolve({"Fn::Sub": "${Prompt}${Seed}"}) == "${Seed} ${Gone}42"


def test_resources_come_after_what_they_refer_to() -> None:
    resources: dict[str, dict[str, Any]] = {
        "A": {"Properties": {"x": {"Fn::Sub": "${B.Arn}"}}},
        "B": {"Properties": {"x": [{"Fn::GetAtt": ["C", "Id"]}]}},
        "C": {"DependsOn": "D"},
        "D": {"Properties": {"x": {"Ref": "AWS::Region"}}},
    }
    assert dependency_order(resources) == ["D", "C", "B", "A"]
    with pytest.raises(ValueError, match=r"Circular.*\[A, B\]"):
        dependency_order({"A": {"DependsOn": ["B"]}, "B": {"Properties": {"x": {"Ref": "A"}}}})


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000/bucket/a/b.json", "https://bucket.s3.amazonaws.com/a/b.json"])
def test_where_a_template_lies(url: str) -> None:
    assert bucket_and_key(url) == ("bucket", "a/b.json")
