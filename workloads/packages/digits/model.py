"""The network, and the form of it that is served."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIDE = 8
_GREY_LEVELS = 16.0
_CLASSES = 10


class Digits(nn.Module):
    """Pixels ``[batch, 64]``, grey levels 0 to 16, to logits ``[batch, 10]``."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.classify = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, _CLASSES)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits; the normalisation is part of the model, so that no caller can forget it."""
        image = (pixels / _GREY_LEVELS - 0.5).reshape(-1, 1, _SIDE, _SIDE)
        logits: Tensor = self.classify(self.features(image))
        return logits


class Served(nn.Module):
    """A trained ``Digits`` as the endpoint answers: ``label`` and ``probabilities``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``(label int64 [batch], probabilities float32 [batch, 10])``."""
        probabilities = torch.softmax(self.model(pixels), dim=1)
        return probabilities.argmax(dim=1), probabilities
