"""A model's weights as a file and as a hash that speaks of the numbers alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from infra.core.errors import DamagedState, Problem
from workloads.data.files import replacing


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """Hash over names, types, shapes and bytes (little-endian, C order) in the names' order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_weights(weights: Mapping[str, Tensor], path: Path) -> str:
    """Write the weights atomically and return their hash."""
    plain = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    with replacing(path) as stream:
        torch.save(plain, stream)
    return weights_sha256(plain)


def load_weights(path: Path, expected_sha256: str) -> dict[str, Tensor]:
    """Read weights and check their hash; ``DamagedState`` where they are not those expected."""
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        found = weights_sha256(weights)
    except Exception as error:
        raise _damaged(path, f"unreadable: {str(error).splitlines()[0]}") from error
    if found != expected_sha256:
        raise _damaged(path, f"other ones than expected (SHA-256 {found})", expected_sha256)
    return weights


def _damaged(path: Path, how: str, expected: str | None = None) -> DamagedState:
    return DamagedState(
        Problem(
            f"the weights are {how}",
            file=str(path),
            expected=f"SHA-256 {expected}" if expected else "a file that training wrote",
            fix="run the training step again; it goes on from its last checkpoint",
        )
    )
