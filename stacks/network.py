"""The network: public subnets, a free gateway endpoint to S3, and nothing that costs money while idle."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.acknowledge import acknowledge


class Network(Construct):
    """A VPC without a NAT gateway: the instance has an address of its own and no port open.

    Rejected: private subnets, whose NAT gateway costs $0.045 an hour, used or not.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=3,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=True)
            ],
            # Restricting the default group takes a Lambda function, and nothing here uses that group.
            restrict_default_security_group=False,
        )
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        acknowledge(
            self.vpc,
            {"VPC7": "Flow logs cost money by the gigabyte, and no port is open: nobody would read them."},
        )
        self.subnet = self.vpc.public_subnets[0]
