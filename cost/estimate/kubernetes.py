"""Objects in a cluster: they run on nodes that are priced, but for what the cluster orders."""

from __future__ import annotations

import re
from decimal import Decimal

from cost.estimate.bill import Bill, CannotPrice
from cost.estimate.registry import free, resolves

free("runs on nodes that are priced as machines", ["kubernetes:"])

_CLUSTERS = {
    "aws": "aws:eks/cluster:Cluster",
    "gcp": "gcp:container/cluster:Cluster",
    "azure": "azure-native:containerservice:ManagedCluster",
}
_ANNOTATIONS = {"service.beta.kubernetes.io/aws-": "aws", "cloud.google.com/": "gcp",
                "service.beta.kubernetes.io/azure-": "azure"}  # fmt: skip
_CLASSES = {
    "gp3": ("aws", "aws.ebs.gp3"),
    "gp2": ("aws", "aws.ebs.gp2"),
    "io2": ("aws", "aws.ebs.io2"),
    "standard": ("gcp", "gcp.disk.pd-standard"),
    "standard-rwo": ("gcp", "gcp.disk.pd-balanced"),
    "premium-rwo": ("gcp", "gcp.disk.pd-ssd"),
}
_UNITS = {"Ki": 2**-20, "Mi": 2**-10, "Gi": 1, "Ti": 2**10, "Pi": 2**20,
          "k": 1e3 / 2**30, "M": 1e6 / 2**30, "G": 1e9 / 2**30, "T": 1e12 / 2**30}  # fmt: skip


def to_gib(quantity: str) -> Decimal:
    """A Kubernetes quantity of bytes in GiB. CannotPrice when it is none.

    >>> to_gib("100Gi"), to_gib("1Ti")
    (Decimal('100'), Decimal('1024'))
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTP]i|[kMGT])?", quantity)
    if match is None:
        raise CannotPrice(f"{quantity!r} is no quantity of storage")
    number, unit = match.groups()
    return Decimal(number) * Decimal(_UNITS[unit] if unit else 2**-30)


def _cloud(bill: Bill, hint: str = "") -> str:
    """The cloud under the cluster: by hint, else the only cloud that has a cluster here."""
    present = [cloud for cloud, token in _CLUSTERS.items() if bill.stack.of_type(token)]
    cloud = hint or bill.text("cloud") or (present[0] if len(present) == 1 else "")
    if not cloud:
        raise CannotPrice(
            "which cloud is under the cluster isn't known; give cloud in the usage file"
        )
    if not bill.region:
        from cost.estimate.regions import region_of

        clusters = bill.stack.of_type(_CLUSTERS.get(cloud, ""))
        bill.region = region_of(clusters[0], bill.stack) if clusters else bill.text("region")
    return cloud


@resolves("kubernetes:core/v1:Service")
def service(bill: Bill) -> None:
    """A Service of type LoadBalancer orders one from the cloud; others are free."""
    if bill.text("spec", "type", default="ClusterIP") != "LoadBalancer":
        bill.free("runs on nodes that are priced as machines")
        return
    found = bill.value("metadata", "annotations", default={})
    marks = found if isinstance(found, dict) else {}
    hint = next((cloud for mark, cloud in _ANNOTATIONS.items()
                 if any(str(name).startswith(mark) for name in marks)), "")  # fmt: skip
    cloud = _cloud(bill, hint)
    if cloud == "aws":
        bill.hourly("network load balancer", "aws.nlb.hour")
        bill.usage("load balancer capacity units", "aws.nlb.lcu", "lcu_hours", 730, "LCU-hours")
    elif cloud == "gcp":
        bill.hourly("forwarding rule", "gcp.lb.rule")
        bill.usage("data processed", "gcp.lb.data", "data_gib", 100, "GiB")
    else:
        bill.usage("data processed", "azure.lb.data", "data_gib", 100, "GB")


@resolves("kubernetes:core/v1:PersistentVolumeClaim")
def volume_claim(bill: Bill) -> None:
    """A claim orders a disk of its storage class."""
    size = to_gib(bill.text("spec", "resources", "requests", "storage"))
    name = bill.text("spec", "storageClassName")
    cloud, key = _CLASSES.get(name, ("", ""))
    if not key:
        bill.refuse(f"storage class {name or '(default)'} has no price of its own")
        return
    _cloud(bill, cloud)
    bill.monthly(f"{name} disk", key, size)


@resolves("kubernetes:karpenter.sh/v1:NodePool")
def karpenter_pool(bill: Bill) -> None:
    """Capacity on demand: priced when the usage file says which type and how many nodes."""
    chosen = bill.text("instance_type")
    if not chosen:
        bill.refuse(
            "capacity is decided while it runs; give instance_type and nodes in the usage file"
        )
        return
    bill.machines(_cloud(bill), [chosen], 0, spot=bill.flag("spot"))
