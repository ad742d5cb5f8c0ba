"""What a PyTorch package tells the trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Evaluate = Callable[[nn.Module, Tensor, Tensor], dict[str, float]]


@dataclass(frozen=True)
class Definition:
    """A model and how it is trained, free of where and on how many processes.

    ``loss(model, features, labels)`` is the mean over the rows of its batch; it may draw from
    torch's global generator, whose state is part of every checkpoint, and from nothing else.
    ``learning_rate_factor(step, steps)`` multiplies the optimiser's rates at ``step`` of ``steps``.
    ``evaluate`` runs without gradients on a model in evaluation mode. ``batch_size`` counts the
    rows of a step over all processes.
    """

    model: nn.Module
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    learning_rate_factor: Callable[[int, int], float]
    loss: Loss
    evaluate: Evaluate
    epochs: int
    batch_size: int
