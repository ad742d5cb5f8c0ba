"""Types that no cloud bills: the engine's own, this machine's, and client-side helpers."""

from __future__ import annotations

from cost.estimate.registry import free

free("part of the engine", ["pulumi:pulumi:", "pulumi:providers:"])
free("runs on this machine", ["mlscale:", "pulumi-python:dynamic", "command:local:"])
free("made on the client", ["random:", "tls:", "time:", "null:", "docker-build:", "std:"])
free("configuration of a service that is billed by itself", ["kafka:", "grafana:", "github:"])
