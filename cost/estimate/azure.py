"""Resolvers of pulumi_azure_native: clusters, machines, network."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cost.estimate.bill import Bill
from cost.estimate.registry import free, resolves

free("identity and access are free", ["azure-native:authorization:",
     "azure-native:managedidentity:"])  # fmt: skip
free("a grouping, not a thing", ["azure-native:resources:", "azure-native:management:"])
free(
    "part of a network that is free by itself",
    [
        f"azure-native:network:{name}"
        for name in (
            "VirtualNetwork", "Subnet", "RouteTable", "Route", "NetworkSecurityGroup",
            "SecurityRule", "VirtualNetworkPeering", "LocalNetworkGateway", "NetworkInterface",
            "PrivateDnsZoneGroup", "PrivateRecordSet", "VirtualNetworkLink", "PrivateLinkService",
            "ApplicationSecurityGroup", "InboundNatRule", "RecordSet", "ServiceEndpointPolicy",
        )
    ]
    + ["azure-native:privatedns:VirtualNetworkLink", "azure-native:privatedns:PrivateRecordSet"],
)  # fmt: skip
free("guards of cost are free", ["azure-native:consumption:", "azure-native:costmanagement:",
     "azure-native:quota:"])  # fmt: skip
free("registration is free", ["azure-native:kubernetesconfiguration:",
     "azure-native:containerservice:Fleet", "azure-native:containerservice:ManagedNamespace",
     "azure-native:containerservice:MaintenanceConfiguration",
     "azure-native:compute:CapacityReservationGroup", "azure-native:compute:ProximityPlacementGroup",
     "azure-native:compute:AvailabilitySet"])  # fmt: skip

_PREMIUM_SIZES = {"P1": 4, "P2": 8, "P3": 16, "P4": 32, "P6": 64, "P10": 128, "P15": 256,
                  "P20": 512, "P30": 1024, "P40": 2048, "P50": 4096}  # fmt: skip
"""GiB of each size of managed disk; E and S disks have the same."""


def disk_size(gib: Decimal, kind: str = "P") -> str:
    """The managed disk that holds so many GiB: disks are billed by the size they round up to.

    >>> disk_size(Decimal(100)), disk_size(Decimal(1000), "E")
    ('P10', 'E30')
    """
    name = next((name for name, top in _PREMIUM_SIZES.items() if gib <= top), "P50")
    return kind + name[1:]


def _pool(bill: Bill, path: tuple[str | int, ...] = ()) -> None:
    """Machines of an agent pool and their OS disks (premium, 128 GiB unless declared)."""
    size = bill.text(*path, "vmSize", default="Standard_DS2_v2")
    spot = bill.text(*path, "scaleSetPriority") == "Spot"
    nodes = bill.number(*path, "count", default=bill.number(*path, "minCount", default=1))
    bill.machines("azure", [size], nodes, spot=spot)
    if bill.text(*path, "osDiskType", default="Managed") == "Managed":
        own = bill.book.usage.number(bill.resource, "nodes")
        disk = disk_size(bill.number(*path, "osDiskSizeGB", default=0) or Decimal(128))
        bill.monthly(f"OS disks {disk}", f"azure.disk.{disk}", nodes if own is None else own)


@resolves("azure-native:containerservice:ManagedCluster")
def aks_cluster(bill: Bill) -> None:
    """The tier's fee and its agent pools."""
    tier = bill.text("sku", "tier", default="Free").lower()
    if tier == "free":
        bill.free("the Free tier's control plane")
    else:
        bill.hourly(f"control plane, {tier} tier", f"azure.aks.{tier}")
    for index, _ in enumerate(bill.items("agentPoolProfiles")):
        _pool(bill, ("agentPoolProfiles", index))


@resolves("azure-native:containerservice:AgentPool")
def aks_pool(bill: Bill) -> None:
    """One pool."""
    _pool(bill)


@resolves("azure-native:compute:VirtualMachine")
def virtual_machine(bill: Bill) -> None:
    """One machine all month with its OS disk."""
    bill.machines("azure", [bill.text("hardwareProfile", "vmSize")], 1,
                  spot=bill.text("priority") == "Spot")  # fmt: skip
    disk = disk_size(
        bill.number("storageProfile", "osDisk", "diskSizeGB", default=0) or Decimal(128)
    )
    bill.monthly(f"OS disk {disk}", f"azure.disk.{disk}", 1)


@resolves("azure-native:compute:VirtualMachineScaleSet", "azure-native:compute:CapacityReservation")
def machine_set(bill: Bill) -> None:
    """``sku.capacity`` machines of type ``sku.name``; reserved ones are billed used or not."""
    bill.machines("azure", [bill.text("sku", "name")], bill.number("sku", "capacity", default=1))


@resolves("azure-native:compute:Disk")
def managed_disk(bill: Bill) -> None:
    """Billed by the size it rounds up to."""
    sku = bill.text("sku", "name", default="Premium_LRS")
    kind = {"Premium_LRS": "P", "StandardSSD_LRS": "E", "Standard_LRS": "S"}.get(sku)
    if kind is None:
        bill.refuse(f"no sourced price of {sku}")
        return
    name = disk_size(bill.number("diskSizeGB"), kind)
    bill.monthly(f"disk {name}", f"azure.disk.{name}", 1)


@resolves("azure-native:network:NatGateway")
def nat_gateway(bill: Bill) -> None:
    """Hours and data processed."""
    bill.hourly("NAT gateway", "azure.nat.hour")
    bill.usage("data processed", "azure.nat.data", "data_gib", 100, "GB")


@resolves("azure-native:network:LoadBalancer")
def load_balancer(bill: Bill) -> None:
    """Standard: rules have no sourced price beyond data; Basic is free."""
    if bill.text("sku", "name", default="Basic") == "Basic":
        bill.free("a Basic load balancer is free")
        return
    bill.usage("data processed", "azure.lb.data", "data_gib", 100, "GB")
    rules = len(bill.items("loadBalancingRules")) + len(bill.items("outboundRules"))
    if rules:
        bill.hourly("rules", "azure.lb.rule", rules)


@resolves("azure-native:network:ApplicationGateway")
def application_gateway(bill: Bill) -> None:
    """Hours by tier."""
    tier = bill.text("sku", "tier").lower()
    bill.hourly(f"gateway {tier}", f"azure.application_gateway.{tier}")


@resolves("azure-native:network:PublicIPAddress", "azure-native:network:PublicIPPrefix")
def public_ip(bill: Bill) -> None:
    """Hours of each address; a prefix of length n has 2^(32-n)."""
    length = int(bill.number("prefixLength", default=32))
    bill.hourly("public IPv4 address", "azure.public_ip.hour", 2 ** (32 - length))


@resolves("azure-native:network:PrivateEndpoint")
def private_endpoint(bill: Bill) -> None:
    """Hours and data."""
    bill.hourly("private endpoint", "azure.private_endpoint.hour")
    bill.usage("data processed", "azure.private_endpoint.data", "data_gib", 100, "GB")


@resolves("azure-native:network:VirtualNetworkGateway")
def vpn_gateway(bill: Bill) -> None:
    """Hours by size."""
    sku = bill.text("sku", "name", default="VpnGw1")
    bill.hourly(f"gateway {sku}", f"azure.vpn_gateway.{sku}")


@resolves("azure-native:network:VirtualNetworkGatewayConnection")
def vpn_tunnel(bill: Bill) -> None:
    """A site-to-site tunnel beyond the gateway's own; ten are included."""
    bill.free("the first ten site-to-site tunnels are included in the gateway")


@resolves("azure-native:network:ExpressRouteCircuit")
def express_route(bill: Bill) -> None:
    """By bandwidth and plan."""
    mbps = bill.text("serviceProviderProperties", "bandwidthInMbps")
    bill.monthly("circuit", f"azure.express_route.{mbps}", 1)


@resolves("azure-native:network:PrivateZone", "azure-native:privatedns:PrivateZone",
          "azure-native:network:Zone", "azure-native:dns:Zone")  # fmt: skip
def dns_zone(bill: Bill) -> None:
    """A month for each zone."""
    bill.monthly("hosted zone", "azure.dns.private_zone", 1)


@resolves("azure-native:azurefleet:Fleet")
def fleet(bill: Bill) -> None:
    """Regular and spot capacity; of several sizes the dearest is assumed."""
    sizes: list[Any] = bill.items("vmSizesProfile")
    names = [str(item.get("name", "")) for item in sizes]
    for profile, spot in (("regularPriorityProfile", False), ("spotPriorityProfile", True)):
        count = bill.number(profile, "capacity")
        if count:
            bill.machines("azure", names, count, spot=spot)
