"""Resolvers of pulumi_azure_native: stores, streams, pipelines, serving, monitoring."""

from __future__ import annotations

from decimal import Decimal

from cost.estimate.bill import Bill
from cost.estimate.registry import free, normalise, resolves

_DAYS_PER_MONTH = Decimal(30)
"""Azure's calculator bills daily prices for 30 days a month."""

free("configuration of a service that is billed by itself", [
     "azure-native:storage:Blob", "azure-native:storage:ManagementPolicy",
     "azure-native:storage:EncryptionScope", "azure-native:storage:FileServiceProperties",
     "azure-native:eventhub:ConsumerGroup", "azure-native:eventhub:NamespaceAuthorizationRule",
     "azure-native:eventhub:EventHubAuthorizationRule", "azure-native:eventhub:SchemaRegistry",
     "azure-native:eventhub:NamespaceNetworkRuleSet", "azure-native:eventhub:ApplicationGroup",
     "azure-native:keyvault:Secret", "azure-native:keyvault:AccessPolicy",
     "azure-native:operationalinsights:Table", "azure-native:operationalinsights:SavedSearch",
     "azure-native:monitor:DataCollection", "azure-native:monitor:DiagnosticSetting",
     "azure-native:monitor:ActionGroup", "azure-native:monitor:AutoscaleSetting",
     "azure-native:insights:Component", "azure-native:insights:ActionGroup",
     "azure-native:insights:DiagnosticSetting", "azure-native:insights:DataCollection",
     "azure-native:insights:AutoscaleSetting", "azure-native:alertsmanagement:",
     "azure-native:dashboard:ManagedPrivateEndpoint", "azure-native:containerregistry:ScopeMap",
     "azure-native:containerregistry:Token", "azure-native:containerregistry:CacheRule",
     "azure-native:machinelearningservices:Workspace",
     "azure-native:machinelearningservices:OnlineEndpoint",
     "azure-native:machinelearningservices:Model", "azure-native:machinelearningservices:Registry",
     "azure-native:machinelearningservices:Data", "azure-native:machinelearningservices:Environment",
     "azure-native:machinelearningservices:Code", "azure-native:machinelearningservices:Schedule",
     "azure-native:machinelearningservices:Feature", "azure-native:databricks:Workspace",
     "azure-native:databricks:AccessConnector", "azure-native:synapse:Workspace",
     "azure-native:synapse:IpFirewallRule", "azure-native:redisenterprise:Database",
     "azure-native:netapp:Account", "azure-native:netapp:Volume",
     "azure-native:policyinsights:"])  # fmt: skip


@resolves("azure-native:eventhub:Namespace")
def event_hubs(bill: Bill) -> None:
    """Throughput or processing units by the hour; ingress events by use on Basic and Standard."""
    tier = bill.text("sku", "name", default="Standard").lower()
    units = bill.number("sku", "capacity", default=1)
    if bill.resource.inputs.get("clusterArmId"):
        bill.free("runs in a dedicated cluster, which is billed by itself")
        return
    unit = "processing units" if tier == "premium" else "throughput units"
    bill.hourly(f"{tier} {unit}", f"azure.eventhub.{tier}", units)
    if tier != "premium":
        bill.usage("ingress events", "azure.eventhub.ingress", "million_events", 100, "million")


@resolves("azure-native:eventhub:Cluster")
def event_hubs_dedicated(bill: Bill) -> None:
    """Capacity units by the hour."""
    bill.hourly(
        "capacity units", "azure.eventhub.dedicated", bill.number("sku", "capacity", default=1)
    )


@resolves("azure-native:eventhub:EventHub")
def event_hub(bill: Bill) -> None:
    """Capture is billed by the throughput unit of its namespace; a hub itself isn't."""
    if not bill.flag("captureDescription", "enabled"):
        bill.free("billed at its namespace")
        return
    namespace = bill.stack.related(bill.resource, "azure-native:eventhub:Namespace")
    units = 1 if namespace is None else Bill(namespace, bill.stack, bill.book, "").number(
        "sku", "capacity", default=1)  # fmt: skip
    bill.hourly("capture", "azure.eventhub.capture", units)


@resolves("azure-native:storage:StorageAccount")
def storage_account(bill: Bill) -> None:
    """Blob storage by tier and redundancy."""
    tier = bill.text("accessTier", default="Hot").lower()
    copies = bill.text("sku", "name", default="Standard_LRS").removeprefix("Standard_").lower()
    bill.usage(f"Blob {tier} {copies.upper()}", f"azure.blob.{tier}_{copies}", "storage_gib", 100,
               "GB-months")  # fmt: skip


@resolves("azure-native:storagecache:AmlFilesystem")
def managed_lustre(bill: Bill) -> None:
    """Provisioned capacity at the price of its throughput class."""
    sku = bill.text("sku", "name")
    gib = bill.number("storageCapacityTiB") * 1024
    bill.hourly("Lustre capacity", f"azure.lustre.{sku}", gib)


@resolves("azure-native:netapp:CapacityPool", "azure-native:netapp:Pool")
def netapp_pool(bill: Bill) -> None:
    """Provisioned capacity by service level."""
    level = bill.text("serviceLevel", default="Premium").lower()
    bill.hourly(f"{level} capacity", f"azure.netapp.{level}", bill.number("size") / 2**30)


@resolves("azure-native:containerregistry:Registry")
def container_registry(bill: Bill) -> None:
    """By the day and tier."""
    tier = bill.text("sku", "name", default="Basic").lower()
    bill.monthly(f"registry {tier}", f"azure.acr.{tier}", _DAYS_PER_MONTH, "30 days a month")


@resolves("azure-native:containerregistry:Replication")
def registry_replica(bill: Bill) -> None:
    """Each replica costs what a Premium registry does."""
    bill.monthly("replica", "azure.acr.premium", _DAYS_PER_MONTH, "30 days a month")


@resolves("azure-native:cache:Redis", "azure-native:redis:Redis")
def redis_cache(bill: Bill) -> None:
    """Nodes by the hour: two for Standard and Premium, by shard."""
    name, family = (
        bill.text("sku", "name", default="Standard"),
        bill.text("sku", "family", default="C"),
    )
    size = f"{name}_{family}{bill.number('sku', 'capacity', default=1):f}"
    nodes = (1 if name == "Basic" else 2) * max(bill.number("shardCount"), Decimal(1))
    bill.hourly(f"node {size}", f"azure.redis.{size}", nodes)


@resolves("azure-native:redisenterprise:RedisEnterprise")
def redis_enterprise(bill: Bill) -> None:
    """Hours by size."""
    sku = bill.text("sku", "name")
    bill.hourly(f"cluster {sku}", f"azure.redis_enterprise.{sku}")


@resolves("azure-native:keyvault:Vault", "azure-native:keyvault:Key")
def key_vault(bill: Bill) -> None:
    """Operations by use."""
    bill.usage(
        "operations", "azure.key_vault.operations", "ten_thousand_operations", 10, "x 10,000"
    )


@resolves("azure-native:operationalinsights:Workspace")
def log_analytics(bill: Bill) -> None:
    """Ingestion by use."""
    bill.usage("ingestion", "azure.log_analytics.ingestion", "ingestion_gib", 10, "GB")


@resolves("azure-native:monitor:AzureMonitorWorkspace")
def monitor_workspace(bill: Bill) -> None:
    """Samples by use."""
    bill.usage(
        "samples", "azure.monitor.samples", "ten_million_samples", 100, "x 10 million samples"
    )


@resolves("azure-native:monitor:MetricAlert", "azure-native:monitor:ScheduledQueryRule")
def metric_alert(bill: Bill) -> None:
    """A month for each watched series."""
    criteria = max(len(bill.items("criteria", "allOf")), 1)
    bill.monthly("watched series", "azure.monitor.alert", criteria)


@resolves("azure-native:dashboard:Grafana")
def grafana(bill: Bill) -> None:
    """Hours of the Standard tier, and active users by use."""
    bill.hourly("Grafana", f"azure.grafana.{bill.text('sku', 'name', default='Standard').lower()}")


def _ml_compute(bill: Bill, path: tuple[str, ...]) -> None:
    size = bill.text(*path, "vmSize")
    least = bill.number(*path, "scaleSettings", "minNodeCount")
    spot = bill.text(*path, "vmPriority") == "LowPriority"
    bill.machines("azure", [size], least, spot=spot)


@resolves("azure-native:machinelearningservices:Compute")
def ml_compute(bill: Bill) -> None:
    """Its machines: the least of a cluster, one for an instance; AKS attached is billed there."""
    kind = bill.text("properties", "computeType")
    if kind == "AmlCompute":
        _ml_compute(bill, ("properties", "properties"))
    elif kind == "ComputeInstance":
        bill.machines("azure", [bill.text("properties", "properties", "vmSize")], 1)
    else:
        bill.free(f"{kind} is billed by itself")


@resolves("azure-native:machinelearningservices:OnlineDeployment")
def ml_deployment(bill: Bill) -> None:
    """Instances at the machine's price; on Kubernetes the nodes are priced."""
    base = ("onlineDeploymentProperties",)
    if bill.text(*base, "endpointComputeType") == "Kubernetes":
        bill.free("runs on nodes that are priced as machines")
        return
    size = bill.text(*base, "instanceType")
    bill.machines("azure", [size], bill.number("sku", "capacity", default=1))


@resolves("azure-native:machinelearningservices:Job")
def ml_job(bill: Bill) -> None:
    """Runs on a compute target."""
    bill.free("runs on a compute target that is priced")


@resolves("azure-native:app:ContainerApp", "azure-native:app:Job")
def container_app(bill: Bill) -> None:
    """vCPU, memory and requests by use: its least replicas are assumed to be active 8 h a day."""
    bill.usage("vCPU", "azure.containerapps.vcpu", "vcpu_seconds", 432_000, "vCPU-seconds")
    bill.usage("memory", "azure.containerapps.memory", "gib_seconds", 864_000, "GiB-seconds")
    if bill.resource.type.endswith("ContainerApp"):
        bill.usage("requests", "azure.containerapps.requests", "million_requests", 1, "million")


@resolves("azure-native:app:ManagedEnvironment")
def container_environment(bill: Bill) -> None:
    """Free on the consumption plan; dedicated profiles are billed by the node."""
    profiles = [str(item.get("workloadProfileType", "")) for item in bill.items("workloadProfiles")]
    dedicated = [name for name in profiles if name and name != "Consumption"]
    if not dedicated:
        bill.free("the consumption plan is billed at its apps")
    for name in dedicated:
        bill.hourly(f"profile {name}", f"azure.containerapps.profile.{name}")


@resolves("azure-native:synapse:BigDataPool")
def synapse_spark(bill: Bill) -> None:
    """Node hours by use."""
    size = bill.text("nodeSize", default="Small").lower()
    bill.usage(
        f"Spark {size} nodes", f"azure.synapse.spark.{size}", "node_hours", 100, "node-hours"
    )


_BY_USE = {
    "azure-native:datafactory:Factory": (
        "activity runs",
        "azure.datafactory.runs",
        "thousand_runs",
    ),
    "azure-native:purview:Account": ("capacity units", "azure.purview.capacity", "unit_hours"),
    "azure-native:security:Pricing": ("protected nodes", "azure.defender.node", "node_months"),
}


@resolves(*_BY_USE)
def by_use(bill: Bill) -> None:
    """By use."""
    name, key, usage_key = _BY_USE[normalise(bill.resource.type)]
    bill.usage(name, key, usage_key, 10, usage_key.replace("_", " "))
