"""Layers and width of a transformer whose parameter count is all that is known.

Published tables name a model and its parameters; step time and memory also need depth and width.
Decoder models follow few shapes (Brown 2020, table 2.1; Touvron 2023, table 2; the MPT series of
llm-foundry), so the nearest one in parameters is taken and its width adjusted to match.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEFAULT_VOCABULARY = 50_368
"""Rows of the embedding: GPT-NeoX's tokenizer padded to a multiple of 64, as MPT has it."""

_SHAPES = np.array(
    [
        (12, 768),
        (24, 1024),
        (24, 1536),
        (24, 2048),
        (32, 2560),
        (32, 4096),
        (40, 5120),
        (48, 7168),
        (60, 6656),
        (80, 8192),
        (96, 12288),
        (118, 18432),
        (126, 16384),
    ],
    dtype=np.float64,
)


def transformer_shape(
    parameters: Floats, sequence_length: Floats, vocabulary: float = DEFAULT_VOCABULARY
) -> tuple[Floats, Floats]:
    """(layers, width), both as floats of the shape of ``parameters``.

    Parameters of a shape are 12 L d^2 (attention and a four times wider MLP) + V d + s d
    (tied embedding, learned positions).
    """
    layers, width = _SHAPES[:, 0], _SHAPES[:, 1]
    total = 12 * layers * width**2 + (vocabulary + np.asarray(sequence_length)[..., None]) * width
    error = np.abs(np.log(total / np.asarray(parameters)[..., None]))
    nearest = np.argmin(error, axis=-1)
    scale = np.sqrt(
        np.asarray(parameters) / np.take_along_axis(total, nearest[..., None], -1)[..., 0]
    )
    close = np.abs(np.log(scale)) < _SAME_SHAPE
    return layers[nearest], np.where(close, width[nearest], np.round(width[nearest] * scale))


_SAME_SHAPE = 0.03
"""Within 3 % in width the shape is taken as it is."""
