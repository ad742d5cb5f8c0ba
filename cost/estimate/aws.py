"""Resolvers of pulumi_aws: clusters, machines, network. Prices and units: docs/estimate.md."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cost.estimate.bill import Bill, CannotPrice
from cost.estimate.registry import free, resolves

free("identity and access are free", ["aws:iam/", "aws:identitystore/", "aws:eks/accessEntry:",
     "aws:eks/accessPolicyAssociation:", "aws:eks/podIdentityAssociation:",
     "aws:eks/identityProviderConfig:", "aws:ssm/activation:"])  # fmt: skip
free(
    "part of a network that is free by itself",
    [
        f"aws:ec2/{name}:"
        for name in (
            "vpc", "subnet", "routeTable", "routeTableAssociation", "route", "internetGateway",
            "egressOnlyInternetGateway", "securityGroup", "securityGroupRule", "networkAcl",
            "networkAclRule", "networkAclAssociation", "vpcDhcpOptions", "placementGroup",
            "launchTemplate", "keyPair", "flowLog", "defaultSecurityGroup", "defaultRouteTable",
            "customerGateway", "mainRouteTableAssociation", "vpcDhcpOptionsAssociation",
            "vpcEndpointRouteTableAssociation", "vpcEndpointSubnetAssociation", "vpnGateway",
            "vpcIpv4CidrBlockAssociation", "managedPrefixList", "vpnConnectionRoute", "eipAssociation",
        )
    ]
    + ["aws:vpc/", "aws:ec2transitgateway/routeTable", "aws:ec2transitgateway/route:",
       "aws:ec2transitgateway/transitGateway:", "aws:route53/record:", "aws:lb/listener",
       "aws:lb/targetGroup", "aws:alb/listener", "aws:alb/targetGroup", "aws:acm/"],
)  # fmt: skip
free("add-ons run on nodes that are priced", ["aws:eks/addon:"])
free("guards of cost are free", ["aws:budgets/", "aws:costexplorer/", "aws:cur/", "aws:bcmdata/",
     "aws:servicequotas/", "aws:computeoptimizer/", "aws:costoptimizationhub/"])  # fmt: skip


@resolves("aws:eks/cluster:Cluster")
def eks_cluster(bill: Bill) -> None:
    """USD 0.10 an hour; Auto Mode adds a fee on its nodes that has no sourced price."""
    bill.hourly("control plane", "aws.eks.cluster")
    if bill.flag("computeConfig", "enabled"):
        bill.refuse("Auto Mode decides capacity while it runs; give nodes by machine types")


def _root_disk(bill: Bill, nodes: Decimal, gib: Decimal, kind: str, note: str = "") -> None:
    bill.monthly(f"root disks {kind}", f"aws.ebs.{kind}", nodes * gib, note)


def _from_template(bill: Bill) -> tuple[str, Decimal | None, str]:
    """Instance type and root disk of the launch template that a node group names."""
    template = bill.stack.related(bill.resource, "aws:ec2/launchTemplate:LaunchTemplate")
    if template is None or not bill.resource.inputs.get("launchTemplate"):
        return "", None, ""
    sheet = Bill(template, bill.stack, bill.book, bill.region)
    disks = sheet.items("blockDeviceMappings")
    disk: dict[str, Any] = disks[0].get("ebs", {}) if disks else {}
    size = disk.get("volumeSize")
    return (
        sheet.text("instanceType"),
        Decimal(str(size)) if size else None,
        str(disk.get("volumeType", "gp3")),
    )


@resolves("aws:eks/nodeGroup:NodeGroup")
def eks_node_group(bill: Bill) -> None:
    """Desired nodes all month, and their root disks (20 GiB gp3 unless declared)."""
    templated, size, kind = _from_template(bill)
    types = bill.texts("instanceTypes", default=[templated] if templated else ["t3.medium"])
    nodes = bill.number("scalingConfig", "desiredSize")
    bill.machines("aws", types, nodes, spot=bill.text("capacityType") == "SPOT")
    own = bill.book.usage.number(bill.resource, "nodes")
    gib = size or bill.number("diskSize", default=20)
    _root_disk(bill, nodes if own is None else own, gib, kind or "gp3")


@resolves("aws:eks/fargateProfile:FargateProfile")
def fargate_profile(bill: Bill) -> None:
    """vCPU and memory of the pods that run on it."""
    bill.usage("vCPU", "aws.fargate.vcpu", "vcpu_hours", 730, "vCPU-hours")
    bill.usage("memory", "aws.fargate.memory", "memory_gib_hours", 1460, "GB-hours")


@resolves("aws:ec2/instance:Instance")
def ec2_instance(bill: Bill) -> None:
    """One machine all month and its root disk (8 GiB gp3 unless declared)."""
    market = bill.text("instanceMarketOptions", "marketType")
    bill.machines("aws", [bill.text("instanceType")], 1, spot=market == "spot")
    kind = bill.text("rootBlockDevice", "volumeType", default="gp3")
    _root_disk(bill, Decimal(1), bill.number("rootBlockDevice", "volumeSize", default=8), kind)


@resolves("aws:autoscaling/group:Group")
def autoscaling_group(bill: Bill) -> None:
    """Desired capacity (the least size unless declared) of its launch template's type."""
    template = bill.stack.related(bill.resource, "aws:ec2/launchTemplate:LaunchTemplate")
    if template is None:
        raise CannotPrice("its launch template isn't in this stack")
    kind = Bill(template, bill.stack, bill.book, bill.region).text("instanceType")
    bill.machines("aws", [kind], bill.number("desiredCapacity", default=bill.number("minSize")))


@resolves("aws:ec2/capacityReservation:CapacityReservation")
def capacity_reservation(bill: Bill) -> None:
    """Reserved machines are billed at the on-demand price whether used or not."""
    bill.machines("aws", [bill.text("instanceType")], bill.number("instanceCount", default=1))


@resolves("aws:ec2/capacityBlockReservation:CapacityBlockReservation")
def capacity_block(bill: Bill) -> None:
    """The price of a block is quoted when it is bought."""
    bill.refuse("a capacity block's price is quoted at purchase; budget it by its offering")


@resolves("aws:ebs/volume:Volume")
def ebs_volume(bill: Bill) -> None:
    """Provisioned capacity; provisioned IOPS and throughput have no sourced price."""
    kind = bill.text("type", default="gp2")
    bill.monthly(f"{kind} capacity", f"aws.ebs.{kind}", bill.number("size"))
    free_iops = {"gp3": 3000, "gp2": 16000}.get(kind, 0)
    if bill.number("iops") > free_iops:
        bill.monthly("provisioned IOPS", f"aws.ebs.{kind}.iops", bill.number("iops") - free_iops)


@resolves("aws:ec2/natGateway:NatGateway")
def nat_gateway(bill: Bill) -> None:
    """Hours and data processed."""
    bill.hourly("NAT gateway", "aws.nat.hour")
    bill.usage("data processed", "aws.nat.data", "data_gib", 100, "GB")


@resolves("aws:ec2/eip:Eip")
def elastic_ip(bill: Bill) -> None:
    """A public IPv4 address is billed whether attached or not."""
    bill.hourly("public IPv4 address", "aws.eip.hour")


@resolves("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
def load_balancer(bill: Bill) -> None:
    """Hours and capacity units; one unit an hour is assumed."""
    kind = bill.text("loadBalancerType", default="application")
    key = {"application": "alb", "network": "nlb"}.get(kind)
    if key is None:
        bill.refuse(f"no sourced price of a {kind} load balancer")
        return
    bill.hourly(f"{kind} load balancer", f"aws.{key}.hour")
    bill.usage("load balancer capacity units", f"aws.{key}.lcu", "lcu_hours", 730, "LCU-hours")


@resolves("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(bill: Bill) -> None:
    """Gateway endpoints are free; interface endpoints cost hours in each subnet, and data."""
    if bill.text("vpcEndpointType", default="Gateway") == "Gateway":
        bill.free("gateway endpoints are free")
        return
    zones = bill.count("subnetIds")
    bill.hourly("interface endpoint", "aws.vpce.hour", zones, f"in {zones} subnets")
    bill.usage("data processed", "aws.vpce.data", "data_gib", 100, "GB")


@resolves("aws:ec2/vpnConnection:VpnConnection")
def vpn_connection(bill: Bill) -> None:
    """Hours; over a transit gateway its attachment too."""
    bill.hourly("VPN connection", "aws.vpn.connection")
    if "transitGatewayId" in bill.resource.inputs:
        bill.hourly("transit gateway attachment", "aws.tgw.attachment")


@resolves("aws:ec2transitgateway/vpcAttachment:VpcAttachment",
          "aws:ec2transitgateway/peeringAttachment:PeeringAttachment")  # fmt: skip
def transit_attachment(bill: Bill) -> None:
    """Hours and data processed."""
    bill.hourly("transit gateway attachment", "aws.tgw.attachment")
    bill.usage("data processed", "aws.tgw.data", "data_gib", 100, "GB")


@resolves("aws:route53/zone:Zone")
def route53_zone(bill: Bill) -> None:
    """A month for each hosted zone."""
    bill.monthly("hosted zone", "aws.route53.zone", 1)


@resolves("aws:route53/resolverEndpoint:ResolverEndpoint")
def resolver_endpoint(bill: Bill) -> None:
    """Hours for each address."""
    addresses = max(len(bill.items("ipAddresses")), 2)
    bill.hourly("resolver addresses", "aws.route53.resolver_endpoint", addresses)


@resolves("aws:batch/computeEnvironment:ComputeEnvironment")
def batch_environment(bill: Bill) -> None:
    """At least the least number of vCPUs; of several types the dearest is assumed."""
    types = bill.texts("computeResources", "instanceTypes")
    bill.machines("aws", types, bill.number("computeResources", "desiredVcpus"))


free("queues and definitions of jobs are free", ["aws:batch/jobQueue:", "aws:batch/jobDefinition:",
     "aws:batch/schedulingPolicy:"])  # fmt: skip
