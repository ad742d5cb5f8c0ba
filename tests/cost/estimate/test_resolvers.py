"""What each resolver makes of the shapes that stacks declare."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cost.estimate import Outcome
from cost.estimate.azure import disk_size
from cost.estimate.bill import CannotPrice
from cost.estimate.kubernetes import to_gib

from .conftest import UNKNOWN, cents, charges, one, price, step, urn  # type: ignore[import-not-found]

_LT = "aws:ec2/launchTemplate:LaunchTemplate"
_CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    # --- AWS
    ("aws:ec2/instance:Instance", {"instanceType": "g5.xlarge", "rootBlockDevice": {"volumeSize": 100}},
     {"g5.xlarge x 1": "734.38", "root disks gp3": "8.00"}),
    ("aws:ec2/capacityReservation:CapacityReservation",
     {"instanceType": "p4d.24xlarge", "instanceCount": 2}, {"p4d.24xlarge x 2": "32058.16"}),
    ("aws:eks/fargateProfile:FargateProfile", {}, {"vCPU": "29.55", "memory": "6.48"}),
    ("aws:ec2/eip:Eip", {}, {"public IPv4 address": "3.65"}),
    ("aws:ec2/vpnConnection:VpnConnection", {"transitGatewayId": UNKNOWN},
     {"VPN connection": "36.50", "transit gateway attachment": "36.50"}),
    ("aws:ec2transitgateway/vpcAttachment:VpcAttachment", {},
     {"transit gateway attachment": "36.50", "data processed": "2.00"}),
    ("aws:route53/zone:Zone", {}, {"hosted zone": "0.50"}),
    ("aws:efs/fileSystem:FileSystem", {}, {"EFS Standard": "30.00"}),
    ("aws:ecr/repository:Repository", {}, {"image storage": "2.00"}),
    ("aws:mwaa/environment:Environment",
     {"environmentClass": "mw1.large", "minWorkers": 3, "schedulers": 4},
     {"environment large": "722.70", "more workers large": "321.20", "more schedulers large": "321.20",
      "metadata database": "1.00"}),
    ("aws:glue/job:Job", {}, {"DPU": "44.00"}),
    ("aws:lambda/function:Function", {"memorySize": 1024, "architectures": ["arm64"]},
     {"requests": "0.20", "duration": "2.67"}),
    ("aws:elasticache/replicationGroup:ReplicationGroup",
     {"nodeType": "cache.r5.4xlarge", "numNodeGroups": 3, "replicasPerNodeGroup": 1},
     {"node cache.r5.4xlarge": "7551.12"}),
    ("aws:elasticache/cluster:Cluster", {"nodeType": "cache.m4.large", "numCacheNodes": 2},
     {"node cache.m4.large": "227.76"}),
    ("aws:dynamodb/table:Table", {"billingMode": "PAY_PER_REQUEST"},
     {"writes": "1.25", "reads": "0.25", "storage": "2.50"}),
    ("aws:kms/key:Key", {}, {"key": "1.00", "requests": "0.30"}),
    ("aws:secretsmanager/secret:Secret", {}, {"secret": "0.40"}),
    ("aws:cloudwatch/logGroup:LogGroup", {}, {"ingestion": "5.00", "storage": "0.90"}),
    ("aws:cloudwatch/metricAlarm:MetricAlarm",
     {"metricQueries": [{"metric": {}}, {"metric": {}}, {"expression": "a/b"}]}, {"alarm metrics": "0.20"}),
    ("aws:cloudwatch/dashboard:Dashboard", {}, {"dashboard": "3.00"}),
    # --- GCP
    ("gcp:container/cluster:Cluster",
     {"location": "us-central1-a", "initialNodeCount": 1, "nodeConfig": {"machineType": "e2-standard-4"}},
     {"cluster management fee": "73.00", "e2-standard-4 x 1": "97.84", "boot disks pd-balanced": "10.00"}),
    ("gcp:compute/instance:Instance",
     {"zone": "us-central1-a", "machineType": "n2-standard-4",
      "bootDisk": {"initializeParams": {"size": 50, "type": "pd-ssd"}}},
     {"n2-standard-4 x 1": "141.79", "boot disk pd-ssd": "8.50"}),
    ("gcp:compute/disk:Disk", {"zone": "us-central1-b", "type": "pd-ssd", "size": 100},
     {"pd-ssd capacity": "17.00"}),
    ("gcp:compute/reservation:Reservation",
     {"zone": "us-central1-a", "specificReservation": {
         "count": 2, "instanceProperties": {"machineType": "g2-standard-4"}}},
     {"g2-standard-4 x 2": "1031.97"}),
    ("gcp:tpu/v2Vm:V2Vm", {"zone": "us-central1-a", "acceleratorType": "v5litepod-32"},
     {"tpu-v5litepod-1 x 32": "28032.00"}),
    ("gcp:compute/routerNat:RouterNat", {}, {"VMs behind NAT": "3.07", "data processed": "4.50"}),
    ("gcp:compute/address:Address", {}, {"external address": "3.65"}),
    ("gcp:compute/vPNTunnel:VPNTunnel", {}, {"VPN tunnel": "36.50"}),
    ("gcp:dns/managedZone:ManagedZone", {}, {"managed zone": "0.20"}),
    ("gcp:storage/bucket:Bucket", {"location": "US-CENTRAL1", "storageClass": "NEARLINE"},
     {"nearline storage": "1.00", "class A operations": "0.50", "class B operations": "0.40"}),
    ("gcp:storage/bucket:Bucket", {"location": "EU"},
     {"standard storage": "2.60", "class A operations": "0.50", "class B operations": "0.40"}),
    ("gcp:artifactregistry/repository:Repository", {"location": "us-central1"}, {"image storage": "2.00"}),
    ("gcp:composer/environment:Environment",
     {"region": "us-central1", "config": {"workloadsConfig": {
         "scheduler": {"cpu": 1, "memoryGb": 4, "count": 1}, "worker": {"minCount": 2, "cpu": 1,
                                                                        "memoryGb": 4}}}},
     {"compute units": "197.10", "database": "1.70"}),
    ("gcp:dataproc/batch:Batch", {"location": "us-central1"}, {"compute units": "72.00"}),
    ("gcp:cloudrunv2/service:Service", {"location": "europe-west3"},
     {"vCPU": "0.67", "memory": "0.04", "requests": "0.04"}),
    ("gcp:cloudrunv2/job:Job", {"location": "europe-west3"}, {"vCPU": "1.21", "memory": "0.25"}),
    ("gcp:redis/instance:Instance", {"memorySizeGb": 5, "tier": "STANDARD_HA"},
     {"standard_ha memory": "197.10"}),
    ("gcp:redis/instance:Instance", {"memorySizeGb": 105}, {"basic memory": "1226.40"}),
    ("gcp:kms/cryptoKey:CryptoKey", {}, {"key version": "0.06"}),
    ("gcp:secretmanager/secret:Secret", {}, {"secret version": "0.06"}),
    ("gcp:pubsub/topic:Topic", {}, {"throughput": "4.00"}),
    # --- Azure
    ("azure-native:containerservice:AgentPool",
     {"count": 2, "vmSize": "Standard_D4s_v3", "osDiskSizeGB": 128, "location": "eastus"},
     {"Standard_D4s_v3 x 2": "280.32", "OS disks P10": "39.42"}),
    ("azure-native:compute:VirtualMachine",
     {"location": "eastus", "hardwareProfile": {"vmSize": "Standard_D4s_v3"}},
     {"Standard_D4s_v3 x 1": "140.16", "OS disk P10": "19.71"}),
    ("azure-native:compute:VirtualMachineScaleSet",
     {"location": "eastus", "sku": {"name": "Standard_D4s_v3", "capacity": 3}},
     {"Standard_D4s_v3 x 3": "420.48"}),
    ("azure-native:compute:Disk",
     {"location": "eastus", "sku": {"name": "StandardSSD_LRS"}, "diskSizeGB": 1000},
     {"disk E30": "76.80"}),
    ("azure-native:azurefleet:Fleet",
     {"location": "eastus", "vmSizesProfile": [{"name": "Standard_D4s_v3"}],
      "regularPriorityProfile": {"capacity": 1}, "spotPriorityProfile": {"capacity": 1}},
     {"Standard_D4s_v3 x 1": "140.16", "spot Standard_D4s_v3 x 1": "140.16"}),
    ("azure-native:network:LoadBalancer", {"sku": {"name": "Standard"}}, {"data processed": "0.50"}),
    ("azure-native:network:PublicIPAddress", {}, {"public IPv4 address": "3.65"}),
    ("azure-native:network:PublicIPPrefix", {"prefixLength": 30}, {"public IPv4 address": "14.60"}),
    ("azure-native:network:PrivateEndpoint", {}, {"private endpoint": "7.30", "data processed": "1.00"}),
    ("azure-native:network:VirtualNetworkGateway", {"sku": {"name": "VpnGw2"}}, {"gateway VpnGw2": "357.70"}),
    ("azure-native:privatedns:PrivateZone", {}, {"hosted zone": "0.50"}),
    ("azure-native:storage:StorageAccount",
     {"location": "westus", "sku": {"name": "Standard_LRS"}, "accessTier": "Cool"},
     {"Blob cool LRS": "1.15"}),
    ("azure-native:containerregistry:Registry", {"sku": {"name": "Basic"}}, {"registry basic": "5.00"}),
    ("azure-native:containerregistry:Replication", {}, {"replica": "50.00"}),
    ("azure-native:cache:Redis", {"sku": {"name": "Premium", "family": "P", "capacity": 1}, "shardCount": 3},
     {"node Premium_P1": "2430.90"}),
    ("azure-native:keyvault:Vault", {}, {"operations": "0.30"}),
    ("azure-native:operationalinsights:Workspace", {"location": "westeurope"}, {"ingestion": "29.90"}),
    ("azure-native:machinelearningservices:Compute",
     {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": {
         "vmSize": "Standard_NC24ads_A100_v4", "scaleSettings": {"minNodeCount": 1}}}},
     {"Standard_NC24ads_A100_v4 x 1": "2681.29"}),
    ("azure-native:machinelearningservices:Compute",
     {"location": "eastus", "properties": {"computeType": "ComputeInstance",
                                           "properties": {"vmSize": "Standard_D4s_v3"}}},
     {"Standard_D4s_v3 x 1": "140.16"}),
    ("azure-native:machinelearningservices:OnlineDeployment",
     {"location": "eastus", "sku": {"capacity": 2},
      "onlineDeploymentProperties": {"instanceType": "Standard_D4s_v3", "endpointComputeType": "Managed"}},
     {"Standard_D4s_v3 x 2": "280.32"}),
    ("azure-native:app:ContainerApp", {"location": "westeurope"},
     {"vCPU": "14.69", "memory": "3.46", "requests": "0.56"}),
]  # fmt: skip


@pytest.mark.parametrize(("token", "inputs", "expected"), _CASES, ids=[case[0] for case in _CASES])
def test_charges(token: str, inputs: dict[str, Any], expected: dict[str, str]) -> None:
    item = one(token, inputs)
    assert {name: str(usd) for name, usd in charges(item).items()} == expected
    assert item.outcome in {Outcome.PRICED, Outcome.USAGE}


_FREE = [
    ("aws:ec2/vpcEndpoint:VpcEndpoint", {}, "gateway endpoints are free"),
    ("gcp:kms/cryptoKeyIAMBinding:CryptoKeyIAMBinding", {}, "identity and access"),
    ("gcp:compute/instanceGroup:InstanceGroup", {}, "billed by itself"),
    ("aws:autoscaling/policy:Policy", {}, "billed by itself"),
    ("azure-native:eventhub:PrivateEndpointConnection", {}, "identity and access"),
    ("aws:cloudtrail/trail:Trail", {}, "first copy of management events"),
    ("aws:s3tables/table:Table", {}, "billed at its table bucket"),
    ("gcp:compute/globalAddress:GlobalAddress", {"purpose": "VPC_PEERING"}, "internal addresses are free"),
    ("gcp:storage/bucketObject:BucketObject", {}, "part of its bucket's storage"),
    ("azure-native:network:LoadBalancer", {}, "a Basic load balancer is free"),
    ("azure-native:network:VirtualNetworkGatewayConnection", {}, "included in the gateway"),
    ("azure-native:eventhub:Namespace", {"clusterArmId": UNKNOWN}, "dedicated cluster"),
    ("azure-native:machinelearningservices:Compute", {"properties": {"computeType": "AKS"}}, "by itself"),
    ("azure-native:machinelearningservices:OnlineDeployment",
     {"onlineDeploymentProperties": {"endpointComputeType": "Kubernetes"}}, "priced as machines"),
    ("azure-native:machinelearningservices:Job", {}, "compute target"),
    ("azure-native:app:ManagedEnvironment", {}, "consumption plan"),
    ("kubernetes:core/v1:Service", {"spec": {"type": "ClusterIP"}}, "priced as machines"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "inputs", "why"), _FREE)
def test_free(token: str, inputs: dict[str, Any], why: str) -> None:
    item = one(token, inputs)
    assert item.outcome is Outcome.FREE
    assert why in item.reason


_REFUSED = [
    ("aws:eks/cluster:Cluster", {"computeConfig": {"enabled": True}}, "Auto Mode"),
    ("aws:ec2/capacityBlockReservation:CapacityBlockReservation", {}, "quoted at purchase"),
    ("aws:ebs/volume:Volume", {"type": "gp3", "size": 10, "iops": 9000}, "aws.ebs.gp3.iops"),
    ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "gateway"}, "a gateway load balancer"),
    ("aws:autoscaling/group:Group", {}, "its launch template isn't in this stack"),
    ("aws:msk/serverlessCluster:ServerlessCluster", {}, "aws.msk.serverless.cluster"),
    ("aws:mskconnect/connector:Connector",
     {"capacity": {"provisionedCapacity": {"workerCount": 2}}}, "aws.mskconnect.mcu"),
    ("aws:sagemaker/endpoint:Endpoint", {}, "endpoint configuration isn't in this stack"),
    ("aws:fsx/lustreFileSystem:LustreFileSystem",
     {"deploymentType": "SCRATCH_2", "storageCapacity": 1200}, "aws.fsx.lustre.scratch"),
    ("aws:dynamodb/table:Table", {}, "aws.dynamodb.wcu"),
    ("aws:cloudtrail/trail:Trail", {"eventSelectors": [{}]}, "aws.cloudtrail.data_events"),
    ("aws:cloudwatch/compositeAlarm:CompositeAlarm", {}, "aws.cloudwatch.composite_alarm"),
    ("gcp:compute/instanceGroupManager:InstanceGroupManager", {}, "no resolver"),
    ("aws-native:sagemaker:Cluster",
     {"instanceGroups": [{"instanceType": "ml.p5.48xlarge", "instanceCount": 4}]},
     "aws.sagemaker.ml.p5.48xlarge"),
    ("gcp:workflows/workflow:Workflow", {}, "gcp.workflows.steps"),
    ("azure-native:security/v20240101:Pricing", {}, "azure.defender.node"),
    ("gcp:container/cluster:Cluster", {"enableAutopilot": True}, "gcp.gke.autopilot.vcpu"),
    ("gcp:container/nodePool:NodePool",
     {"location": "us-central1-a", "nodeCount": 1, "nodeConfig": {
         "machineType": "g2-standard-4", "guestAccelerators": [{"type": "nvidia-l4", "count": 2}]}},
     "g2-standard-4 has 1 x L4, not 2 x L4"),
    ("gcp:container/nodePool:NodePool",
     {"nodeConfig": {"machineType": "n1-standard-4", "guestAccelerators": [{"type": "nvidia-x"}]}},
     "unknown accelerator 'nvidia-x'"),
    ("gcp:container/nodePool:NodePool",
     {"location": "mars-north1-a", "nodeCount": 1, "nodeConfig": {"machineType": "ct6e-standard-4t"}},
     "no sourced price of TPU-v6e in mars-north1"),
    ("gcp:tpu/v2Vm:V2Vm", {"acceleratorType": "v9x-8"}, "unknown TPU type 'v9x-8'"),
    ("gcp:tpu/v2QueuedResource:V2QueuedResource", {}, "billed once granted"),
    ("gcp:vertex/aiEndpoint:AiEndpoint", {}, "isn't declared"),
    ("gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool",
     {"dedicatedResources": {"machineSpec": {"machineType": "g2-standard-4"}}}, "gcp.vertex.g2-standard-4"),
    ("gcp:bigtable/instance:Instance", {"clusters": [{"numNodes": 3}]}, "gcp.bigtable.node"),
    ("azure-native:compute:Disk", {"sku": {"name": "UltraSSD_LRS"}}, "no sourced price of UltraSSD_LRS"),
    ("azure-native:network:LoadBalancer",
     {"sku": {"name": "Standard"}, "loadBalancingRules": [{}]}, "azure.lb.rule"),
    ("azure-native:app:ManagedEnvironment",
     {"workloadProfiles": [{"workloadProfileType": "D4"}]}, "azure.containerapps.profile.D4"),
    ("kubernetes:core/v1:PersistentVolumeClaim",
     {"spec": {"resources": {"requests": {"storage": "10Gi"}}}}, "storage class (default)"),
    ("kubernetes:core/v1:PersistentVolumeClaim",
     {"spec": {"storageClassName": "gp3", "resources": {"requests": {"storage": "big"}}}}, "no quantity"),
    ("kubernetes:karpenter.sh/v1:NodePool", {}, "capacity is decided while it runs"),
    ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}, "which cloud is under the cluster"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "inputs", "why"), _REFUSED)
def test_refused_with_the_reason(token: str, inputs: dict[str, Any], why: str) -> None:
    item = one(token, inputs)
    assert item.outcome is Outcome.REFUSED
    assert why in item.reason


def test_node_group_by_launch_template() -> None:
    template = step(_LT, {"instanceType": "g5.xlarge", "blockDeviceMappings": [
        {"ebs": {"volumeSize": 200, "volumeType": "gp2"}}]}, "lt")  # fmt: skip
    group = step("aws:eks/nodeGroup:NodeGroup",
                 {"launchTemplate": {"id": UNKNOWN}, "scalingConfig": {"desiredSize": 1}}, "ng",
                 dependencies=[urn(_LT, "lt")])  # fmt: skip
    scaling = step("aws:autoscaling/group:Group", {"minSize": 2}, "asg")
    _, nodes, asg = price(template, group, scaling).resources
    assert charges(nodes) == {
        "g5.xlarge x 1": Decimal("734.38"),
        "root disks gp2": Decimal("20.00"),
    }
    assert charges(asg) == {"g5.xlarge x 2": Decimal("1468.76")}


def test_sagemaker_endpoint_by_its_configuration(usage_file: Any) -> None:
    config = step("aws:sagemaker/endpointConfiguration:EndpointConfiguration", {
        "productionVariants": [{"instanceType": "ml.g5.xlarge", "initialInstanceCount": 2},
                               {"serverlessConfig": {"memorySizeInMb": 2048}}]}, "config")  # fmt: skip
    endpoint = step("aws:sagemaker/endpoint:Endpoint", {"endpointConfigName": UNKNOWN}, "endpoint")
    path = usage_file("prices:\n  aws.sagemaker.ml.g5.xlarge: {usd_per_unit: '1.408', unit: hour,"
                      " source: quote, as_of: 2026-10-01}\n")  # fmt: skip
    _, item = price(config, endpoint, usage=path).resources
    assert charges(item)["hosting ml.g5.xlarge"] == Decimal("2055.68")
    assert "aws.sagemaker.serverless" in item.reason


def test_what_a_cluster_orders(usage_file: Any) -> None:
    balancer = step("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}, "lb")
    claim = step("kubernetes:core/v1:PersistentVolumeClaim",
                 {"spec": {"storageClassName": "gp3",
                           "resources": {"requests": {"storage": "100Gi"}}}}, "pvc")  # fmt: skip
    pool = step("kubernetes:karpenter.sh/v1:NodePool", {}, "burst")
    path = usage_file("usage:\n  burst: {instance_type: g5.xlarge, nodes: 2}\n")
    eks = step("aws:eks/cluster:Cluster", {}, "eks")
    _, lb, pvc, burst = price(eks, balancer, claim, pool, usage=path).resources
    assert charges(lb)["network load balancer"] == Decimal("16.43")
    assert charges(pvc) == {"gp3 disk": Decimal("8.00")}
    assert charges(burst) == {"g5.xlarge x 2": Decimal("1468.76")}
    gke = step("gcp:container/cluster:Cluster", {"location": "us-central1"}, "gke")
    assert charges(price(gke, balancer).resources[1])["forwarding rule"] == Decimal("7.30")
    aks = step("azure-native:containerservice:ManagedCluster", {"location": "eastus"}, "aks")
    assert charges(price(aks, balancer).resources[1]) == {"data processed": Decimal("0.50")}
    marked = {"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}},
              "spec": {"type": "LoadBalancer"}}  # fmt: skip
    both = price(eks, gke, step("kubernetes:core/v1:Service", marked, "lb")).resources[2]
    assert charges(both)["network load balancer"] == Decimal("16.43")


def test_gke_pools_inside_the_cluster() -> None:
    item = one("gcp:container/cluster:Cluster", {"location": "us-central1-a", "nodePools": [
        {"initialNodeCount": 2,
         "nodeConfig": {"machineType": "e2-standard-4", "localSsdCount": 1}}]})  # fmt: skip
    assert charges(item)["e2-standard-4 x 2"] == Decimal("195.67")
    assert charges(item)["local SSD"] == Decimal("60.00")
    least = one("gcp:container/nodePool:NodePool", {
        "location": "us-central1", "autoscaling": {"totalMinNodeCount": 2},
        "nodeConfig": {"machineType": "e2-standard-4", "spot": True}})  # fmt: skip
    assert "spot e2-standard-4 x 2" in charges(least)


def test_units_of_storage() -> None:
    assert to_gib("100Gi") == 100
    assert to_gib("512Mi") == Decimal("0.5")
    assert to_gib("1073741824") == 1
    with pytest.raises(CannotPrice, match="no quantity"):
        to_gib("1 TB")
    assert disk_size(Decimal(33)) == "P6"
    assert disk_size(Decimal(9999)) == "P50"


def test_dataproc_machines_are_priced_and_its_fee_refused() -> None:
    item = one("gcp:dataproc/cluster:Cluster", {"region": "us-central1"})
    assert set(charges(item)) == {"n1-standard-4 x 1", "n1-standard-4 x 2"}
    assert item.outcome is Outcome.REFUSED
    assert cents(item) > 0
