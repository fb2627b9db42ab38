"""What the instance may read for the deployed model: exactly the objects and the secret that the parameters name."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Fn
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.parameters import Parameters
from userdata.contract.catalogue import S3
from userdata.contract.companion_files import MOST_EMBEDDINGS
from userdata.contract.lora_list import MOST_LORAS

# A bucket's own ARN: no object has it, so that reading it allows nothing.
NO_OBJECT = "nothing"


class ModelRights(Construct):
    """One policy with a statement for each of Model, Vae, Embeddings, Lora and HubToken.

    The ARNs are made of the parameters by CloudFormation: `s3://bucket/key` without its beginning is the end of an
    object's ARN. Lora and Embeddings are lists, which commas behind them make long enough for the longest. Where a
    parameter names no object or no secret, its statement allows nothing. Rejected: a policy for each that exists under
    a condition, on which the instance could not depend. Decrypting a SecureString with Parameter Store's own key, which
    is the default, takes no right of its own; a key of one's own must let the role decrypt.
    """

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters, role: iam.Role) -> None:
        super().__init__(scope, construct_id)
        self.policy = iam.Policy(
            self,
            "Policy",
            roles=[role],
            statements=[
                _read_objects("FetchModel", [parameters.text("Model")]),
                _read_objects("FetchLora", _listed(parameters.text("Lora"), MOST_LORAS)),
                _read_objects("FetchVae", [parameters.text("Vae")]),
                _read_objects("FetchEmbeddings", _listed(parameters.text("Embeddings"), MOST_EMBEDDINGS)),
                _read_secret("ReadHubToken", parameters.text("HubToken")),
            ],
        )


def _listed(places: str, most: int) -> list[str]:
    together = Fn.join("", [places, "," * (most - 1)])
    return [Fn.select(number, Fn.split(",", together)) for number in range(most)]


def _read_objects(sid: str, places: Sequence[str]) -> iam.PolicyStatement:
    """The right to read each object of S3 among `places`, which may have a weight behind a colon."""
    arns = []
    for place in places:
        after_s3 = Fn.select(1, Fn.split(S3, Fn.join("", [place, S3, NO_OBJECT])))
        without_weight = Fn.select(0, Fn.split(":", after_s3))
        arns.append(Fn.join("", ["arn:", Aws.PARTITION, ":s3:::", without_weight]))
    return iam.PolicyStatement(sid=sid, actions=["s3:GetObject"], resources=arns)


def _read_secret(sid: str, name: str) -> iam.PolicyStatement:
    arn = Fn.join("", ["arn:", Aws.PARTITION, ":ssm:", Aws.REGION, ":", Aws.ACCOUNT_ID, ":parameter", name])
    return iam.PolicyStatement(sid=sid, actions=["ssm:GetParameter"], resources=[arn])
