"""Resolvers of pulumi_gcp: clusters, machines, TPUs, network."""

from __future__ import annotations

import re
from decimal import Decimal

from cost.catalog import find_accelerator, find_offer
from cost.catalog.names import TPU_MACHINES
from cost.estimate.bill import Bill, CannotPrice
from cost.estimate.registry import free, resolves
from infra.core.errors import BadInput

free("identity and access are free", ["gcp:serviceaccount/", "gcp:projects/", "gcp:iam/",
     "gcp:organizations/", "gcp:folder/", "gcp:orgpolicy/", "gcp:binaryauthorization/"])  # fmt: skip
free(
    "part of a network that is free by itself",
    [
        f"gcp:compute/{name}:"
        for name in (
            "network", "subnetwork", "router", "firewall", "firewallPolicy", "route",
            "routerInterface", "routerPeer", "networkPeering", "healthCheck", "backendService",
            "regionBackendService", "uRLMap", "targetHttpProxy", "targetHttpsProxy",
            "managedSslCertificate", "haVpnGateway", "externalVpnGateway", "resourcePolicy",
            "instanceTemplate", "sharedVPCHostProject", "sharedVPCServiceProject",
            "globalNetworkEndpointGroup", "networkEndpointGroup", "serviceAttachment",
        )
    ]
    + ["gcp:servicenetworking/", "gcp:dns/recordSet:", "gcp:networkconnectivity/internalRange:",
     "gcp:networkconnectivity/serviceConnectionPolicy:",
       "gcp:certificatemanager/"],
)  # fmt: skip
free("guards of cost are free", ["gcp:billing/", "gcp:cloudquota/"])
free("registration is free", ["gcp:gkehub/", "gcp:container/attachedCluster:"])

_DEFAULT_DISK = ("pd-balanced", 100)
"""GKE's node disk when none is declared."""


def _zones(bill: Bill) -> Decimal:
    """A regional pool has its count in every zone: the declared ones, else three."""
    if "nodeLocations" in bill.resource.inputs:
        return Decimal(bill.count("nodeLocations"))
    location = bill.text("location") or bill.text("zone")
    return Decimal(1 if re.fullmatch(r".+-[a-z]", location) else 3)


def tpu_chip_hour(bill: Bill, generation: str, chips: Decimal, spot: bool) -> None:
    """TPU chips all month, priced by the smallest slice of the generation in the region."""
    from cost.catalog import load_offers

    slices = [
        row
        for row in load_offers()
        if row.accelerator == generation and (row.provider, row.region) == ("gcp", bill.region)
    ]
    if not slices:
        bill.refuse(f"no sourced price of {generation} in {bill.region or 'an unknown region'}")
        return
    smallest = min(slices, key=lambda row: row.accelerator_count)
    share = chips / Decimal(str(smallest.accelerator_count))
    note = f"{chips:g} chips at {1 / Decimal(str(smallest.accelerator_count)):g} of a slice each"
    bill.machines("gcp", [smallest.instance_type], share, spot=spot, note=note)


def _with_guests(bill: Bill, machine: str, config: tuple[str | int, ...]) -> str:
    """The catalogue's name of a machine with what is attached to it.

    An accelerator that the machine type already has isn't counted again (g2, a2, a3, g4); an N1
    with an attached one is an offer of its own. CannotPrice when the two contradict each other.
    """
    guests = bill.items(*config, "guestAccelerators")
    if not guests:
        return machine
    kind = bill.text(*config, "guestAccelerators", 0, "type")
    count = bill.number(*config, "guestAccelerators", 0, "count", default=1)
    try:
        name = find_accelerator(kind).name
    except BadInput as error:
        raise CannotPrice(f"unknown accelerator {kind!r}") from error
    offer = find_offer("gcp", bill.region, machine)
    if offer is not None and offer.accelerator:
        same = offer.accelerator == name and Decimal(str(offer.accelerator_count)) == count
        if not same:
            raise CannotPrice(
                f"{machine} has {offer.accelerator_count:g} x {offer.accelerator}, "
                f"not {count:f} x {name}"
            )
        return machine
    return f"{machine}+{count:f}x{name.removesuffix('-16GB')}"


def _nodes(bill: Bill, config: tuple[str | int, ...], nodes: Decimal) -> None:
    """Machines and boot disks of a pool whose node configuration is at ``config``."""
    machine = bill.text(*config, "machineType", default="e2-medium")
    spot = bill.flag(*config, "spot") or bill.flag(*config, "preemptible")
    own = bill.book.usage.number(bill.resource, "nodes")
    count = nodes if own is None else own
    tpu = next((item for item in TPU_MACHINES if machine.startswith(item)), None)
    if tpu is not None:
        per_node = re.search(r"-(\d+)t$", machine)
        tpu_chip_hour(
            bill, TPU_MACHINES[tpu], nodes * int(per_node.group(1) if per_node else 1), spot
        )
    else:
        note = "" if "machineType" in str(bill.resource.inputs) else "GKE's default machine"
        bill.machines("gcp", [_with_guests(bill, machine, config)], nodes, spot=spot, note=note)
    kind = bill.text(*config, "diskType")
    size = bill.number(*config, "diskSizeGb")
    note = "" if kind and size else "not declared: GKE's default"
    bill.monthly(
        f"boot disks {kind or _DEFAULT_DISK[0]}",
        f"gcp.disk.{kind or _DEFAULT_DISK[0]}",
        count * (size or _DEFAULT_DISK[1]),
        note,
    )
    ssds = bill.number(*config, "localSsdCount")
    bill.monthly("local SSD", "gcp.disk.local-ssd", count * ssds * 375)


@resolves("gcp:container/cluster:Cluster")
def gke_cluster(bill: Bill) -> None:
    """The management fee, and the default pool unless it is removed."""
    bill.hourly("cluster management fee", "gcp.gke.cluster")
    if bill.flag("enableAutopilot"):
        bill.usage(
            "Autopilot pods, vCPU", "gcp.gke.autopilot.vcpu", "vcpu_hours", 730, "vCPU-hours"
        )
    elif not bill.flag("removeDefaultNodePool"):
        for index, pool in enumerate(bill.items("nodePools")):
            count = bill.number(
                "nodePools", index, "nodeCount", default=pool.get("initialNodeCount", 0)
            )
            _nodes(bill, ("nodePools", index, "nodeConfig"), count * _zones(bill))
        if not bill.items("nodePools"):
            _nodes(bill, ("nodeConfig",), bill.number("initialNodeCount") * _zones(bill))


@resolves("gcp:container/nodePool:NodePool")
def gke_node_pool(bill: Bill) -> None:
    """The pool's nodes: declared count, else the least of its autoscaler."""
    scaling = "autoscaling"
    if bill.value(scaling, "totalMinNodeCount") is not None:
        nodes = bill.number(scaling, "totalMinNodeCount")
    else:
        least = bill.number(scaling, "minNodeCount", default=0)
        start = bill.number("initialNodeCount", default=least)
        nodes = bill.number("nodeCount", default=start) * _zones(bill)
    _nodes(bill, ("nodeConfig",), nodes)


@resolves("gcp:compute/instance:Instance")
def compute_instance(bill: Bill) -> None:
    """One machine all month with its boot disk."""
    machine = bill.text("machineType")
    spot = bill.flag("scheduling", "preemptible")
    bill.machines("gcp", [_with_guests(bill, machine, ())], 1, spot=spot)
    params = ("bootDisk", "initializeParams")
    kind = bill.text(*params, "type", default="pd-standard")
    bill.monthly(f"boot disk {kind}", f"gcp.disk.{kind}", bill.number(*params, "size", default=10))


@resolves("gcp:compute/disk:Disk")
def compute_disk(bill: Bill) -> None:
    """Provisioned capacity."""
    kind = bill.text("type", default="pd-standard")
    bill.monthly(f"{kind} capacity", f"gcp.disk.{kind}", bill.number("size", default=500))


@resolves("gcp:compute/reservation:Reservation")
def reservation(bill: Bill) -> None:
    """Reserved machines are billed whether used or not."""
    base = ("specificReservation", "instanceProperties")
    machine = _with_guests(bill, bill.text(*base, "machineType"), base)
    bill.machines("gcp", [machine], bill.number("specificReservation", "count", default=1))


@resolves("gcp:tpu/v2Vm:V2Vm")
def tpu_vm(bill: Bill) -> None:
    """A TPU slice by its accelerator type (v5litepod-8, v6e-4; v4 and v5p count cores, 2 a chip)."""
    kind = bill.text("acceleratorType")
    name = f"tpu-{kind}"
    spot = bill.flag("schedulingConfig", "preemptible") or bill.flag("schedulingConfig", "spot")
    if find_offer("gcp", bill.region, name):
        bill.machines("gcp", [name], 1, spot=spot)
        return
    match = re.fullmatch(r"(v\d\w*?)-(\d+)", kind)
    generations = {"v4": "TPU-v4", "v5litepod": "TPU-v5e", "v5p": "TPU-v5p", "v6e": "TPU-v6e"}
    if match is None or match.group(1) not in generations:
        raise CannotPrice(f"unknown TPU type {kind!r}")
    cores = Decimal(match.group(2))
    chips = cores / 2 if match.group(1) in {"v4", "v5p"} else cores
    tpu_chip_hour(bill, generations[match.group(1)], chips, spot)


@resolves("gcp:tpu/v2QueuedResource:V2QueuedResource", "gcp:compute/resizeRequest:ResizeRequest",
          "gcp:compute/futureReservation:FutureReservation")  # fmt: skip
def queued_capacity(bill: Bill) -> None:
    """Capacity that comes when it comes."""
    bill.refuse("queued capacity is billed once granted; give nodes of its machine type instead")


@resolves("gcp:compute/routerNat:RouterNat")
def cloud_nat(bill: Bill) -> None:
    """By the VM that uses it, and data processed."""
    bill.usage("VMs behind NAT", "gcp.nat.vm", "vm_hours", 3 * 730, "VM-hours")
    bill.usage("data processed", "gcp.nat.data", "data_gib", 100, "GiB")


@resolves("gcp:compute/forwardingRule:ForwardingRule",
          "gcp:compute/globalForwardingRule:GlobalForwardingRule")  # fmt: skip
def forwarding_rule(bill: Bill) -> None:
    """Hours and data; a rule to a Private Service Connect target is one as well."""
    bill.hourly("forwarding rule", "gcp.lb.rule")
    bill.usage("data processed", "gcp.lb.data", "data_gib", 100, "GB")


@resolves("gcp:compute/address:Address", "gcp:compute/globalAddress:GlobalAddress")
def address(bill: Bill) -> None:
    """An external address by the hour; an internal one or a range is free."""
    internal = bill.text("addressType", default="EXTERNAL") == "INTERNAL"
    if internal or bill.text("purpose"):
        bill.free("internal addresses are free")
    else:
        bill.hourly("external address", "gcp.address.hour")


@resolves("gcp:compute/vPNTunnel:VPNTunnel")
def vpn_tunnel(bill: Bill) -> None:
    """Hours."""
    bill.hourly("VPN tunnel", "gcp.vpn.tunnel")


@resolves("gcp:compute/interconnectAttachment:InterconnectAttachment")
def interconnect(bill: Bill) -> None:
    """Hours of the VLAN attachment."""
    bill.hourly("VLAN attachment", "gcp.interconnect.attachment")


@resolves("gcp:dns/managedZone:ManagedZone")
def dns_zone(bill: Bill) -> None:
    """A month for each zone."""
    bill.monthly("managed zone", "gcp.dns.zone", 1)
