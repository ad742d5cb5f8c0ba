"""The planner's search space: every layout of a training run on every kind of node, in arrays.

Step time doesn't depend on region or price, so layouts are enumerated once for each kind of node
(accelerator, accelerators a node, network) and count of nodes; for each the fastest layout is also
the cheapest, whatever the price. Regions and purchase options multiply only those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cost.catalog.model import Offer
from cost.sizing.hardware import Device, devices, find_device
from cost.sizing.shapes import transformer_shape
from cost.sizing.steptime import Configurations, fits, memory_bytes, step_seconds
from cost.sizing.throughput import Model, features
from infra.core.errors import BadInput, Problem

Floats = NDArray[np.float64]

DEFAULT_BATCH_TOKENS = 2**21
"""Tokens of a global batch that a stack doesn't name: the critical batch 2e8 L^(-1/0.21) of Kaplan
2020 at a loss of 2.6 nats."""

NODE_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
PRECISIONS = ("bf16", "fp16", "fp8", "tf32", "fp32")
_TENSOR = (1, 2, 4, 8)
_PIPELINE = (1, 2, 4, 8, 16)
_MICRO = (1, 2, 4, 8, 16, 32)
_ZERO = (1, 3)
_HEAD_WIDTH = 64
_BYTES_IN_32_BIT = 2.0


@dataclass(frozen=True)
class TrainingWork:
    """What is to be trained, by when. ``tokens`` over all epochs; ``global_batch`` in sequences
    (0: two million tokens); ``precision`` bf16, fp16, fp8, tf32 or fp32. Deadline in hours, budget
    in USD, 0 for none. ``spot`` allows capacity that can be taken away, of which
    ``keep_base_fraction`` stays on demand. ``efficiency``: measured over modelled rate of this very
    workload, from ``cost.sizing.refit``, with the standard deviation of its logarithm."""

    parameters: float
    tokens: float
    sequence_length: int = 2048
    global_batch: int = 0
    precision: str = "bf16"
    deadline_hours: float = 0.0
    budget_usd: float = 0.0
    spot: bool = False
    keep_base_fraction: float = 0.0
    max_accelerators: int = 4096
    efficiency: float = 1.0
    efficiency_deviation: float | None = None

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} is {value:g}", path=name, expected="above zero")
            for name, value in (
                ("parameters", self.parameters),
                ("tokens", self.tokens),
                ("sequence_length", self.sequence_length),
                ("max_accelerators", self.max_accelerators),
                ("efficiency", self.efficiency),
            )
            if not value > 0
        ]
        problems += [
            Problem(f"{name} is {value:g}", path=name, expected="above zero, or 0 for none")
            for name, value in (
                ("deadline_hours", self.deadline_hours),
                ("budget_usd", self.budget_usd),
            )
            if not value >= 0
        ]
        if self.precision not in PRECISIONS:
            expected = f"one of {', '.join(PRECISIONS)}"
            problems.append(
                Problem(
                    f"unknown precision {self.precision!r}", path="precision", expected=expected
                )
            )
        if not 0 <= self.keep_base_fraction <= 1:
            problems.append(Problem("is no fraction", path="keep_base_fraction", expected="0 to 1"))
        if problems:
            raise BadInput(problems)

    @property
    def batch(self) -> int:
        """Sequences in one step."""
        return self.global_batch or max(DEFAULT_BATCH_TOKENS // self.sequence_length, 1)

    @property
    def steps(self) -> float:
        """Optimizer steps."""
        return self.tokens / (self.batch * self.sequence_length)


@dataclass(frozen=True, order=True)
class NodeKind:
    """What decides step time on a node: its accelerators and its port to the network (GB/s)."""

    device: str
    accelerators: int
    fabric_gb_s: float


@dataclass(frozen=True)
class Layouts:
    """The fastest layout for each kind of node and count; columns of equal length."""

    kinds: tuple[NodeKind, ...]
    nodes: NDArray[np.int64]
    columns: Configurations
    step_seconds: Floats
    deviation: Floats


def node_kind(offer: Offer) -> NodeKind | None:
    """The kind of node that an offer is; None for CPU types, fractions, unknown accelerators."""
    if not offer.accelerator or offer.accelerator_count < 1 or offer.accelerator_count % 1:
        return None
    device = find_device(offer.accelerator)
    if device.architecture == "tpu":
        hosts = max(offer.accelerator_count / device.node_accelerators, 1.0)
        return NodeKind(device.name, int(offer.accelerator_count), _SLICE_HOST_GB_S * hosts)
    usual = device.fabric_gb_s * offer.accelerator_count / device.node_accelerators
    fabric = offer.network_gbps / 8 if offer.network_gbps else usual
    return NodeKind(device.name, int(offer.accelerator_count), fabric)


_SLICE_HOST_GB_S = 12.5
"""TPU slices are joined over the data centre network: 100 Gb/s a host; inside they have ICI."""


def enumerate_layouts(
    work: TrainingWork, kinds: Iterable[NodeKind], counts: Sequence[int] = NODE_COUNTS
) -> tuple[list[NodeKind], NDArray[np.int64], NDArray[np.int64], dict[str, Floats]]:
    """Every layout that divides evenly: (kinds, index of the kind, nodes, columns)."""
    listed = sorted(kinds)
    layers, width = _shape(work)
    grid = np.array(
        np.meshgrid(_TENSOR, _PIPELINE, _MICRO, _ZERO, (0, 1), indexing="ij"), dtype=np.int64
    ).reshape(5, -1)
    keep = (layers % grid[1] == 0) & (width % (grid[0] * _HEAD_WIDTH) == 0)
    keep &= (grid[3] == 1) | (grid[0] * grid[1] == 1)
    grid = grid[:, keep]
    sizes = np.array([kind.accelerators for kind in listed], dtype=np.int64)
    kind_index, node_count, layout = (
        part.ravel()
        for part in np.meshgrid(
            np.arange(len(listed)), np.array(counts, dtype=np.int64), np.arange(grid.shape[1]),
            indexing="ij",
        )
    )  # fmt: skip
    tensor, pipeline, micro, zero, again = grid[:, layout]
    accelerators = sizes[kind_index] * node_count
    ranks = tensor * pipeline
    replicas = accelerators // ranks
    legal = (accelerators % ranks == 0) & (accelerators <= work.max_accelerators)
    legal &= (tensor <= sizes[kind_index]) & (work.batch % np.maximum(replicas * micro, 1) == 0)
    chosen = np.flatnonzero(legal)
    accumulation = work.batch // np.maximum(replicas * micro, 1)
    columns = {
        "micro_batch": micro,
        "accumulation": accumulation,
        "data": replicas,
        "tensor": tensor,
        "pipeline": pipeline,
        "zero": zero,
        "recompute": again,
    }
    picked = {name: values[chosen].astype(np.float64) for name, values in columns.items()}
    return listed, kind_index[chosen], node_count[chosen], picked


def _shape(work: TrainingWork) -> tuple[int, int]:
    layers, width = transformer_shape(
        np.array([work.parameters]), np.array([float(work.sequence_length)])
    )
    rounded = max(round(float(width[0]) / 128) * 128, 128)
    return int(layers[0]), rounded


def as_columns(
    work: TrainingWork,
    model: Model,
    kinds: Sequence[NodeKind],
    kind_index: NDArray[np.int64],
    picked: dict[str, Floats],
) -> Configurations:
    """Columns for ``steptime`` of the layouts picked."""
    layers, width = _shape(work)
    constants = model.constants
    per_kind = [devices()[kind.device] for kind in kinds]

    def of_kind(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=np.float64)[kind_index]

    def rate(device: Device) -> float:
        flops = device.matmul_tflops * 1e12
        slow = _BYTES_IN_32_BIT if work.precision in ("tf32", "fp32") else 1.0
        return flops / slow * constants.gemm_of(device.architecture, device.name)

    count = len(kind_index)
    return Configurations(
        parameters=np.full(count, float(work.parameters)),
        layers=np.full(count, float(layers)),
        width=np.full(count, float(width)),
        sequence_length=np.full(count, float(work.sequence_length)),
        micro_batch=picked["micro_batch"],
        accumulation=picked["accumulation"],
        data=picked["data"],
        tensor=picked["tensor"],
        pipeline=picked["pipeline"],
        zero=picked["zero"],
        gather_once=np.zeros(count, dtype=np.bool_),
        recompute=picked["recompute"] > 0,
        eight_bit=np.full(count, work.precision == "fp8"),
        node_accelerators=of_kind([float(kind.accelerators) for kind in kinds]),
        matmul_flops=of_kind([rate(device) for device in per_kind]),
        attention_flops=of_kind(
            [
                device.matmul_tflops * 1e12 * constants.attention_of(device.architecture)
                for device in per_kind
            ]
        ),
        eight_bit_gain=of_kind(
            [constants.fp8 if device.runs("fp8") else 1.0 for device in per_kind]
        ),
        memory_bytes=of_kind([device.memory_bytes for device in per_kind]),
        memory_bytes_per_second=of_kind([device.memory_gb_s * 1e9 for device in per_kind]),
        link_bytes_per_second=of_kind([device.link_gb_s * 1e9 for device in per_kind]),
        fabric_bytes_per_second=of_kind([kind.fabric_gb_s * 1e9 for kind in kinds]),
    )


def take(columns: Configurations, index: NDArray[np.int64]) -> Configurations:
    """The rows at ``index``."""
    from dataclasses import fields, replace

    changed = {
        field.name: getattr(columns, field.name)[index]
        for field in fields(columns)
        if isinstance(getattr(columns, field.name), np.ndarray)
    }
    return replace(columns, **changed)


def modelled_seconds(columns: Configurations, model: Model, kinds: Sequence[Device]) -> Floats:
    """Seconds of a step with the learned correction."""
    seconds = step_seconds(columns, model.constants)
    correction = model.residual.correction(features(columns, kinds))
    return seconds * np.exp(-correction)


def fastest_layouts(
    work: TrainingWork, model: Model, kinds: Iterable[NodeKind], counts: Sequence[int] = NODE_COUNTS
) -> Layouts:
    """The fastest layout that fits in memory, for each kind of node and count that has one.

    Ties go to the first in the order of enumeration, so that the answer is deterministic.
    """
    able = [kind for kind in kinds if devices()[kind.device].runs(work.precision)]
    listed, kind_index, nodes, picked = enumerate_layouts(work, able, counts)
    columns = as_columns(work, model, listed, kind_index, picked)
    inside = np.flatnonzero(fits(columns))
    columns, kind_index, nodes = take(columns, inside), kind_index[inside], nodes[inside]
    by_kind = [devices()[kind.device] for kind in listed]
    per_row = [by_kind[index] for index in kind_index]
    seconds = modelled_seconds(columns, model, per_row)
    order = np.lexsort((np.arange(len(seconds)), seconds, nodes, kind_index))
    first = np.ones(len(order), dtype=bool)
    sorted_kind, sorted_nodes = kind_index[order], nodes[order]
    first[1:] = (sorted_kind[1:] != sorted_kind[:-1]) | (sorted_nodes[1:] != sorted_nodes[:-1])
    best = order[first]
    chosen = take(columns, best)
    deviation = _deviation(work, model, chosen, [per_row[index] for index in best])
    return Layouts(
        tuple(listed[index] for index in kind_index[best]),
        nodes[best],
        chosen,
        seconds[best] / work.efficiency,
        deviation,
    )


def _deviation(
    work: TrainingWork, model: Model, columns: Configurations, per_row: Sequence[Device]
) -> Floats:
    if work.efficiency_deviation is not None:
        return np.full(len(per_row), work.efficiency_deviation * model.residual.quantile)
    if not per_row:
        return np.zeros(0)
    _, deviation = model.residual.predict(features(columns, per_row))
    unknown = np.array([one.architecture not in model.constants.gemm for one in per_row])
    both = np.sqrt(deviation**2 + 0.12**2 * unknown)
    return both * model.residual.quantile


def memory_gib(columns: Configurations) -> Floats:
    """GiB on the fullest accelerator, counted without the learned margin."""
    return memory_bytes(columns) / 2**30
