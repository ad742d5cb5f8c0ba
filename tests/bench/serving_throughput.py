"""Throughput of the model server against its empty endpoint and the bare ONNX Runtime loop.

``python tests/bench/serving_throughput.py`` needs ``wrk`` (Debian: apt-get install wrk). The three are
measured in turn, round by round, and CPU time a request is read from the kernel: on a shared
machine the requests a second vary several times over, the CPU time does not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.onnx_models import mlp
from tests.support.processes import Process, free_port
from tests.support.streams import LINEAGE, wait_healthy

MODELS = {"mlp": (64, 256, 256, 10), "big": (64, 1024, 1024, 1024, 10)}
ROUNDS, SECONDS = 5, 2
TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _wrk(url: str, connections: int, pid: int, script: Path | None) -> tuple[float, float]:
    """Requests a second, and CPU microseconds a request of the server."""
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{SECONDS}",
        *(["-s", str(script)] if script else []),
    ]
    before = _cpu_seconds(pid)
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    used = _cpu_seconds(pid) - before
    total = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    return total / SECONDS, used / total * 1e6


def _bare_loop(path: Path, rows: int) -> float:
    """Rows a second of ONNX Runtime alone, one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {"pixels": np.zeros((rows, 64), np.float32)}
    session.run(None, feeds)
    runs, started = 0, time.perf_counter()
    while time.perf_counter() - started < 1:
        session.run(None, feeds)
        runs += 1
    return rows * runs / (time.perf_counter() - started)


def measure(name: str, folder: Path) -> None:
    """Print one line a round."""
    model, port = folder / f"{name}.onnx", free_port()
    entry = {"name": name, "version": "1", "path": str(model), "sha256": mlp(model, MODELS[name])}
    config, script = folder / f"{name}.json", folder / "post.lua"
    config.write_text(
        json.dumps({"name": "bench", "port": port, "models": [entry | {"lineage": LINEAGE}]})
    )
    data = ",".join(str(number / 4) for number in range(64))
    body = f'{{"inputs":[{{"name":"pixels","shape":[1,64],"datatype":"FP32","data":[{data}]}}]}}'
    script.write_text(f"wrk.method='POST'\nwrk.body='{body}'\n")
    command = [sys.executable, "-m", "workloads.serving", "--config", str(config)]
    server = Process(command, folder / "log").start()
    wait_healthy(port, "/v2/health/ready", server)
    pid, base = server.pid, f"http://127.0.0.1:{port}"
    for connections in (1, 32):
        for _ in range(ROUNDS):
            rate, cpu = _wrk(f"{base}/v2/models/{name}/infer", connections, pid, script)
            empty, empty_cpu = _wrk(f"{base}/v2/health/live", connections, pid, None)
            bare = _bare_loop(model, min(connections, 24))
            print(
                f"{name} c={connections}: {rate:.0f} req/s ({cpu:.0f} us CPU), "
                f"empty {empty:.0f} ({empty_cpu:.0f} us), bare loop {bare:.0f} rows/s, "
                f"ratio {rate / min(empty, bare):.2f}"
            )
    server.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for each in MODELS:
            measure(each, Path(temporary))
