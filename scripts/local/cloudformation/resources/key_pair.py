"""AWS::EC2::KeyPair."""

from __future__ import annotations

from scripts.local.aws.account import Account
from scripts.local.cloudformation.resources.resource import Resource, ResourceType, Wanted, tag_ec2


class KeyPair(ResourceType):
    """A key pair whose private key the service keeps in the parameter store, at /ec2/keypair/<key pair id>.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-keypair.html
    """

    type = "AWS::EC2::KeyPair"

    def create(self, account: Account, wanted: Wanted) -> Resource:
        """Makes the pair, or takes over a given public key, of which there is no private key to keep."""
        ec2, properties = account.client("ec2"), wanted.properties
        name = properties["KeyName"]
        if "PublicKeyMaterial" in properties:
            made = ec2.import_key_pair(KeyName=name, PublicKeyMaterial=properties["PublicKeyMaterial"].encode())
        else:
            made = ec2.create_key_pair(KeyName=name, KeyType=properties.get("KeyType", "rsa"))
            account.client("ssm").put_parameter(
                Name=_parameter(made["KeyPairId"]), Value=made["KeyMaterial"], Type="SecureString"
            )
        tag_ec2(account, made["KeyPairId"], wanted)
        attributes = {"KeyPairId": made["KeyPairId"], "KeyFingerprint": made["KeyFingerprint"]}
        return Resource(name, attributes)

    def update(self, account: Account, resource: Resource, wanted: Wanted) -> None:
        """Sets the tags."""
        tag_ec2(account, resource.get_cfn_attribute("KeyPairId"), wanted, resource)

    def delete(self, account: Account, resource: Resource) -> None:
        """Deletes the pair and its private key."""
        account.client("ec2").delete_key_pair(KeyName=resource.physical_resource_id)
        if "PublicKeyMaterial" not in resource.properties:
            account.client("ssm").delete_parameter(Name=_parameter(resource.get_cfn_attribute("KeyPairId")))


def _parameter(key_pair_id: str) -> str:
    return f"/ec2/keypair/{key_pair_id}"
