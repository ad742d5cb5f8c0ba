"""The language host over its real gRPC interface, as the engine calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from scripts.engine.host import Host, _entry_point, _python
from tests.support.processes import Process, wait_until


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host("127.0.0.1:1")
    yield found
    found.stop()


@pytest.fixture
def stub(host: Host) -> Iterator[Any]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)
    host.stop()
    server.stop(0).wait()


def _info(folder: Path, **options: str) -> Any:
    info = language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point="."
    )
    if options:
        values = struct_pb2.Struct()
        values.update(options)
        info.options.CopyFrom(values)
    return info


def _plugin(folder: Path, code: str, *arguments: str, env: tuple[str, ...] = ()) -> Any:
    (folder / "__main__.py").write_text(code)
    return language_pb2.RunPluginRequest(
        pwd=str(folder), info=_info(folder), args=list(arguments), env=list(env)
    )


def test_the_engine_learns_what_it_talks_to(stub: Any, host: Host) -> None:
    answer = language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:2")
    stub.Handshake(answer)
    assert host._engine == "127.0.0.1:2"
    about = stub.About(language_pb2.AboutRequest())
    assert about.executable == sys.executable
    assert about.version.startswith("3.")
    assert stub.GetPluginInfo(empty_pb2.Empty()).version.startswith("3.")


def test_nothing_is_to_be_fetched_or_asked(stub: Any) -> None:
    assert not stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages
    assert not stub.GetRequiredPlugins(language_pb2.GetRequiredPluginsRequest()).plugins
    assert not stub.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest()).prompts
    assert list(stub.InstallDependencies(language_pb2.InstallDependenciesRequest())) == []


def test_a_plugins_output_is_streamed_and_its_exit_code_told(stub: Any, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "print('out', sys.argv[1:], os.environ.get('ONLY'), os.environ.get('HOME'), os.getcwd())\n"
        "sys.stderr.buffer.write(b'err \\xff' * 20000); sys.exit(7)\n"
    )
    answers = list(stub.RunPlugin(_plugin(tmp_path, code, "a b", env=("ONLY=x=y",))))
    out = b"".join(answer.stdout for answer in answers).decode()
    assert out == f"out ['a b'] x=y None {tmp_path}\n"
    assert b"".join(answer.stderr for answer in answers) == b"err \xff" * 20000
    assert answers[-1].exitcode == 7


def test_a_plugin_whose_caller_leaves_is_ended(stub: Any, tmp_path: Path) -> None:
    call = stub.RunPlugin(_plugin(tmp_path, "import os, time; print(os.getpid()); time.sleep(99)"))
    pid = int(next(call).stdout)
    call.cancel()
    wait_until(lambda: _ended(pid), what="the plugin's end")


def test_cancel_ends_every_child_and_any_that_comes_late(
    stub: Any, host: Host, tmp_path: Path
) -> None:
    code = "import os, time; print(os.getpid()); time.sleep(99)"
    call = stub.RunPlugin(_plugin(tmp_path, code))
    pid = int(next(call).stdout)
    stub.Cancel(empty_pb2.Empty())
    assert host.done.is_set()
    assert list(call)[-1].exitcode == -15
    assert _ended(pid)
    late = list(stub.RunPlugin(_plugin(tmp_path, code)))
    assert late[-1].exitcode == -15


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _run(stub: Any, folder: Path, **more: Any) -> Any:
    info = _info(folder, **more.pop("options", {}))
    return stub.Run(
        language_pb2.RunRequest(
            pwd=str(folder), info=info, project="p", stack="s", organization="o", **more
        )
    )


def test_a_program_gets_its_settings_in_no_environment(stub: Any, tmp_path: Path) -> None:
    """Through a stand-in interpreter that keeps what it is told; far more than an environment takes."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\necho "$@" > arguments; cat > settings; env > environment; exit ${CODE:-32}\n'
    )
    python.chmod(0o755)
    secret = "canary" * 50_000
    config = {"config": {"p:token": secret}, "configSecretKeys": ["p:token"], "args": ["a"]}
    answer = _run(stub, tmp_path, options={"virtualenv": "env"}, dryRun=True, **config)
    assert answer.bail
    assert not answer.error
    settings = json.loads((tmp_path / "settings").read_text())
    assert settings["config"] == {"p:token": secret}
    assert settings["secret_keys"] == ["p:token"]
    assert settings["args"] == ["a"]
    assert settings["program"] == str(tmp_path / "__main__.py")
    assert settings["settings"]["dry_run"] is True
    assert settings["settings"]["engine"] == "127.0.0.1:1"
    assert "canary" not in (tmp_path / "environment").read_text()
    assert "runner.py" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    ("script", "error"),
    [("exit 0", ""), ("exit 3", "exit code: 3"), ("kill -9 $$", "exit code: -9")],
)
def test_a_programs_end_is_told(stub: Any, tmp_path: Path, script: str, error: str) -> None:
    """Also of one that dies before it has read its settings."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    large = {"p:x": "y" * 1_000_000}
    answer = _run(stub, tmp_path, options={"virtualenv": "env"}, config=large)
    assert not answer.bail
    assert error in answer.error
    assert bool(answer.error) is bool(error)


def test_a_program_without_an_engine_is_reported_not_hung(stub: Any, tmp_path: Path) -> None:
    """The real runner; nobody listens where it is told that the engine does."""
    (tmp_path / "__main__.py").write_text("raise ValueError('of the program')\n")
    done: list[Any] = []
    monitor = {"monitor_address": "127.0.0.1:1"}
    thread = threading.Thread(target=lambda: done.append(_run(stub, tmp_path, **monitor)))
    thread.start()
    thread.join(60)
    assert done
    assert done[0].bail or done[0].error


def test_which_interpreter_and_which_file(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    info = _info(tmp_path, virtualenv="nowhere")
    assert _python(info) == sys.executable
    assert _python(_info(tmp_path)) == sys.executable
    info.entry_point = "infra"
    assert _entry_point(info) == tmp_path / "infra" / "__main__.py"
    info.entry_point = "program.py"
    assert _entry_point(info) == tmp_path / "program.py"


def test_the_host_prints_its_port_and_leaves_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-P", "-m", "scripts.engine.host", "127.0.0.1:1"]
    host = Process(command, tmp_path / "log").start()
    wait_until(lambda: host.output().endswith("\n"), what="the port")
    with grpc.insecure_channel(f"127.0.0.1:{int(host.output())}") as channel:
        language_pb2_grpc.LanguageRuntimeStub(channel).Cancel(empty_pb2.Empty())
    assert host.wait() == 0


def test_a_host_leaves_when_its_engine_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as engine:
        engine.wait()
    host = Process(
        [sys.executable, "-m", "scripts.engine.host"],
        tmp_path / "log",
        {"MLSCALE_PARENT": str(engine.pid)},
    ).start()
    assert host.wait() == 0
    assert "Traceback" not in host.output()
