"""Tokens a second, memory and fit of a training configuration, from rows of a table.

Rows have the columns of published training tables: ``accelerator, n_accelerators, params,
seq_len, global_batch, micro_batch, grad_accum, parallelism, precision, activation_checkpointing``
and, where known, ``layers``, ``hidden``, ``accelerators_per_node``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost.sizing.hardware import Device, find_device
from cost.sizing.residual import FEATURES, Residual
from cost.sizing.shapes import transformer_shape
from cost.sizing.steptime import Configurations, Constants, memory_bytes, step_seconds
from cost.sizing.steptime import fits as fits_in_memory
from cost.sizing.tables import DATA, Row, as_rows
from infra.core.errors import BadInput, DamagedState, Problem

Floats = NDArray[np.float64]

CONSTANTS_FILE = DATA / "training.json"

_DEFAULT_SEQUENCE = 2048.0
_DEFAULT_PASS_TOKENS = 8192
_LARGE_PARAMETERS = 3e9
_EXTRA_DEVIATION = {"device": 0.12, "shape": 0.05}
"""Log units added in quadrature: an architecture that no measured row covers, a guessed cell."""


@dataclass(frozen=True)
class Prediction:
    """What one row would do. Rates in tokens a second over all accelerators, 90 % interval;
    ``memory_gib`` on the fullest accelerator; ``note`` names what was assumed, or why there is no
    answer (then the figures are None)."""

    tokens_per_s: float | None
    low: float | None
    high: float | None
    memory_gib: float | None
    fits: bool | None
    note: str = ""


@dataclass(frozen=True)
class Model:
    """Fitted constants, correction and where they came from (``python -m cost.sizing.calibrate``)."""

    version: str
    constants: Constants
    residual: Residual
    memory_margin: float
    provenance: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``data/training.json``."""
        return {
            "version": self.version,
            "provenance": dict(self.provenance),
            "constants": self.constants.as_json(),
            "memory_margin": self.memory_margin,
            "residual": self.residual.as_json(),
        }


@cache
def shipped_model() -> Model:
    """The constants that come with the package. DamagedState when the file is unreadable."""
    try:
        data = json.loads(CONSTANTS_FILE.read_text(encoding="utf-8"))
        return Model(
            data["version"],
            Constants.from_json(data["constants"]),
            Residual.from_json(data["residual"]),
            data["memory_margin"],
            data["provenance"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedState(
            Problem(
                f"fitted constants can't be read: {error!r}",
                file=str(CONSTANTS_FILE),
                fix="reinstall, or fit again: python -m cost.sizing.calibrate --training rows.csv",
            )
        ) from error


@dataclass(frozen=True)
class Setup:
    """One row, read: everything that the step-time model asks for, as plain numbers."""

    device: Device
    parameters: float
    layers: float
    width: float
    sequence_length: float
    micro_batch: float
    accumulation: float
    data: float
    tensor: float
    pipeline: float
    zero: float
    gather_once: bool
    recompute: bool
    eight_bit: bool
    node_accelerators: float
    assumed: tuple[str, ...] = ()

    @property
    def tokens(self) -> float:
        """Tokens of one step over all replicas."""
        return self.micro_batch * self.sequence_length * self.accumulation * self.data


def read_setup(row: Row) -> Setup:
    """A row as numbers. BadInput (file, line, column) when a cell is wrong or a needed one empty."""
    assumed: list[str] = []
    parameters = row.required("params")
    accelerators = row.count("n_accelerators")
    sequence = row.positive("seq_len")
    if sequence is None:
        sequence = _DEFAULT_SEQUENCE
        assumed.append(f"seq_len {sequence:.0f}")
    try:
        device = find_device(row.text("accelerator"))
    except BadInput as error:
        raise row.bad(
            "accelerator", error.problems[0].message, error.problems[0].expected
        ) from error
    tensor, pipeline, zero, gather_once = _parallelism(row.text("parallelism"), parameters)
    if accelerators % (tensor * pipeline):
        raise row.bad(
            "parallelism", f"TP {tensor:g} x PP {pipeline:g} doesn't divide {accelerators:g}"
        )
    replicas = accelerators / (tensor * pipeline)
    limit = 1.0 if pipeline > 1 else max(_DEFAULT_PASS_TOKENS // sequence, 1.0)
    micro, accumulation = _batch(row, replicas, limit, assumed)
    checkpointing, guessed = _checkpointing(row, parameters)
    assumed += guessed
    layers, width = row.positive("layers"), row.positive("hidden")
    if layers is None or width is None:
        shape = transformer_shape(np.array([parameters]), np.array([sequence]))
        layers, width = float(shape[0][0]), float(shape[1][0])
    eight_bit = "fp8" in row.text("precision").lower() and device.runs("fp8")
    return Setup(
        device, parameters, layers, width, sequence, micro, accumulation, replicas, tensor,
        pipeline, zero, gather_once, checkpointing, eight_bit,
        row.positive("accelerators_per_node", float(device.node_accelerators)) or 8.0,
        tuple(assumed),
    )  # fmt: skip


def _checkpointing(row: Row, parameters: float) -> tuple[bool, list[str]]:
    text = row.text("activation_checkpointing").lower()
    if text in ("", "selective ac"):
        full = (
            text == "" and parameters >= _LARGE_PARAMETERS and "TP" not in row.text("parallelism")
        )
        return full, [] if text else [f"activation_checkpointing {full}"]
    if text in ("full ac", "no ac"):
        return text == "full ac", []
    return row.flag("activation_checkpointing"), []


def _batch(row: Row, replicas: float, limit: float, assumed: list[str]) -> tuple[float, float]:
    """(micro-batch, accumulation), from whichever two of the three columns are there; ``limit``
    is the largest micro-batch that is assumed."""
    micro, steps = row.positive("micro_batch"), row.positive("grad_accum")
    batch = row.positive("global_batch")
    if micro is None:
        each = batch / replicas / (steps or 1) if batch else None
        micro = each if each is not None and (steps or each <= limit) else limit
        if steps is None and each is not None:
            steps = max(each / micro, 1.0)
        assumed.append(f"micro_batch {micro:g}")
    if steps is None:
        steps = max(batch / (replicas * micro), 1.0) if batch else 1.0
    return micro, steps


def _parallelism(text: str, parameters: float) -> tuple[float, float, float, bool]:
    """(tensor, pipeline, ZeRO stage, parameters kept gathered) from words such as ``TP4 PP8``."""
    upper = text.upper()

    def degree(name: str) -> float:
        match = re.search(rf"\b{name}\s*=?\s*(\d+)", upper)
        return float(match.group(1)) if match else 1.0

    tensor, pipeline = degree("TP"), degree("PP")
    if stage := re.search(r"ZERO\D*([0-3])", upper):
        return tensor, pipeline, float(stage.group(1)), False
    if "GRAD_OP" in upper:
        return tensor, pipeline, 3.0, True
    if "FSDP" in upper or "FULL_SHARD" in upper or "HSDP" in upper:
        return tensor, pipeline, 3.0, False
    if "DDP" in upper or "NO_SHARD" in upper:
        return tensor, pipeline, 0.0, False
    replicated = tensor * pipeline > 1 or parameters < _LARGE_PARAMETERS / 3
    return tensor, pipeline, 1.0 if replicated else 3.0, False


def as_configurations(setups: Sequence[Setup], constants: Constants) -> Configurations:
    """Columns for ``steptime`` out of rows."""

    def column(name: str, kind: Any = np.float64) -> Any:
        return np.array([getattr(setup, name) for setup in setups], dtype=kind)

    def of_device(function: Any) -> Floats:
        return np.array([function(setup.device) for setup in setups], dtype=np.float64)

    return Configurations(
        **{
            name: column(name)
            for name in (
                "parameters", "layers", "width", "sequence_length", "micro_batch", "accumulation",
                "data", "tensor", "pipeline", "zero", "node_accelerators",
            )
        },
        **{name: column(name, np.bool_) for name in ("gather_once", "recompute", "eight_bit")},
        **device_columns(of_device, constants),
    )  # fmt: skip


def device_columns(of_device: Any, constants: Constants) -> dict[str, Any]:
    """The columns that a device decides; ``of_device`` maps a function of one over the rows."""
    return {
        "matmul_flops": of_device(
            lambda one: one.matmul_tflops * 1e12 * constants.gemm_of(one.architecture, one.name)
        ),
        "attention_flops": of_device(
            lambda one: one.matmul_tflops * 1e12 * constants.attention_of(one.architecture)
        ),
        "eight_bit_gain": of_device(lambda one: constants.fp8 if one.runs("fp8") else 1.0),
        "memory_bytes": of_device(lambda one: one.memory_bytes),
        "memory_bytes_per_second": of_device(lambda one: one.memory_gb_s * 1e9),
        "link_bytes_per_second": of_device(lambda one: one.link_gb_s * 1e9),
        "fabric_bytes_per_second": of_device(lambda one: one.fabric_gb_s * 1e9),
    }


_OLD = frozenset({"ampere", "volta", "turing"})
_SMALL_GIB = 48.0


def features(columns: Configurations, devices: Sequence[Device]) -> Floats:
    """Physical features [n, len(FEATURES)] for the correction."""
    share = memory_bytes(columns) / columns.memory_bytes
    table = {
        "log_parameters": np.log(columns.parameters),
        "log_sequence": np.log(columns.sequence_length),
        "log_tokens_in_pass": np.log(columns.micro_batch * columns.sequence_length),
        "recompute": columns.recompute.astype(np.float64),
        "log2_nodes": np.log2(columns.nodes),
        "ampere_or_older": np.array([float(one.architecture in _OLD) for one in devices]),
        "small_memory": np.array([float(one.memory_gib < _SMALL_GIB) for one in devices]),
        "memory_share": np.minimum(share, 1.2),
        "eight_bit": columns.eight_bit.astype(np.float64),
    }
    return np.stack([table[name] for name in FEATURES], axis=-1)


def predict_setups(setups: Sequence[Setup], model: Model) -> tuple[Floats, Floats, Floats]:
    """(log tokens a second, half of the 90 % interval in log units, bytes of memory)."""
    columns = as_configurations(setups, model.constants)
    devices = [setup.device for setup in setups]
    modelled = np.log(columns.tokens / step_seconds(columns, model.constants))
    correction, deviation = model.residual.predict(features(columns, devices))
    unknown = np.array([one.architecture not in model.constants.gemm for one in devices])
    guessed = np.array([len(setup.assumed) for setup in setups])
    variance = (
        deviation**2
        + unknown * _EXTRA_DEVIATION["device"] ** 2
        + guessed * _EXTRA_DEVIATION["shape"] ** 2
    )
    half = model.residual.quantile * np.sqrt(variance)
    return modelled + correction, half, memory_bytes(columns, model.memory_margin)


def predict_throughput(
    rows: Sequence[Row] | Sequence[Mapping[str, object]], model: Model | None = None
) -> list[Prediction]:
    """Predict every row, in order; result columns of the rows are never read.

    A row that lacks what the model needs (parameters, count of accelerators, a known accelerator)
    gets no figures and a ``note`` that says so. BadInput when a cell holds nonsense.
    """
    model = model or shipped_model()
    table = [row if isinstance(row, Row) else as_rows([row])[0] for row in rows]
    setups: dict[int, Setup] = {}
    notes: dict[int, str] = {}
    for index, row in enumerate(table):
        missing = [name for name in ("params", "n_accelerators") if not row.text(name)]
        if missing:
            notes[index] = f"no answer: {' and '.join(missing)} empty"
            continue
        try:
            setups[index] = read_setup(row)
        except BadInput as error:
            if error.problems[0].path != "accelerator":
                raise
            notes[index] = f"no answer: {error.problems[0].message}"
    answers = _answers(list(setups.values()), model) if setups else []
    answered = dict(zip(setups, answers, strict=True))
    return [
        answered.get(index) or Prediction(None, None, None, None, None, notes.get(index, ""))
        for index in range(len(table))
    ]


def _answers(setups: list[Setup], model: Model) -> list[Prediction]:
    log_rate, half, memory = predict_setups(setups, model)
    columns = as_configurations(setups, model.constants)
    inside = fits_in_memory(columns, model.memory_margin)
    return [
        Prediction(
            float(np.exp(rate)),
            float(np.exp(rate - width)),
            float(np.exp(rate + width)),
            float(size / 2**30),
            bool(fit),
            f"assumed {', '.join(setup.assumed)}" if setup.assumed else "",
        )
        for setup, rate, width, size, fit in zip(
            setups, log_rate, half, memory, inside, strict=True
        )
    ]
