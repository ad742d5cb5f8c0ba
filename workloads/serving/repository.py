"""The models a server has, by name and version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from workloads.serving.batching import Batcher
from workloads.serving.config import ModelConfig
from workloads.serving.metrics import ModelMetrics
from workloads.serving.model import OnnxModel
from workloads.serving.tensors import RequestError


class ServedModel:
    """One version in service: the model, its queue, its metrics, its lineage headers."""

    def __init__(self, config: ModelConfig) -> None:
        self.name = config.name
        self.version = config.version
        self.lineage = config.lineage
        self.headers = config.lineage.headers()
        model = OnnxModel(config)
        self.signature = model.signature
        self.metrics = ModelMetrics(config.name, config.version, self.signature)
        self.batcher = Batcher(model, config.batching, self.signature.batchable, self.metrics.batch)

    def metadata(self, versions: Iterable[str]) -> dict[str, object]:
        """V2's model metadata."""
        return {
            "name": self.name,
            "versions": list(versions),
            "platform": "onnxruntime_onnx",
            "inputs": [spec.as_json() for spec in self.signature.inputs],
            "outputs": [spec.as_json() for spec in self.signature.outputs],
        }


class Repository:
    """All versions; the one without a version in its path is the highest (1.10 is above 1.9)."""

    def __init__(self, configs: Iterable[ModelConfig]) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        for config in sorted(configs, key=lambda config: _natural(config.version)):
            self._models.setdefault(config.name, {})[config.version] = ServedModel(config)

    def __iter__(self) -> Iterator[ServedModel]:
        for versions in self._models.values():
            yield from versions.values()

    def names(self) -> list[str]:
        """The models' names."""
        return sorted(self._models)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, lowest first; raises ``RequestError`` (404)."""
        return list(self._versions(name))

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """A version, by default the highest; raises ``RequestError`` (404)."""
        versions = self._versions(name)
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise RequestError(f"model {name} has versions {', '.join(versions)}", 404)
        return versions[version]

    def close(self) -> None:
        """Let go of the models' threads."""
        for model in self:
            model.batcher.close()

    def _versions(self, name: str) -> dict[str, ServedModel]:
        if name not in self._models:
            raise RequestError(f"no such model; this server has {', '.join(self.names())}", 404)
        return self._models[name]


def _natural(version: str) -> list[tuple[int, int, str]]:
    """A sort key in which numbers count as numbers."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"\d+|\D+", version)
    ]
