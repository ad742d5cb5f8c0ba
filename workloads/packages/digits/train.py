"""How the digits are trained and judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.packages.digits.model import Digits
from workloads.training.definition import Definition

_SIDE = 8
_WARMUP_FRACTION = 0.1


def define(hyperparameters: Mapping[str, Any]) -> Definition:
    """AdamW under a cosine schedule with warm-up; images are shifted by at most one pixel."""

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            model.parameters(),
            lr=hyperparameters["learning_rate"],
            weight_decay=hyperparameters["weight_decay"],
        )

    return Definition(
        model=Digits(hyperparameters["dropout"]),
        optimizer=optimizer,
        learning_rate_factor=_cosine_with_warmup,
        loss=_loss,
        evaluate=_evaluate,
        epochs=hyperparameters["epochs"],
        batch_size=hyperparameters["batch_size"],
    )


def _loss(model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(model(_shifted(pixels)), labels)


def _shifted(pixels: Tensor) -> Tensor:
    """Each image moved by -1, 0 or 1 pixel along both axes, the border filled with 0."""
    batch = pixels.shape[0]
    padded = functional.pad(pixels.reshape(batch, _SIDE, _SIDE), (1, 1, 1, 1))
    offsets = torch.randint(0, 3, (batch, 2))
    grid = torch.arange(_SIDE)
    rows = (offsets[:, :1] + grid)[:, :, None]
    columns = (offsets[:, 1:] + grid)[:, None, :]
    return padded[torch.arange(batch)[:, None, None], rows, columns].reshape(batch, -1)


def _evaluate(model: nn.Module, pixels: Tensor, labels: Tensor) -> dict[str, float]:
    logits = model(pixels)
    return {
        "accuracy": (logits.argmax(dim=1) == labels).double().mean().item(),
        "loss": functional.cross_entropy(logits, labels).item(),
    }


def _cosine_with_warmup(step: int, steps: int) -> float:
    warmup = max(1, round(steps * _WARMUP_FRACTION))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
