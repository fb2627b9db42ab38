"""The steps of the proof, in their order."""

from __future__ import annotations

from scripts.proof import run_looks, stack_looks
from scripts.proof.place import STACK
from scripts.proof.step import Expected, Step
from stacks.facts.tag_names import PROJECT

RUN = Expected("its run", run_looks.run, "done, 1 of 1")
STOPPED = Expected("its instance then", stack_looks.state, "stopped")
SAME = Expected("its instance", stack_looks.whose, "the same")
ANOTHER = Expected("its instance", stack_looks.whose, "another")
OLD_GONE = Expected("the old instance", stack_looks.old_state, "terminated")
UPDATED = Expected("the stack", stack_looks.stack_state, "UPDATE_COMPLETE")
# As SECURITY.md has them.
SCORES = "sd-cache 1.5, sd-drawing 0.8, sd-worker 1.8"
PHASES = Expected("where its time went", run_looks.phases)

STEPS = (
    Step(
        "first boot",
        "deploys the model in the box: the environment is built, one image is drawn, the instance stops by itself",
        parameters={
            "Prompt": "A horse standing under a tree",
            "Model": "demo",
            "InstanceType": "{type}",
            "Steps": "8",
            "Iterations": "1",
            "Samples": "1",
            "IdleMinutes": "0",
            "MaxHours": "1",
        },
        prepares="install",
        checked=True,
        rows=(
            Expected("the stack", stack_looks.stack_state, "CREATE_COMPLETE"),
            RUN,
            STOPPED,
            Expected("the account's plan", stack_looks.account_plan, note="not documented"),
            Expected("its image (AMI)", stack_looks.described("ImageId"), only_aws=True),
            Expected("its card", run_looks.card, "{card}", only_aws=True),
            Expected("systemd rates its units", run_looks.scores, SCORES, only_aws=True),
            Expected("gpu.csv", run_looks.gpu_samples, "there", only_aws=True),
            Expected("launch to last image", run_looks.minutes_to_image, note="{minutes} estimated"),
            PHASES,
            Expected("its receipt", run_looks.receipt, only_aws=True),
            Expected("kept in the cache", run_looks.cached, only_aws=True),
            Expected("an hour of {type}", stack_looks.price, "{price}"),
            Expected("the disk's tag", stack_looks.disk_tag, PROJECT),
            Expected("the interface's tag", stack_looks.interface_tag, "none"),
        ),
    ),
    Step(
        "the same again",
        "deploys the same once more",
        until=None,
        prepares=None,
        rows=(
            Expected("`cdk deploy`", stack_looks.deploy, "no changes"),
            Expected("the instance", stack_looks.state, "stopped"),
        ),
    ),
    Step(
        "second prompt",
        "deploys another prompt while the instance is stopped",
        parameters={"Prompt": "A tree in forest"},
        rows=(
            UPDATED,
            SAME,
            Expected("right after the deploy", stack_looks.state_after_deploy, note="not documented"),
            RUN,
            STOPPED,
            PHASES,
        ),
    ),
    Step(
        "umlaut",
        "deploys a prompt with a letter beyond ASCII",
        parameters={"Prompt": "ein Bär im Wald"},
        rows=(
            Expected("in CloudFormation", stack_looks.described_prompt, "ein B?r im Wald"),
            Expected("on the instance", run_looks.drawn_prompt, "ein Bär im Wald"),
            RUN,
        ),
    ),
    Step(
        "another type",
        "deploys the next dearer type: the stopped instance changes",
        parameters={"InstanceType": "{other_type}", "RunId": "another-type"},
        checked=True,
        rows=(
            SAME,
            Expected("its type", stack_looks.described("InstanceType"), "{other_type}"),
            Expected("its disk", stack_looks.disk, "the same"),
            Expected("right after the deploy", stack_looks.state_after_deploy, note="not documented"),
            RUN,
        ),
    ),
    Step(
        "stays up",
        "deploys a run after which the instance stays up for an hour, so that the alarm has something to end",
        parameters={"IdleMinutes": "60", "RunId": "stays-up"},
        until="run over",
        rows=(
            RUN,
            Expected("its instance then", stack_looks.state, "running"),
            Expected("for Session Manager", stack_looks.session_manager, "Online", only_aws=True),
        ),
    ),
    Step(
        "the next prompt",
        "sends a prompt to the queue of the machine that stays up, and downloads the image",
        command=(
            *("sd", "generate", "A dog on a red background", "--steps", "8", "--n_iter", "1", "--n_samples", "1"),
            *("--hold", "off", "--stack", STACK),
        ),
        until=None,
        prepares=None,
        needs=("stays up",),
        rows=(
            Expected("its run", run_looks.sent_run, "done, 1 of 1"),
            Expected("its phases together", run_looks.seconds_to_draw),
            Expected("the instance", stack_looks.state, "running"),
        ),
    ),
    Step(
        "lifetime alarm",
        "sets the alarm of MaxHours off",
        command=(
            *("aws", "cloudwatch", "set-alarm-state", "--alarm-name", "{alarm}"),
            *("--state-value", "ALARM", "--state-reason", "proof"),
        ),
        until="instance off",
        needs=("stays up",),
        rows=(Expected("the instance", stack_looks.state, "stopped"), Expected("after", stack_looks.seconds)),
    ),
    Step(
        "another zone",
        "deploys into another zone: a new instance, which takes the environment from the bucket's cache",
        parameters={"InstanceType": "{type}", "IdleMinutes": "0", "RunId": "another-zone"},
        context={"az": "{other_zone}"},
        prepares="cache",
        checked=True,
        rows=(
            UPDATED,
            ANOTHER,
            Expected("its zone", stack_looks.described("Placement", "AvailabilityZone"), "{other_zone}"),
            OLD_GONE,
            RUN,
            Expected("its environment", run_looks.environment_source, "from the cache", only_aws=True),
            Expected("launch to last image", run_looks.minutes_to_image, note="{cached_minutes} estimated"),
            PHASES,
        ),
    ),
    Step(
        "spot",
        "deploys a spot instance, which terminates itself",
        parameters={"InstanceType": "{type}", "IdleMinutes": "0", "RunId": "spot"},
        context={"spot": "true"},
        prepares="cache",
        checked=True,
        rows=(
            ANOTHER,
            Expected("it is", stack_looks.described("InstanceLifecycle", missing="on-demand"), "spot"),
            Expected("the request's tag", stack_looks.request_tag, note="not documented"),
            RUN,
            Expected("its instance then", stack_looks.state, "terminated"),
            Expected("its request then", stack_looks.request_state, "closed"),
        ),
    ),
    Step(
        "AfterRun=terminate",
        "deploys an instance that terminates itself after its run",
        parameters={"InstanceType": "{type}", "IdleMinutes": "0", "AfterRun": "terminate", "RunId": "terminate"},
        prepares="cache",
        rows=(UPDATED, RUN, Expected("its instance then", stack_looks.state, "terminated")),
    ),
    Step(
        "and what follows",
        "deploys another prompt while there is no instance any more",
        parameters={"Prompt": "A dog on a red background"},
        prepares="cache",
        needs=("AfterRun=terminate",),
        rows=(UPDATED, ANOTHER, RUN, Expected("its instance then", stack_looks.state, "terminated")),
    ),
    Step(
        "a fleet",
        "deploys a fleet of one machine, none of which runs yet; the instance is gone",
        context={
            "fleet": "1",
            "fleet_types": "{type}",
            "fleet_on_demand": "100",
        },
        until=None,
        prepares=None,
        checked=True,
        needs=("AfterRun=terminate",),
        rows=(
            UPDATED,
            Expected("the old instance", stack_looks.old_state, "terminated"),
            Expected("instances running", stack_looks.still_running, "none"),
        ),
    ),
    Step(
        "a batch",
        "sends two rows, for which the fleet starts its machine",
        command=(
            *("sd", "batch", "scripts/proof/two-rows.csv", "--model", "demo", "--steps", "8"),
            *("--yes", "--stack", STACK),
        ),
        until=None,
        prepares="cache",
        needs=("a fleet",),
        rows=(),
    ),
    Step(
        "the batch drawn",
        "watches the batch to its end, after which the fleet's machine ends itself and is not replaced",
        command=("sd", "watch", "--stack", STACK),
        until="nothing billed",
        prepares=None,
        needs=("a batch",),
        rows=(
            Expected("the batch", run_looks.batch, "done, 2 of 2"),
            Expected("drawn by", run_looks.drawn_by, "{type} on-demand"),
            Expected("the machine gone after", stack_looks.seconds),
        ),
    ),
    Step(
        "cdk destroy",
        "destroys the stack",
        command=("cdk", "destroy", "--force", "-c", f"stack={STACK}", STACK),
        until=None,
        prepares=None,
        rows=(
            Expected("the stack", stack_looks.stack_state, "gone"),
            Expected("instances left", stack_looks.still_running, "none"),
            Expected("the images", stack_looks.images_left, "there"),
            Expected("found by the audit", stack_looks.left, "bucket"),
        ),
    ),
)
