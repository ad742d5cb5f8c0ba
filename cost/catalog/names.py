"""One spelling for what the sources spell in several ways: accelerators, families, services."""

from __future__ import annotations

import re

_CANONICAL = {
    ("T4g", "16"): "T4G",
    ("V100", "16"): "V100-16GB",
    ("V100-32GB", "32"): "V100-32GB",
    ("H100", "94"): "H100-NVL",
    ("RTX PRO 4500", "32"): "RTX-PRO-4500",
    ("RTX PRO Server 6000", "96"): "RTX-PRO-6000",
}

SHEETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "H200-SXM": ("H200", ("H200-141GB", "nvidia-h200-141gb")),
    "H100-SXM": ("H100", ("H100-80GB", "nvidia-h100-80gb", "nvidia-h100-mega-80gb")),
    "A100-SXM-80GB": ("A100-80GB", ("nvidia-a100-80gb",)),
    "A100-PCIe-80GB": ("A100-80GB-PCIe", ()),
    "A100-SXM-40GB": ("A100-40GB", ("nvidia-tesla-a100",)),
    "V100-SXM2": ("V100-32GB", ()),
    "B200": ("B200", ("nvidia-b200",)),
    "GB200": ("GB200", ("nvidia-gb200",)),
    "L4": ("L4", ("nvidia-l4",)),
    "T4": ("T4", ("nvidia-tesla-t4",)),
    "TPU-v4": ("TPU-v4", ("v4", "tpu-v4-podslice")),
    "TPU-v5e": ("TPU-v5e", ("v5e", "v5litepod", "tpu-v5-lite-podslice")),
    "TPU-v5p": ("TPU-v5p", ("v5p", "tpu-v5p-slice")),
    "TPU-v6e": ("TPU-v6e", ("v6e", "tpu-v6e-slice")),
}
"""Name in the data-sheet table -> (canonical name, further aliases as the clouds spell them)."""

MEMORY_ONLY_ALIASES: dict[str, tuple[str, ...]] = {
    "RTX-PRO-6000": ("nvidia-rtx-pro-6000", "RTX PRO Server 6000"),
    "RTX-PRO-4500": ("RTX PRO 4500",),
    "V100-16GB": ("V100", "nvidia-tesla-v100"),
    "Trainium": ("trn1",),
    "Inferentia2": ("inf2",),
}
"""Accelerators that are on offer but for which no data sheet is at hand: memory alone is known."""


def accelerator_name(provider: str, instance_type: str, name: str, memory_gb: str) -> str:
    """Canonical accelerator of an offer; A100 on Azure's NC series is the PCIe card."""
    if provider == "azure" and name == "A100-80GB" and instance_type.startswith("Standard_NC"):
        return "A100-80GB-PCIe"
    return _CANONICAL.get((name, memory_gb.removesuffix(".0")), name)


_AZURE = re.compile(r"Standard_([A-Z]+)\d+(?:-\d+)?([a-z]*)(.*)")


def family_of(provider: str, instance_type: str) -> str:
    """The series within which price is proportional to size.

    >>> family_of("aws", "p5.48xlarge"), family_of("gcp", "a3-highgpu-8g")
    ('p5', 'a3-highgpu')
    >>> family_of("azure", "Standard_NC24ads_A100_v4")
    'NCads_A100_v4'
    """
    if provider == "aws":
        return instance_type.split(".", maxsplit=1)[0]
    if provider == "gcp":
        return "-".join(instance_type.split("-")[:2])
    match = _AZURE.fullmatch(instance_type)
    return "".join(match.groups()) if match else instance_type


_AWS = """m5 m6i m6a m7i m7a m7g m8i m8g c5 c6i c7i c7a c7g c8i c8g r5 r6i r7i r7g r8i r8g t3 t3a
i4i g4dn g5 g5g g6 g6e g6f gr6 g7 g7e p3 p3dn p4d p4de p5 p5e p5en p6-b200 p6-b300
trn1 trn1n inf1 inf2"""
_GCP = """a2-highgpu a2-ultragpu a2-megagpu a3-highgpu a3-megagpu a3-ultragpu g2-standard
g4-standard tpu-v4 tpu-v5litepod tpu-v5p tpu-v6e"""

SHIPPED_FAMILIES: dict[str, frozenset[str]] = {
    "aws": frozenset(_AWS.split()),
    "gcp": frozenset(
        f"{series}-{shape}"
        for series in ("n1", "n2", "n2d", "n4", "e2", "c2", "c3", "c4", "c4a")
        for shape in ("standard", "highmem", "highcpu", "micro", "small", "medium")
    )
    | frozenset(_GCP.split()),
}
"""What the sites can provision; Azure's table is small enough to be taken whole."""


def is_shipped(provider: str, instance_type: str) -> bool:
    """Whether the sites have a use for the type; local-SSD variants are left out."""
    if instance_type.endswith("-lssd"):
        return False
    families = SHIPPED_FAMILIES.get(provider)
    return families is None or family_of(provider, instance_type) in families


SERVICE_KEYS: dict[str, str] = {
    "EKS control plane": "aws.eks.cluster",
    "EKS control plane, extended support": "aws.eks.cluster.extended",
    "EKS Fargate vCPU": "aws.fargate.vcpu",
    "EKS Fargate memory": "aws.fargate.memory",
    "MSK storage": "aws.msk.storage",
    "S3 Standard storage (first 50 TB)": "aws.s3.standard",
    "S3 Standard-IA storage": "aws.s3.standard_ia",
    "S3 PUT/COPY/POST/LIST": "aws.s3.put",
    "S3 GET/SELECT": "aws.s3.get",
    "Internet egress, first 10 TB": "aws.egress.internet.tier1",
    "Internet egress, next 40 TB": "aws.egress.internet.tier2",
    "Internet egress, next 100 TB": "aws.egress.internet.tier3",
    "Inter-region egress": "aws.egress.region",
    "Cross-AZ data transfer (each direction)": "aws.egress.zone",
    "Application Load Balancer": "aws.alb.hour",
    "Application Load Balancer LCU": "aws.alb.lcu",
    "Network Load Balancer": "aws.nlb.hour",
    "Network Load Balancer LCU": "aws.nlb.lcu",
    "EBS gp3": "aws.ebs.gp3",
    "EBS gp2": "aws.ebs.gp2",
    "EBS io2 capacity": "aws.ebs.io2",
    "EFS Standard": "aws.efs.standard",
    "VPC interface endpoint": "aws.vpce.hour",
    "VPC interface endpoint data (first 1 PB)": "aws.vpce.data",
    "ECR storage": "aws.ecr.storage",
    "CloudWatch Logs ingestion": "aws.logs.ingestion",
    "CloudWatch Logs archive": "aws.logs.storage",
    "GKE cluster management fee": "gcp.gke.cluster",
    "Pub/Sub message ingestion": "gcp.pubsub.ingestion",
    "Cloud Storage Standard": "gcp.gcs.standard",
    "Cloud Storage Standard (regional)": "gcp.gcs.standard",
    "Cloud Storage Nearline (regional)": "gcp.gcs.nearline",
    "Cloud Storage Coldline (regional)": "gcp.gcs.coldline",
    "Cloud Storage class A ops": "gcp.gcs.class_a",
    "Cloud Storage class B ops": "gcp.gcs.class_b",
    "Cloud Storage internet egress, first 1 TB": "gcp.gcs.egress.internet",
    "Cloud Storage egress in continent": "gcp.gcs.egress.continent",
    "Cloud NAT per VM (first 32)": "gcp.nat.vm",
    "Cloud NAT data processed": "gcp.nat.data",
    "Forwarding rule": "gcp.lb.rule",
    "Load balancer ingress data": "gcp.lb.data",
    "Artifact Registry storage": "gcp.artifact_registry.storage",
    "Persistent disk pd-standard": "gcp.disk.pd-standard",
    "Persistent disk pd-balanced": "gcp.disk.pd-balanced",
    "Persistent disk pd-ssd": "gcp.disk.pd-ssd",
    "Local SSD": "gcp.disk.local-ssd",
    "Internet egress (not China/Australia), tier 0-1 TiB": "gcp.egress.internet.tier1",
    "Internet egress (not China/Australia), tier 1-10 TiB": "gcp.egress.internet.tier2",
    "Internet egress (not China/Australia), tier 10n TiB": "gcp.egress.internet.tier3",
    "AKS Standard tier (uptime SLA)": "azure.aks.standard",
    "AKS Free tier control plane": "azure.aks.free",
    "Event Hubs Standard throughput unit": "azure.eventhub.standard",
    "Event Hubs Basic throughput unit": "azure.eventhub.basic",
    "Event Hubs Premium processing unit": "azure.eventhub.premium",
    "Event Hubs Dedicated capacity unit": "azure.eventhub.dedicated",
    "Event Hubs ingress events": "azure.eventhub.ingress",
    "Event Hubs capture": "azure.eventhub.capture",
    "Blob Hot LRS (StorageV2)": "azure.blob.hot_lrs",
    "Blob Cool LRS (StorageV2)": "azure.blob.cool_lrs",
    "Standard Load Balancer data processed": "azure.lb.data",
    "Container Registry Basic": "azure.acr.basic",
    "Container Registry Premium": "azure.acr.premium",
    "Internet egress (OpenCost default)": "azure.egress.internet",
}
"""Name in a table of facts -> our stable key. NAT gateways and MSK brokers: ``service_key``."""


def service_key(provider: str, name: str) -> str | None:
    """Our key for a service as a source names it, or None for one that no resolver asks for."""
    if name.startswith("MSK broker "):
        return "aws.msk.broker." + name.removeprefix("MSK broker ")
    if name == "NAT gateway":
        return f"{provider}.nat.hour"
    if name == "NAT gateway data processed":
        return f"{provider}.nat.data"
    return SERVICE_KEYS.get(name)


TPU_MACHINES: dict[str, str] = {
    "ct4p-": "TPU-v4",
    "ct5lp-": "TPU-v5e",
    "ct5l-": "TPU-v5e",
    "ct5p-": "TPU-v5p",
    "ct6e-": "TPU-v6e",
}
"""Beginning of a GKE machine type -> the TPU in it; ``-4t`` at its end says how many chips."""
