"""Resolvers of pulumi_gcp: stores, streams, pipelines, serving, monitoring."""

from __future__ import annotations

from decimal import Decimal

from cost.catalog import HOURS_PER_MONTH
from cost.estimate.bill import Bill
from cost.estimate.registry import free, resolves

free("configuration of a service that is billed by itself", [
     "gcp:storage/bucketIAM", "gcp:storage/notification:", "gcp:storage/defaultObjectAccessControl:",
     "gcp:managedkafka/topic:", "gcp:managedkafka/acl:", "gcp:managedkafka/connector:",
     "gcp:artifactregistry/repositoryIam", "gcp:container/clusterIam", "gcp:kms/keyRing",
     "gcp:kms/cryptoKeyIAM", "gcp:secretmanager/secretIam", "gcp:secretmanager/secretVersion:",
     "gcp:pubsub/schema:", "gcp:pubsub/topicIAM", "gcp:pubsub/subscriptionIAM",
     "gcp:dataproc/autoscalingPolicy:", "gcp:dataproc/workflowTemplate:",
     "gcp:dataproc/sessionTemplate:", "gcp:cloudrunv2/serviceIam", "gcp:cloudrunv2/jobIam",
     "gcp:monitoring/dashboard:", "gcp:monitoring/slo:", "gcp:monitoring/customService:",
     "gcp:monitoring/notificationChannel:", "gcp:logging/projectSink:", "gcp:logging/metric:",
     "gcp:biglake/", "gcp:vertex/aiFeatureGroup",
     "gcp:bigquery/dataset", "gcp:dataform/"])  # fmt: skip


def _dcu(vcpus: Decimal, gib: Decimal) -> Decimal:
    """Data compute units: 0.6 a vCPU and 0.1 a GiB (Managed Kafka's and Dataproc's pages)."""
    return vcpus * Decimal("0.6") + gib * Decimal("0.1")


@resolves("gcp:managedkafka/cluster:Cluster", "gcp:managedkafka/connectCluster:ConnectCluster")
def managed_kafka(bill: Bill) -> None:
    """Compute units; local disk is 100 GB a vCPU by the provider's guide, the rest by use."""
    vcpus = bill.number("capacityConfig", "vcpuCount")
    gib = bill.number("capacityConfig", "memoryBytes") / 2**30
    bill.hourly("compute units", "gcp.kafka.dcu", _dcu(vcpus, gib))
    if bill.resource.type.endswith(":Cluster"):
        what = "GiB-months of local disk at the price of pd-ssd"
        bill.usage("local storage", "gcp.disk.pd-ssd", "local_storage_gib", vcpus * 100, what)


_CLASSES = {"STANDARD": "standard", "NEARLINE": "nearline", "COLDLINE": "coldline"}


@resolves("gcp:storage/bucket:Bucket")
def gcs_bucket(bill: Bill) -> None:
    """Everything is use: storage by class and operations."""
    location = bill.text("location").lower()
    kind = _CLASSES.get(bill.text("storageClass", default="STANDARD"), "archive")
    if location in {"us", "eu", "asia"}:
        bill.region = "multi"
    elif location:
        bill.region = location
    bill.usage(f"{kind} storage", f"gcp.gcs.{kind}", "storage_gib", 100, "GiB-months")
    bill.usage("class A operations", "gcp.gcs.class_a", "class_a_ten_thousands", 10, "x 10,000")
    bill.usage("class B operations", "gcp.gcs.class_b", "class_b_ten_thousands", 100, "x 10,000")


@resolves("gcp:storage/bucketObject:BucketObject", "gcp:storage/anywhereCache:AnywhereCache")
def bucket_parts(bill: Bill) -> None:
    """Objects are in their bucket's storage; a cache is billed by its size."""
    if bill.resource.type.endswith("BucketObject"):
        bill.free("part of its bucket's storage")
    else:
        bill.usage("cache", "gcp.gcs.anywhere_cache", "cache_gib", 100, "GiB-months")


@resolves("gcp:lustre/instance:Instance", "gcp:parallelstore/instance:Instance")
def lustre(bill: Bill) -> None:
    """Provisioned capacity at the price of its throughput class."""
    rate = bill.text("perUnitStorageThroughput", default="1000")
    name = bill.resource.type.split(":")[1].split("/")[0]
    bill.monthly("capacity", f"gcp.{name}.{rate}", bill.number("capacityGib"))


@resolves("gcp:filestore/instance:Instance")
def filestore(bill: Bill) -> None:
    """Provisioned capacity by tier."""
    tier = bill.text("tier").lower()
    bill.monthly(
        f"{tier} capacity", f"gcp.filestore.{tier}", bill.number("fileShares", "capacityGb")
    )


@resolves("gcp:artifactregistry/repository:Repository")
def artifact_registry(bill: Bill) -> None:
    """Images by size."""
    bill.usage("image storage", "gcp.artifact_registry.storage", "storage_gib", 20, "GB-months")


@resolves("gcp:composer/environment:Environment")
def composer(bill: Bill) -> None:
    """Composer 3: compute units of its workloads, at least one worker; the database by use."""
    assumed = Decimal(0)
    for part, count in (("scheduler", "count"), ("triggerer", "count"), ("dagProcessor", "count"),
                        ("webServer", ""), ("worker", "minCount")):  # fmt: skip
        path = ("config", "workloadsConfig", part)
        number = bill.number(*path, count, default=1) if count else Decimal(1)
        vcpus = bill.number(*path, "cpu", default=Decimal("0.5"))
        assumed += number * _dcu(vcpus, bill.number(*path, "memoryGb", default=2))
    what = "DCU-hours of its declared workloads at their least, without the environment's own"
    bill.usage("compute units", "gcp.composer.dcu", "dcu_hours", assumed * HOURS_PER_MONTH, what)
    bill.usage("database", "gcp.composer.storage", "database_gib_hours", 10 * 730, "GiB-hours")


@resolves("gcp:dataproc/batch:Batch")
def dataproc_batch(bill: Bill) -> None:
    """Compute units by use; a batch takes at least 12."""
    bill.usage("compute units", "gcp.dataproc.dcu", "dcu_hours", 1200, "DCU-hours")


@resolves("gcp:dataproc/cluster:Cluster")
def dataproc_cluster(bill: Bill) -> None:
    """Its machines; the service's own fee has no sourced price."""
    for part in ("masterConfig", "workerConfig"):
        path = ("clusterConfig", part)
        bill.machines("gcp", [bill.text(*path, "machineType", default="n1-standard-4")],
                      bill.number(*path, "numInstances", default=1 if part[0] == "m" else 2))  # fmt: skip
    bill.usage("Dataproc fee", "gcp.dataproc.vcpu", "fee_vcpu_hours", 730, "vCPU-hours")


@resolves("gcp:cloudrunv2/service:Service", "gcp:cloudrun/service:Service")
def cloud_run(bill: Bill) -> None:
    """vCPU, memory and requests by use: 100,000 requests of 200 ms on the declared shape."""
    bill.usage("vCPU", "gcp.cloudrun.cpu", "vcpu_seconds", 20_000, "vCPU-seconds")
    bill.usage("memory", "gcp.cloudrun.memory", "gib_seconds", 10_000, "GiB-seconds")
    bill.usage("requests", "gcp.cloudrun.requests", "million_requests", Decimal("0.1"), "million")


@resolves("gcp:cloudrunv2/job:Job", "gcp:cloudrunv2/workerPool:WorkerPool")
def cloud_run_job(bill: Bill) -> None:
    """vCPU and memory by use."""
    bill.usage("vCPU", "gcp.cloudrun.cpu", "vcpu_seconds", 36_000, "vCPU-seconds")
    bill.usage("memory", "gcp.cloudrun.memory", "gib_seconds", 72_000, "GiB-seconds")


@resolves("gcp:redis/instance:Instance")
def redis(bill: Bill) -> None:
    """Memory by the hour; the price falls with size (M1 to M5)."""
    gib = bill.number("memorySizeGb")
    band = next((f"m{n}" for n, top in enumerate((4, 10, 35, 100), 1) if gib <= top), "m5")
    tier = bill.text("tier", default="BASIC").lower()
    bill.hourly(f"{tier} memory", f"gcp.redis.{tier}.{band}", gib)


@resolves("gcp:memorystore/instance:Instance", "gcp:redis/cluster:Cluster")
def memorystore(bill: Bill) -> None:
    """Nodes by the hour: shards x (1 + replicas)."""
    kind = bill.text("nodeType", default="HIGHMEM_MEDIUM").lower()
    nodes = bill.number("shardCount", default=1) * (1 + bill.number("replicaCount", default=0))
    bill.hourly(f"node {kind}", f"gcp.memorystore.{kind}", nodes)


@resolves("gcp:bigtable/instance:Instance")
def bigtable(bill: Bill) -> None:
    """Nodes by the hour and storage by use."""
    nodes = sum((bill.number("clusters", index, "numNodes", default=1)
                 for index, _ in enumerate(bill.items("clusters"))), Decimal(0))  # fmt: skip
    bill.hourly("nodes", "gcp.bigtable.node", nodes)


@resolves("gcp:vertex/aiEndpoint:AiEndpoint", "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool",
          "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment",
          "gcp:vertex/aiPersistentResource:AiPersistentResource",
          "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore")  # fmt: skip
def vertex(bill: Bill) -> None:
    """An endpoint is billed by the machines deployed on it, which the stack may not declare."""
    paths = (("dedicatedResources",), ("deployConfig", "dedicatedResources"))
    path = next((item for item in paths if bill.value(*item)), None)
    machine = bill.text(*path, "machineSpec", "machineType") if path else bill.text("machineType")
    if not machine:
        bill.refuse("what will be deployed on it isn't declared; give machine_type and nodes")
        return
    key = f"gcp.vertex.{machine}"
    count = (
        bill.number(*path, "minReplicaCount", default=1)
        if path
        else bill.number("nodes", default=1)
    )
    bill.hourly(f"serving {machine}", key, count)


@resolves("gcp:kms/cryptoKey:CryptoKey")
def kms_key(bill: Bill) -> None:
    """A month for the active version."""
    bill.monthly("key version", "gcp.kms.key", 1)


@resolves("gcp:secretmanager/secret:Secret")
def secret(bill: Bill) -> None:
    """A month for the active version."""
    bill.monthly("secret version", "gcp.secretmanager.version", 1)


@resolves("gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription")
def pubsub(bill: Bill) -> None:
    """Throughput by use, for publishing and for each delivery."""
    bill.usage("throughput", "gcp.pubsub.ingestion", "tib", Decimal("0.1"), "TiB")


@resolves("gcp:monitoring/alertPolicy:AlertPolicy")
def alert_policy(bill: Bill) -> None:
    """A month for each condition."""
    bill.monthly("conditions", "gcp.monitoring.condition", max(len(bill.items("conditions")), 1))


@resolves("gcp:cloudscheduler/job:Job")
def scheduler_job(bill: Bill) -> None:
    """A month for each job."""
    bill.monthly("job", "gcp.cloudscheduler.job", 1)


_BY_USE = {
    "gcp:workflows/workflow:Workflow": ("steps", "gcp.workflows.steps", "thousand_steps"),
    "gcp:eventarc/trigger:Trigger": ("events", "gcp.eventarc.events", "million_events"),
    "gcp:dataplex/datascan:Datascan": ("scans", "gcp.dataplex.dcu", "dcu_hours"),
    "gcp:vertex/aiTensorboard:AiTensorboard": ("storage", "gcp.vertex.tensorboard", "storage_gib"),
    "gcp:vertex/aiMetadataStore:AiMetadataStore": ("storage", "gcp.vertex.metadata", "storage_gib"),
}


@resolves(*_BY_USE)
def by_use(bill: Bill) -> None:
    """By use."""
    name, key, usage_key = _BY_USE[bill.resource.type]
    bill.usage(name, key, usage_key, 10, usage_key.replace("_", " "))
