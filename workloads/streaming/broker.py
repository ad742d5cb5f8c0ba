"""One Kafka broker in KRaft mode from its jars: command line, files, formatting, jar check.

Nothing here keeps a process: the caller's supervisor does. The settings are for one node on one
machine (replication factor 1, small heap); measured: 2 to 3.5 s to start, about 200 MB resident.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from infra.core.errors import DamagedState, MissingTool, Problem
from infra.core.places import cache_dir

KAFKA_VERSION = "4.4.0"
JAR_HASHES = Path(__file__).resolve().parents[2] / "tools" / "kafka" / "jars.sha256"
FETCH_COMMAND = "scripts/setup --only kafka"

_JAVA_FLOOR = 17
_FORMAT_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class BrokerSettings:
    """A broker on this machine. ``directory`` holds all of it: config, data, log settings.

    ``cluster_id`` must stay the same for the life of ``directory`` (:func:`new_cluster_id`).
    """

    directory: Path
    port: int
    controller_port: int
    cluster_id: str
    host: str = "127.0.0.1"
    heap_mib: int = 256
    retention_hours: float = 168

    @property
    def properties_file(self) -> Path:
        """Where :func:`write_files` puts the broker's configuration."""
        return self.directory / "server.properties"

    @property
    def log4j_file(self) -> Path:
        """Where :func:`write_files` puts the logging configuration."""
        return self.directory / "log4j2.properties"

    @property
    def data_directory(self) -> Path:
        """Kafka's own ``log.dirs``."""
        return self.directory / "data"


def libs_directory(cache: Path | None = None) -> Path:
    """Where set-up puts the jars: below ``cache``, by default the tools' cache."""
    return (cache or cache_dir()) / "kafka" / KAFKA_VERSION / "libs"


def new_cluster_id() -> str:
    """A cluster id in Kafka's form: 16 random bytes in base64url without padding."""
    # Kafka's own tools refuse ids that start with a dash (they look like options).
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


def render_server_properties(settings: BrokerSettings) -> str:
    """The broker's ``server.properties``. Source: https://kafka.apache.org/documentation/#brokerconfigs."""
    host, port, controller = settings.host, settings.port, settings.controller_port
    listeners = f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}"
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{host}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(settings.data_directory),
        "auto.create.topics.enable": "false",
        "log.retention.hours": "-1",
        "log.retention.ms": str(round(settings.retention_hours * 3_600_000)),
        # One node: every internal topic has one replica, and one partition is enough.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # After a kill, the controller takes the broker back when its former session is over.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # A replay keeps its place as a group's offset: it must outlive a quiet year.
        "offsets.retention.minutes": str(366 * 24 * 60),
        # A killed processor is replaced in seconds; its sink fences it if it still lives.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "num.network.threads": "1",
        "num.io.threads": "2",
        "log.cleaner.dedupe.buffer.size": "2097152",
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def render_log4j() -> str:
    """Logging to standard output, warnings and the start-up only; the supervisor keeps the file."""
    return (
        "status = warn\n"
        "appender.console.type = Console\n"
        "appender.console.name = STDOUT\n"
        "appender.console.layout.type = PatternLayout\n"
        "appender.console.layout.pattern = [%d] %p %m (%c)%n\n"
        "rootLogger.level = warn\n"
        "rootLogger.appenderRef.console.ref = STDOUT\n"
        "logger.server.name = org.apache.kafka.common.utils.AppInfoParser\n"
        "logger.server.level = info\n"
    )


def write_files(settings: BrokerSettings) -> None:
    """Write both configuration files into ``settings.directory``."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    settings.properties_file.write_text(render_server_properties(settings), encoding="utf-8")
    settings.log4j_file.write_text(render_log4j(), encoding="utf-8")


def broker_command(settings: BrokerSettings, libs: Path, java: Path) -> list[str]:
    """The broker's command line; it stops within seconds of SIGTERM and survives SIGKILL."""
    heap = settings.heap_mib
    return [
        str(java),
        f"-Xms{min(96, heap)}m",
        f"-Xmx{heap}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j2.configurationFile={settings.log4j_file}",
        "-cp",
        f"{libs}/*",
        "kafka.Kafka",
        str(settings.properties_file),
    ]


def format_storage(settings: BrokerSettings, libs: Path, java: Path) -> None:
    """Write the files and make ``data_directory`` a formatted one; does nothing to a formatted one.

    Raises ``DamagedState`` when the directory belongs to another cluster or can't be formatted.
    """
    write_files(settings)
    found = _formatted_cluster_id(settings.data_directory)
    if found == settings.cluster_id:
        return
    if found is not None:
        raise DamagedState(
            Problem(
                f"this directory belongs to the cluster {found}",
                file=str(settings.data_directory),
                expected=f"cluster {settings.cluster_id}",
                fix="give the broker a directory of its own",
            )
        )
    command = [
        *(str(java), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        f"-Dlog4j2.configurationFile={settings.log4j_file}",
        *("-cp", f"{libs}/*", "kafka.tools.StorageTool", "format", "--standalone"),
        *("--ignore-formatted", "-t", settings.cluster_id, "-c", str(settings.properties_file)),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise DamagedState(
            Problem(
                f"Kafka's storage tool failed: {output[-1] if output else 'no output'}",
                file=str(settings.data_directory),
                fix=f"check the disk and the jars ({FETCH_COMMAND})",
            )
        )


def verify_jars(libs: Path, hashes: Path = JAR_HASHES) -> list[Problem]:
    """What is wrong with the jars in ``libs``; empty when all are there, whole and nothing else."""
    wanted = {}
    for line in hashes.read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        wanted[name] = digest
    problems = []
    for name, digest in wanted.items():
        problem = _jar_problem(libs / name, digest)
        if problem is not None:
            problems.append(problem)
    strangers = {path.name for path in libs.glob("*.jar")} - wanted.keys()
    problems += [
        Problem("a jar that Kafka doesn't come with", file=str(libs / name), fix=f"remove {name}")
        for name in sorted(strangers)
    ]
    return problems


def find_java() -> Path:
    """The ``java`` of ``$JAVA_HOME`` or PATH, at least version 17; raises ``MissingTool``."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    fix = "install a Java runtime (Debian: apt-get install openjdk-17-jre-headless)"
    if found is None:
        raise MissingTool(
            Problem("Java is missing", expected=f"java {_JAVA_FLOOR} or later", fix=fix)
        )
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if answer.returncode != 0 or version is None or int(version[1]) < _JAVA_FLOOR:
        shown = version[1] if version else "of unknown version"
        problem = Problem(f"Java is {shown}", found, expected=f"{_JAVA_FLOOR} or later", fix=fix)
        raise MissingTool(problem)
    return Path(found)


def _jar_problem(path: Path, digest: str) -> Problem | None:
    if not path.is_file():
        return Problem("a jar of Kafka is missing", file=str(path), fix=FETCH_COMMAND)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found == digest:
        return None
    size = path.stat().st_size
    return Problem(
        f"a jar of Kafka is damaged ({size} bytes, sha256 {found[:16]}…)",
        file=str(path),
        expected=f"sha256 {digest[:16]}…",
        fix=FETCH_COMMAND,
    )


def _formatted_cluster_id(data: Path) -> str | None:
    meta = data / "meta.properties"
    if not meta.exists():
        return None
    found = re.search(r"^cluster\.id=(\S+)$", meta.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "of an unreadable meta.properties"


def _escaped(value: str) -> str:
    """A value in Java's properties format."""
    return value.replace("\\", "\\\\")
