"""The broker's files, jars and Java, without and with a real broker."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from infra.core.errors import DamagedState, MissingTool
from tests.support.kafka import KafkaBroker, fetched_libs
from workloads.streaming import broker
from workloads.streaming.topics import describe_topic, ensure_topic

SETTINGS = broker.BrokerSettings(Path("/tmp/kafka dir"), 9092, 9093, "abc", retention_hours=0.5)


def test_the_rendered_files() -> None:
    lines = broker.render_server_properties(SETTINGS).splitlines()
    values = dict(line.split("=", 1) for line in lines)
    assert values["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert values["log.dirs"] == "/tmp/kafka dir/data"
    assert values["log.retention.ms"] == "1800000"
    assert all(value == "1" for key, value in values.items() if "replication.factor" in key)
    command = broker.broker_command(SETTINGS, Path("/libs"), Path("/usr/bin/java"))
    assert command[0] == "/usr/bin/java"
    assert command[-2:] == ["kafka.Kafka", "/tmp/kafka dir/server.properties"]
    assert "-Xmx256m" in command
    assert len({broker.new_cluster_id() for _ in range(50)}) == 50
    assert not any(broker.new_cluster_id().startswith("-") for _ in range(200))


def test_where_the_jars_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.libs_directory(Path("/c")) == Path("/c/kafka/4.4.0/libs")
    monkeypatch.setenv("MLSCALE_CACHE", "/elsewhere")
    assert broker.libs_directory() == Path("/elsewhere/kafka/4.4.0/libs")


def test_truncated_missing_and_strange_jars_are_found(tmp_path: Path) -> None:
    libs = tmp_path / "libs"
    shutil.copytree(fetched_libs(), libs)
    assert broker.verify_jars(libs) == []
    jars = sorted(libs.glob("*.jar"))
    jars[0].write_bytes(jars[0].read_bytes()[:1000])
    jars[1].unlink()
    (libs / "extra.jar").write_bytes(b"")
    found = {Path(problem.file or "").name: problem for problem in broker.verify_jars(libs)}
    assert set(found) == {jars[0].name, jars[1].name, "extra.jar"}
    assert "damaged (1000 bytes" in found[jars[0].name].message
    assert found[jars[0].name].fix == found[jars[1].name].fix == "scripts/setup --only kafka"
    assert len(broker.verify_jars(tmp_path / "nothing")) == len(jars)


def test_a_storage_is_formatted_once_and_for_one_cluster(kafka_broker: KafkaBroker) -> None:
    settings, libs, java = kafka_broker.settings, fetched_libs(), broker.find_java()
    meta = settings.data_directory / "meta.properties"
    before = meta.stat().st_mtime_ns
    broker.format_storage(settings, libs, java)
    assert meta.stat().st_mtime_ns == before
    with pytest.raises(DamagedState, match="belongs to the cluster"):
        broker.format_storage(replace(settings, cluster_id="other"), libs, java)


def test_a_storage_that_cant_be_formatted(tmp_path: Path) -> None:
    settings = broker.BrokerSettings(tmp_path, 1, 2, broker.new_cluster_id())
    settings.data_directory.write_text("a file where a directory must be")
    with pytest.raises(DamagedState, match="Kafka's storage tool failed"):
        broker.format_storage(settings, fetched_libs(), broker.find_java())


def test_java_is_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.find_java().name == "java"
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="Java is missing"):
        broker.find_java()
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(MissingTool, match="Java is 11"):
        broker.find_java()


def test_a_killed_broker_comes_back_with_its_topics(kafka_broker: KafkaBroker) -> None:
    name = kafka_broker.new_topic_name()
    made = ensure_topic(kafka_broker.bootstrap, name, 1, 1)
    kafka_broker.kill()
    kafka_broker.start()
    assert describe_topic(kafka_broker.bootstrap, name) == made
    assert kafka_broker.stop() in (0, 143)
    kafka_broker.start()
