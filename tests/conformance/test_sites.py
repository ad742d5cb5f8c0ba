"""One suite for every site: what a class promises, what it refuses and why."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cost.sizing.lock import write
from cost.sizing.stack import size_stack
from infra.core.errors import InvalidStack, MlscaleError, StaleLock, Unsupported
from infra.core.places import ROOT
from infra.program import agreed, from_file
from infra.sites.base import Site
from infra.sites.capabilities import CAPABILITIES, HasTpu
from infra.sites.demands import demands_of
from infra.sites.registry import SITES, require_packages, require_supported, site_class
from infra.spec import PlatformSpec, load, parse


def _declaration() -> dict[str, Any]:
    document = YAML(typ="safe").load(ROOT / "stacks" / "Pulumi.local.yaml")
    return dict(document["config"]["mlscale:platform"])


def _changed(**changes: Any) -> PlatformSpec:
    """The local stack with values at dotted paths replaced (``__`` for a dot)."""
    data = copy.deepcopy(_declaration())
    for path, value in changes.items():
        holder, *rest = data, *path.split("__")
        for step in rest[:-1]:
            holder = holder.setdefault(step, {})
        holder[rest[-1]] = value
    return parse(data)


@pytest.mark.parametrize("cloud", sorted(SITES))
class TestEverySite:
    """Holds for each class in the registry."""

    def test_it_is_a_whole_site(self, cloud: str) -> None:
        cls = site_class(cloud)
        assert issubclass(cls, Site)
        assert cls.cloud == cloud
        assert not getattr(cls, "__abstractmethods__", None)

    def test_it_gives_a_reason_for_exactly_what_it_lacks(self, cloud: str) -> None:
        cls = site_class(cloud)
        lacks = {capability for capability in CAPABILITIES if not issubclass(cls, capability)}
        assert set(cls.reasons) == lacks
        assert all(len(reason) > 15 for reason in cls.reasons.values())


def test_every_capability_has_a_title_of_its_own() -> None:
    titles = [capability.title for capability in CAPABILITIES]
    assert len(set(titles)) == len(titles) > 15


def test_the_committed_stack_is_agreed_to() -> None:
    platform, classes = from_file("local")
    assert platform.name == "digits"
    assert set(classes) == {"here"}


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"pipelines": {"p": {"site": "here", "engine": "airflow", "package": "digits"}}},
         "platform.pipelines.p.engine", "no Airflow"),
        ({"pipelines": {"p": {"site": "here", "engine": "spark", "package": "digits"}}},
         "platform.pipelines.p.engine", "no Spark"),
        ({"pipelines": {"p": {"site": "here", "package": "digits"}}},
         "platform.pipelines.p.engine", "no scheduler"),
        ({"stores__lake__table_format": "delta"}, "platform.stores.lake.table_format", "Iceberg"),
        ({"stores__lake__online": {"memory_gib": 1}}, "platform.stores.lake.online", "features"),
        ({"stores__lake__shared_files_gib": 5}, "platform.stores.lake.shared_files_gib", "same disk"),
        ({"training__digits__parallelism": {"tensor": 2}},
         "platform.training.digits.parallelism", "two cores"),
        ({"training__digits__preemptible": {"allowed": True}},
         "platform.training.digits.preemptible", "taken away"),
        ({"endpoints__digits__runtime": "triton"}, "platform.endpoints.digits.runtime", "ONNX"),
        ({"endpoints__digits__replicas": 3}, "platform.endpoints.digits.replicas", "replicas"),
        ({"endpoints__digits__release": {"strategy": "canary"}},
         "platform.endpoints.digits.release.strategy", "gateway"),
        ({"endpoints__digits__release": {"strategy": "shadow"}},
         "platform.endpoints.digits.release.strategy", "gateway"),
        ({"monitoring__metrics": "managed"}, "platform.monitoring.metrics", "own Prometheus"),
        ({"monitoring__dashboards": "grafana"}, "platform.monitoring.dashboards", "Grafana"),
        ({"monitoring__sinks": ["datadog"]}, "platform.monitoring.sinks", "off the machine"),
        ({"monitoring__drift": {}}, "platform.monitoring.drift", "no scheduler"),
        ({"endpoints__digits__model": "models:/other@champion"},
         "platform.endpoints.digits.model", "registers"),
    ],
)  # fmt: skip
def test_what_the_local_site_cannot_do_is_refused_with_its_reason(
    changes: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        require_supported(_changed(**changes))
    [problem] = caught.value.problems
    assert problem.path == path
    assert reason in problem.message
    assert problem.fix


def test_a_local_training_without_a_dataset_is_refused() -> None:
    data = _declaration()
    del data["training"]["digits"]["dataset"]
    del data["streams"]["images"]["replay"]
    with pytest.raises(Unsupported, match="needs a dataset"):
        require_supported(parse(data))


def test_two_subjects_whose_processes_would_share_a_name_are_refused() -> None:
    data = _declaration()
    other = {key: value for key, value in data["endpoints"]["digits"].items() if key != "streaming"}
    data["endpoints"]["digits-job"] = other
    with pytest.raises(Unsupported) as caught:
        require_supported(parse(data))
    [problem] = caught.value.problems
    assert problem.path == "platform.endpoints.digits-job"
    assert "platform.training.digits" in problem.message


def test_every_refusal_comes_at_once() -> None:
    platform = _changed(monitoring__dashboards="grafana", stores__lake__table_format="delta")
    with pytest.raises(Unsupported) as caught:
        require_supported(platform)
    assert len(caught.value.problems) == 2


def test_a_cloud_without_a_class_is_named() -> None:
    platform = _changed(
        sites={
            "here": {"cloud": "local"},
            "far": {"cloud": "aws", "region": "us-east-1", "cidr": "10.0.0.0/16"},
        }
    )
    missing = "aws" not in SITES
    assert missing, "aws has a class now: choose another cloud for this test"
    with pytest.raises(Unsupported, match="no `aws` sites"):
        require_supported(platform)


def test_links_are_asked_of_both_ends() -> None:
    sites = {
        "a": {"cloud": "onprem", "cidr": "10.0.0.0/16"},
        "b": {"cloud": "onprem", "cidr": "10.1.0.0/16"},
    }
    data = {
        "name": "p", "environment": "dev", "sites": sites, "links": [["a", "b"]],
        "owner": {"team": "t", "cost_center": "1", "contact": "a@example.com"},
    }  # fmt: skip
    platform = parse(data)
    for site in sites:
        assert [demand.path for demand in demands_of(platform, site)] == [("links", "0")]
    assert HasTpu.title


def test_an_unknown_package_is_refused_with_its_line() -> None:
    platform = _changed(training__digits__package="digitz")
    with pytest.raises(InvalidStack) as caught:
        require_packages(platform)
    assert caught.value.problems[0].path == "platform.training.digits.package"


def test_problems_get_the_line_of_the_stacks_file(tmp_path: Path) -> None:
    text = (ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8")
    (tmp_path / "stacks").mkdir()
    broken = text.replace("table_format: iceberg", "table_format: delta")
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(broken, encoding="utf-8")
    with pytest.raises(Unsupported) as caught:
        from_file("local", tmp_path)
    [problem] = caught.value.problems
    line = next(n for n, one in enumerate(broken.splitlines(), 1) if "table_format" in one)
    assert (problem.file, problem.line) == ("stacks/Pulumi.local.yaml", line)


def test_a_stale_capacity_lock_is_refused_with_the_command_that_renews_it(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    text = (ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8")
    (stacks / "Pulumi.local.yaml").write_text(text, encoding="utf-8")
    write(size_stack("local", load("local", tmp_path)), tmp_path)
    from_file("local", tmp_path)
    changed = text.replace("requests_per_second: 100", "requests_per_second: 900")
    (stacks / "Pulumi.local.yaml").write_text(changed, encoding="utf-8")
    with pytest.raises(StaleLock, match="mlscale size local --write"):
        from_file("local", tmp_path)


def test_without_a_file_problems_still_have_their_path() -> None:
    with pytest.raises(MlscaleError) as caught:
        agreed(_changed(monitoring__dashboards="grafana"), None)
    assert caught.value.problems[0].file is None
    assert caught.value.problems[0].path == "platform.monitoring.dashboards"
