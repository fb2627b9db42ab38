#!/usr/bin/env python3
"""Settings from context, one stack, synth."""

from __future__ import annotations

import os

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from stacks.facts.settings import BUCKET_ALONE, settings_from_context
from stacks.sd_on_ec2_stack import SdOnEc2Stack
from stacks.tags import tag_everything

app = cdk.App()
# The CLI sets the region, which the template leaves open.
settings = settings_from_context(app.node.get_all_context(), region=os.environ.get("CDK_DEFAULT_REGION", ""))
bucket_alone = app.node.try_get_context(BUCKET_ALONE) == "true"
stack = SdOnEc2Stack(app, settings.stack, settings=settings, bucket_alone=bucket_alone)
tag_everything(stack)
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
app.synth()
