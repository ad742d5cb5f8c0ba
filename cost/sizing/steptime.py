"""Time and memory of one training step from first principles, for arrays of configurations.

One function each, vectorised over NumPy arrays, so that the planner can ask for a million
configurations at once. The few constants that no data sheet gives are fitted on published
results (``cost.sizing.calibrate``) and come in as ``Constants``.

Sources: FLOPs Kaplan 2020 and Chowdhery 2022 (appendix B); recompute Korthikanti 2022; ring
collectives Patarasuk and Yuan 2009; sharded data parallel volumes Rajbhandari 2020; tensor
parallel Shoeybi 2019; pipeline bubble Huang 2019, Narayanan 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cost.sizing.shapes import DEFAULT_VOCABULARY

Floats = NDArray[np.float64]

LINK_EFFICIENCY = 0.8
"""Share of a link's data-sheet rate that large collectives reach (NCCL bus bandwidth)."""

_EXPOSURE_WIDTH = 0.05
"""Width of the transition from hidden to exposed communication, as a share of compute."""


@dataclass(frozen=True)
class Constants:
    """Fitted constants of the step-time model; efficiencies by architecture and by device.

    ``gemm`` share of the measured matmul rate that linear layers reach, by architecture;
    ``device`` further factor of one device; ``attention`` the same for attention; ``fp8`` gain of
    8-bit products over bf16; ``elementwise`` bytes moved for each layer, token and unit of width;
    ``vocabulary`` bytes for each token and row of the vocabulary; ``gather_seconds`` what sharded
    parameters cost for each layer and pass beyond their bytes (latency of the collectives,
    allocation); ``overlap`` share of compute under which communication hides; ``leak`` share of
    communication that never hides; ``straggler`` slowdown for each doubling of nodes;
    ``recompute`` cost of linear layers with full recomputation against none.
    """

    gemm: Mapping[str, float]
    device: Mapping[str, float]
    attention: Mapping[str, float]
    fp8: float
    elementwise: float
    vocabulary: float
    gather_seconds: float
    overlap: float
    leak: float
    straggler: float
    recompute: float

    def gemm_of(self, architecture: str, device: str) -> float:
        """Efficiency of linear layers; the geometric mean for what was never measured."""
        return _or_mean(self.gemm, architecture) * self.device.get(device, 1.0)

    def attention_of(self, architecture: str) -> float:
        """Efficiency of attention."""
        return _or_mean(self.attention, architecture)

    def as_json(self) -> dict[str, Any]:
        """Plain data, rounded to what a fit can know."""
        return {field.name: _rounded(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Constants:
        """Inverse of ``as_json``."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in sorted(value.items())}
    return float(f"{value:.5g}")


def _or_mean(values: Mapping[str, float], key: str) -> float:
    if key in values:
        return values[key]
    return float(np.exp(np.mean(np.log(list(values.values())))))


@dataclass(frozen=True)
class Configurations:
    """Columns of equal length, one entry a configuration; numbers are float64.

    ``micro_batch`` is sequences in one pass of one data-parallel replica, ``accumulation`` passes
    in one step. ``zero`` is 0 (replicas), 1, 2 (sharded optimizer, gradients) or 3 (parameters
    too); ``gather_once`` marks stage 3 whose parameters stay gathered between forward and
    backward. ``layers_trained`` fractions don't occur: everything is trained.
    """

    parameters: Floats
    layers: Floats
    width: Floats
    sequence_length: Floats
    micro_batch: Floats
    accumulation: Floats
    data: Floats
    tensor: Floats
    pipeline: Floats
    zero: Floats
    gather_once: NDArray[np.bool_]
    recompute: NDArray[np.bool_]
    eight_bit: NDArray[np.bool_]
    node_accelerators: Floats
    matmul_flops: Floats
    attention_flops: Floats
    eight_bit_gain: Floats
    memory_bytes: Floats
    memory_bytes_per_second: Floats
    link_bytes_per_second: Floats
    fabric_bytes_per_second: Floats
    vocabulary: float = DEFAULT_VOCABULARY

    @property
    def accelerators(self) -> Floats:
        """Accelerators in use."""
        return self.data * self.tensor * self.pipeline

    @property
    def nodes(self) -> Floats:
        """Nodes in use, at least one."""
        return cast("Floats", np.maximum(np.ceil(self.accelerators / self.node_accelerators), 1.0))

    @property
    def tokens(self) -> Floats:
        """Tokens of one step over all replicas."""
        return self.micro_batch * self.sequence_length * self.accumulation * self.data


def step_seconds(columns: Configurations, constants: Constants) -> Floats:
    """Seconds of one optimizer step, for each configuration."""
    compute = _pass_seconds(columns, constants)
    shard = columns.parameters / (columns.tensor * columns.pipeline)
    per_pass = columns.zero >= _SHARDED
    times = np.where(columns.gather_once, 2.0, np.where(per_pass, 3.0, 2.0))
    wire = _data_parallel_seconds(columns, 2.0 * times * shard)
    hidden = constants.overlap * compute
    width = _EXPOSURE_WIDTH * compute
    exposed = width * np.logaddexp(0.0, (wire - hidden) / width) + constants.leak * wire
    alone = columns.data <= 1
    exposed = np.where(alone, 0.0, exposed)
    passes = columns.accumulation + idle_passes(columns)
    body = passes * compute + np.where(per_pass, columns.accumulation, 1.0) * exposed
    straggling = 1 + constants.straggler * np.log2(columns.nodes)
    sharded = np.where(columns.zero >= 1, columns.data, 1.0)
    optimizer = _OPTIMIZER_BYTES * shard / sharded / columns.memory_bytes_per_second
    return body * straggling + optimizer + _STEP_SECONDS


def idle_passes(columns: Configurations) -> Floats:
    """Micro-batches' worth of time that a stage stands idle in a step: (p - 1) / v."""
    chunks = np.clip(columns.layers / columns.pipeline // _LAYERS_A_CHUNK, 1.0, _MOST_CHUNKS)
    chunks = np.where(columns.accumulation >= columns.pipeline, chunks, 1.0)
    return (columns.pipeline - 1) / chunks


_SHARDED = 3
_LAYERS_A_CHUNK, _MOST_CHUNKS = 2, 6
"""Interleaved schedule: at least two layers a chunk, at most six chunks a stage, as the published
runs with pipelines had it."""
_OPTIMIZER_BYTES = 28.0
"""Read and written for each parameter by Adam in mixed precision: 4 + 4 + 4 read, 4 + 4 + 4 + 2
written, 2 of gradient."""
_LAUNCH_SECONDS = 3e-4
"""Least time of one layer, forward and backward: some forty kernels one after the other."""
_STEP_SECONDS = 0.01
"""Fixed cost of one step: data loader, logging, gradient norm."""


def _pass_seconds(columns: Configurations, constants: Constants) -> Floats:
    """Seconds of one micro-batch, forward and backward, on one pipeline stage."""
    tokens = columns.micro_batch * columns.sequence_length
    ranks = columns.tensor * columns.pipeline
    again = np.where(columns.recompute, constants.recompute, 1.0)
    layers, width = columns.layers, columns.width
    gain = np.where(columns.eight_bit, columns.eight_bit_gain, 1.0)
    body = np.maximum(
        columns.parameters - (columns.vocabulary + columns.sequence_length) * width,
        0.1 * columns.parameters,
    )
    linear = 6 * (body * again + columns.vocabulary * width) * tokens
    attention = 12 * layers * width * columns.sequence_length * tokens * again
    traffic = tokens * (
        constants.elementwise * layers * width * again + constants.vocabulary * columns.vocabulary
    )
    seconds = (
        linear / (columns.matmul_flops * gain)
        + attention / columns.attention_flops
        + traffic / columns.memory_bytes_per_second
    ) / ranks
    fixed = _LAUNCH_SECONDS + np.where(columns.zero >= _SHARDED, constants.gather_seconds, 0.0)
    seconds = seconds + fixed * layers * again / columns.pipeline
    return seconds + _model_parallel_seconds(columns, tokens, again)


def _model_parallel_seconds(columns: Configurations, tokens: Floats, again: Floats) -> Floats:
    """Activations between tensor-parallel ranks and pipeline stages, none of it hidden."""
    wide = columns.tensor > columns.node_accelerators
    node = columns.fabric_bytes_per_second / columns.node_accelerators
    rate = LINK_EFFICIENCY * np.where(wide, node, columns.link_bytes_per_second)
    ring = 2 * (columns.tensor - 1) / columns.tensor
    exchanged = 4 * 2 * tokens * columns.width * columns.layers / columns.pipeline * again
    between = np.where(columns.pipeline > 1, 2 * 2 * tokens * columns.width / columns.tensor, 0.0)
    return ring * exchanged / rate + between / (LINK_EFFICIENCY * node)


def _data_parallel_seconds(columns: Configurations, volume: Floats) -> Floats:
    """A ring over the replicas in each node, then one over nodes with each port its share."""
    inside = np.clip(
        columns.node_accelerators / (columns.tensor * columns.pipeline), 1.0, columns.data
    )
    groups = np.maximum(columns.data / inside, 1.0)
    link = (inside - 1) / inside * volume / (LINK_EFFICIENCY * columns.link_bytes_per_second)
    port = columns.fabric_bytes_per_second / columns.node_accelerators
    fabric = (groups - 1) / groups * volume / inside / (LINK_EFFICIENCY * port)
    return link + fabric


def memory_bytes(columns: Configurations, margin: float = 1.0) -> Floats:
    """Bytes on the fullest accelerator; ``margin`` scales what is not model state.

    State: 16 bytes a parameter with Adam in mixed precision, sharded by stage (Rajbhandari 2020).
    Activations without recompute 34 s b h a layer over tensor ranks, with it 2 s b h and one whole
    layer (Korthikanti 2022; attention by blocks as in Dao 2022 keeps no s x s matrix). Logits in
    16 and 32 bit with their gradient: 10 bytes a token and vocabulary row.
    """
    shard = columns.parameters / (columns.tensor * columns.pipeline)
    data = columns.data
    state = shard * np.select(
        [columns.zero >= _SHARDED, columns.zero == 2, columns.zero == 1],
        [16 / data, 2 + 14 / data, 4 + 12 / data],
        16.0,
    )
    tokens = columns.micro_batch * columns.sequence_length
    layer = _ACTIVATION_BYTES * tokens * columns.width / columns.tensor
    depth = columns.layers / columns.pipeline
    flight = np.minimum(columns.pipeline, columns.accumulation)
    kept = np.where(columns.recompute, 2 * tokens * columns.width, layer) * depth * flight
    logits = _LOGIT_BYTES * tokens * columns.vocabulary / columns.tensor
    gathered = np.where(columns.zero >= _SHARDED, 4 * shard / depth, 0.0)
    return cast("Floats", state + margin * (kept + layer + logits + gathered))


_ACTIVATION_BYTES = 34.0
_LOGIT_BYTES = 10.0

RESERVED_BYTES = 1.5 * 2**30
"""Context, libraries and communication buffers that no tensor can have."""


def fits(columns: Configurations, margin: float = 1.0) -> NDArray[np.bool_]:
    """Whether the fullest accelerator holds it, with ``margin`` on activations."""
    return memory_bytes(columns, margin) + RESERVED_BYTES <= columns.memory_bytes
