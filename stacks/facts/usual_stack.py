"""The name of the stack where a person gives none."""

USUAL_STACK = "SdOnEc2"
