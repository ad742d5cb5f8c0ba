"""Every resource is priced, usage-based, free or refused: never silently zero."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost import money
from cost.estimate import Outcome
from cost.estimate.engine import load_resolvers
from cost.estimate.registry import free_types, known_types, normalise, resolves, why_free
from infra.core.errors import BadInput

from .conftest import UNKNOWN, cents, charges, one, price, step, urn  # type: ignore[import-not-found]

NODES = {"scalingConfig": {"desiredSize": 2}}


def test_an_unknown_type_is_refused_and_named() -> None:
    item = one("aws:braket/quantumTask:QuantumTask", {})
    assert (item.outcome, item.usd_per_month) == (Outcome.REFUSED, Decimal(0))
    assert item.reason == "no resolver for aws:braket/quantumTask:QuantumTask"


@pytest.mark.parametrize("mark", [UNKNOWN, "[secret]", f"prefix-{UNKNOWN}",
                                  {"4dabf18193072939515e22adb298388d": "1b", "plaintext": "x"}])  # fmt: skip
def test_an_unknown_value_is_refused_not_zero(mark: Any) -> None:
    item = one("aws:eks/nodeGroup:NodeGroup", NODES | {"instanceTypes": mark})
    assert item.outcome is Outcome.REFUSED
    assert "instanceTypes isn't known before up; give instance_types for it" in item.reason


def test_an_unknown_inner_value_is_refused() -> None:
    broker = {"instanceType": UNKNOWN}
    item = one("aws:msk/cluster:Cluster", {"numberOfBrokerNodes": 3, "brokerNodeGroupInfo": broker})
    assert "brokerNodeGroupInfo.instanceType isn't known" in item.reason
    item = one(
        "aws:msk/cluster:Cluster", {"numberOfBrokerNodes": 3, "brokerNodeGroupInfo": UNKNOWN}
    )
    assert item.outcome is Outcome.REFUSED


def test_the_usage_file_can_say_it(usage_file: Callable[[str], Path]) -> None:
    path = usage_file("usage:\n  it: {instance_types: [m5.large]}\n")
    item = one("aws:eks/nodeGroup:NodeGroup", NODES | {"instanceTypes": UNKNOWN}, usage=path)
    assert charges(item)["m5.large x 2"] == Decimal("140.16")


def test_garbled_numbers_are_refused() -> None:
    for bad in ("many", -3, [1]):
        item = one("aws:eks/nodeGroup:NodeGroup",
                   {"instanceTypes": ["m5.large"], "scalingConfig": {"desiredSize": bad}})  # fmt: skip
        assert item.outcome is Outcome.REFUSED
        assert "scalingConfig.desiredSize" in item.reason


def test_a_machine_that_is_not_on_offer_is_refused() -> None:
    item = one("aws:eks/nodeGroup:NodeGroup", NODES | {"instanceTypes": ["z9.huge"]})
    assert item.outcome is Outcome.REFUSED
    assert "no sourced price of z9.huge in us-east-1" in item.reason
    elsewhere = one("aws:eks/nodeGroup:NodeGroup",
                    NODES | {"instanceTypes": ["m5.large"]}, config={"aws:region": "sa-east-1"})  # fmt: skip
    assert "no sourced price of m5.large in sa-east-1" in elsewhere.reason


def test_of_several_types_the_dearest_is_assumed() -> None:
    item = one("aws:eks/nodeGroup:NodeGroup", NODES | {"instanceTypes": ["m5.large", "m5.xlarge"]})
    assert charges(item)["m5.xlarge x 2"] == Decimal("280.32")
    assert "the dearest of m5.large, m5.xlarge" in item.charges[0].note


def test_a_pool_that_scales_from_zero_says_so(usage_file: Callable[[str], Path]) -> None:
    pool = {"instanceTypes": ["p5.48xlarge"], "scalingConfig": {"desiredSize": 0}}
    item = one("aws:eks/nodeGroup:NodeGroup", pool)
    assert item.outcome is Outcome.USAGE
    assert "scales from zero: assumed 0 nodes" in item.charges[0].note
    path = usage_file("usage:\n  it: {nodes: 0.5}\n")
    half = one("aws:eks/nodeGroup:NodeGroup", pool, usage=path)
    assert charges(half)["p5.48xlarge x 0.5"] == Decimal("20089.60")


def test_spot_without_a_sourced_price_is_an_upper_bound() -> None:
    item = one("aws:eks/nodeGroup:NodeGroup",
               NODES | {"instanceTypes": ["m7i.large"], "capacityType": "SPOT"})  # fmt: skip
    assert "on demand as an upper bound" in item.charges[0].note


def test_another_region_stands_in_and_says_so() -> None:
    item = one("aws:eks/cluster:Cluster", {}, config={"aws:region": "eu-west-1"})
    assert item.charges[0].note == "the price of us-east-1 stands in for eu-west-1"
    exact = one(
        "aws:eks/cluster:Cluster", {}, config={"aws:region": "eu-west-1"}, exact_region=True
    )
    assert exact.outcome is Outcome.REFUSED
    assert "no sourced price of aws.eks.cluster in eu-west-1" in exact.reason


def test_own_prices(usage_file: Callable[[str], Path]) -> None:
    path = usage_file(
        "prices:\n"
        "  aws.amp.samples: {usd_per_unit: '0.90', unit: 10M samples, source: invoice,"
        " as_of: 2026-10-01}\n"
        "  aws.machine.z9.huge: {usd_per_unit: 2, unit: hour, source: quote, as_of: 2020-01-01,"
        " region: us-east-1}\n"
    )
    item = one("aws:amp/workspace:Workspace", {}, usage=path)
    assert (cents(item), item.outcome) == (Decimal("90.00"), Outcome.USAGE)
    assert item.charges[0].source == "invoice"
    refused = one("aws:amp/workspace:Workspace", {})
    assert "no sourced price of aws.amp.samples" in refused.reason
    machine = one("aws:ec2/instance:Instance", {"instanceType": "z9.huge"}, usage=path)
    assert charges(machine)["z9.huge x 1"] == Decimal("1460.00")
    assert machine.charges[0].stale


def test_usage_overrides_and_typos(usage_file: Callable[[str], Path]) -> None:
    path = usage_file(
        "usage:\n  aws:s3/bucket:Bucket: {storage_gib: 1}\n  it: {storage_gib: 5000}\n"
        "  ti: {storage_gib: 3}\n"
    )
    result = price(step("aws:s3/bucket:Bucket", {}), usage=path)
    assert charges(result.resources[0])["Standard storage"] == Decimal("115.00")
    assert result.unused == ("aws:s3/bucket:Bucket.storage_gib", "ti.storage_gib")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("usage: [", "can't read the usage file"),
        ("use: {}", "unknown: use"),
        ("[1]", "unknown: its root"),
        ("usage: {it: 3}", "usage of it is no mapping"),
        ("usage: {it: {storage_gib: -1}}", "usage it.storage_gib is -1"),
        ("usage: {it: {storage_gib: lots}}", "'lots' is no amount"),
        ("prices: {k: {usd_per_unit: 1}}", "the price of k lacks or garbles"),
        ("prices: {k: {usd_per_unit: -1, unit: h, source: s, as_of: 2026-10-01}}", "negative"),
        ("prices: {k: {usd_per_unit: 1, unit: h, source: s, as_of: soon}}", "lacks or garbles"),
    ],
)
def test_bad_usage_files_are_one_error(
    usage_file: Callable[[str], Path], text: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        one("aws:s3/bucket:Bucket", {}, usage=usage_file(text))


def test_a_missing_usage_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't read the usage file"):
        one("aws:s3/bucket:Bucket", {}, usage=tmp_path / "none.yaml")


def test_free_things_say_why() -> None:
    for token in ("aws:iam/role:Role", "aws:ec2/securityGroup:SecurityGroup", "aws:budgets/budget:Budget",
                  "gcp:projects/iAMMember:IAMMember", "gcp:compute/network:Network",
                  "azure-native:resources:ResourceGroup", "azure-native:consumption:Budget",
                  "kubernetes:core/v1:Namespace", "kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue",
                  "mlscale:local:Store", "pulumi:providers:aws", "random:index/randomId:RandomId",
                  "azure-native:network/v20240501:VirtualNetwork"):  # fmt: skip
        item = one(token, {})
        assert item.outcome is Outcome.FREE, token
        assert item.reason


def test_components_and_reads_are_not_billed() -> None:
    component = one("mlscale:components:Cluster", {}, custom=False)
    assert component.reason == "a component: its children are priced"
    read = one("aws:eks/cluster:Cluster", {}, op="read")
    assert (read.outcome, cents(read)) == (Outcome.FREE, Decimal("0.00"))


def test_every_priced_type_answers_an_empty_resource() -> None:
    """No resolver crashes, and none is silently zero, whatever is missing."""
    load_resolvers()
    types = known_types()
    assert len(types) > 120
    for token in types:
        for config in ({}, {"aws:region": "us-east-1", "gcp:region": "us-central1"}):
            item = one(token, {}, config=config)
            assert item.charges or item.reason, token
            if item.outcome in {Outcome.FREE, Outcome.REFUSED}:
                assert item.reason, token
            else:
                assert item.usd_per_month > 0 or item.charges[0].usage, token


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["sku", "name", "tier", "capacity", "nodeConfig", "machineType", "count",
                         "instanceTypes", "scalingConfig", "desiredSize", "config", "spec"]),
        inner, max_size=4), max_leaves=8),
    st.sampled_from(["aws:eks/nodeGroup:NodeGroup", "gcp:container/nodePool:NodePool",
                     "azure-native:containerservice:AgentPool", "aws:msk/cluster:Cluster",
                     "azure-native:eventhub:Namespace", "kubernetes:core/v1:Service",
                     "aws:sagemaker/endpoint:Endpoint", "gcp:composer/environment:Environment"]))  # fmt: skip
def test_no_input_crashes_a_resolver(value: Any, token: str) -> None:
    item = one(token, value if isinstance(value, dict) else {"sku": value, "nodeConfig": value})
    assert item.charges or item.reason
    assert item.usd_per_month == money.total(charge.usd_per_month for charge in item.charges)


def test_totals_are_sums() -> None:
    result = price(step("aws:eks/cluster:Cluster", {}, "a"), step("aws:s3/bucket:Bucket", {}, "b"),
                   step("aws:kms/key:Key", {}, "c"), step("x:y:Z", {}, "d"))  # fmt: skip
    assert result.usd_per_month == sum(item.usd_per_month for item in result.resources)
    document = result.as_json()
    assert Decimal(document["usd_per_month"]) == sum(
        Decimal(line["amount"]) for line in document["lines"]
    )
    assert document["outcomes"] == {"priced": 1, "usage_based": 2, "free": 0, "refused": 1}
    assert not document["complete"]


def test_lines_carry_the_owner() -> None:
    tags = {"mlscale:team": "ranking", "environment": "prod", "Name": "x"}
    labels = {"metadata": {"labels": {"example.com/workload": "ranker"}}}
    service = labels | {"spec": {"type": "LoadBalancer"}}
    result = price(
        step("aws:eks/cluster:Cluster", {"tags": tags}),
        step("kubernetes:core/v1:Service", service, "s"),
    )
    lines = result.as_json()["lines"]
    assert lines[0] == {"resource": "it", "amount": "73.0000000000", "team": "ranking",
                        "environment": "prod"}  # fmt: skip
    assert lines[1]["workload"] == "ranker"


def test_where_a_resource_runs() -> None:
    provider = step("pulumi:providers:aws", {"region": "us-west-2"}, "west")
    cluster = step(
        "aws:eks/cluster:Cluster", {}, provider=urn("pulumi:providers:aws", "west") + "::id"
    )
    pool = step("azure-native:containerservice:AgentPool", {"count": 1, "vmSize": "Standard_D2s_v3",
                "osDiskType": "Ephemeral"}, "pool",
                dependencies=[urn("azure-native:containerservice:ManagedCluster", "aks")])  # fmt: skip
    aks = step("azure-native:containerservice:ManagedCluster", {"location": "North Europe"}, "aks")
    zone = step("gcp:compute/disk:Disk", {"zone": "europe-west4-a", "size": 10}, "disk")
    own = step("aws:ebs/volume:Volume", {"availabilityZone": "eu-central-1b", "size": 1}, "vol")
    result = price(provider, cluster, pool, aks, zone, own, config={})
    assert [item.region for item in result.resources] == [
        "", "us-west-2", "northeurope", "northeurope", "europe-west4", "eu-central-1"]  # fmt: skip


def test_registry_rules() -> None:
    assert (
        normalise("azure-native:network/v20240501:NatGateway") == "azure-native:network:NatGateway"
    )
    assert why_free("never:heard/of:It") is None
    assert "kubernetes:" in free_types()
    with pytest.raises(ValueError, match="two resolvers"):
        resolves("aws:eks/cluster:Cluster")(lambda bill: None)
