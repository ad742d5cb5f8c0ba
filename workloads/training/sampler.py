"""Which rows a step sees: a function of the seed and the step, not of what happened before."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


class BatchOrder:
    """``rows`` rows in batches of ``batch_size``, shuffled anew each epoch; a short rest is left out.

    Each of ``world`` processes gets every ``world``-th row of the batch, so that the rows of a step
    don't depend on how many processes share them.
    """

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.steps_per_epoch = rows // batch_size
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._permutation = lru_cache(maxsize=1)(self._shuffled)

    def indices(self, step: int, rank: int, world: int) -> Tensor:
        """Row numbers, int64 ``[batch_size / world]``, of the 0-based ``step`` for ``rank``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self._batch_size
        batch = self._permutation(epoch)[start : start + self._batch_size]
        return batch[rank::world]

    def _shuffled(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        return torch.randperm(self._rows, generator=generator)
