"""Requests or tokens a second of a served model on other accelerators, from results on known ones.

Language models: a step of continuous batching takes compute for every token of the batch (prompts
included), one reading of the weights and of every sequence's cache, and the all-reduces of tensor
parallelism (Williams 2009; Pope 2022). Others: a share of the time goes with memory bandwidth, the
rest with the matmul rate. What the model can't know, one efficiency for each model and scenario,
comes from the known rows; each known accelerator then has a small factor of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import NamedTuple

import numpy as np

from cost.sizing.hardware import REFERENCE, Device, devices, find_device
from cost.sizing.tables import DATA, Row, as_rows, read_table
from infra.core.errors import BadInput

GENERIC_MEMORY_SHARE = 0.2
"""Share of the time that goes with bandwidth for models of which nothing else is known."""

_DEVICE_WIDTH = 0.12
_MODEL_WIDTH = 0.12
_ROW_NOISE = 0.05
_HALF_90 = 1.645


@dataclass(frozen=True)
class ServedModel:
    """What the roofline asks of a model. Language models have ``layers, width, kv_heads,
    head_width`` and mean tokens in and out; others a ``memory_share``. ``weight_bytes`` a
    parameter: 1 where 8-bit products are supported, else 2."""

    name: str
    kind: str
    parameters: float
    layers: float = 0.0
    width: float = 0.0
    kv_heads: float = 0.0
    head_width: float = 0.0
    input_tokens: float = 294.0
    output_tokens: float = 294.0
    memory_share: float = GENERIC_MEMORY_SHARE
    total_parameters: float = 0.0

    @property
    def stored(self) -> float:
        """Parameters that lie in memory (all experts of a mixture)."""
        return self.total_parameters or self.parameters

    @property
    def language(self) -> bool:
        """Whether tokens are generated one after the other."""
        return self.kind == "llm"


_MIXTURES = {"mixtral-8x7b": 46.7e9}


@cache
def served_models() -> dict[str, ServedModel]:
    """Known models by name and alias, in lower case."""
    found: dict[str, ServedModel] = {}
    for row in read_table(DATA / "served_models.csv", ("name", "kind", "parameters")):
        name = row.text("name")
        model = ServedModel(
            name,
            row.text("kind"),
            row.required("parameters"),
            row.number("layers", 0.0) or 0.0,
            row.number("width", 0.0) or 0.0,
            row.number("kv_heads", 0.0) or 0.0,
            row.number("head_width", 0.0) or 0.0,
            row.number("mean_input_tokens", 294.0) or 294.0,
            row.number("mean_output_tokens", 294.0) or 294.0,
            row.number("memory_share", GENERIC_MEMORY_SHARE) or GENERIC_MEMORY_SHARE,
            _MIXTURES.get(name, 0.0),
        )
        for alias in (name, *filter(None, row.text("aliases").split("|"))):
            found[alias.lower()] = model
    return found


def find_model(name: str) -> ServedModel:
    """The model that a table means; an unknown one is taken as a generic network."""
    return served_models().get(name.strip().lower()) or ServedModel(name, "generic", 0.0)


@dataclass(frozen=True)
class Decode:
    """Steady state of one replica: accelerators it takes, sequences in flight, seconds of one step
    (one token for each of them) and the part of it that goes to weights, tokens a second for one
    accelerator. The roofline's own rates, before any measured efficiency."""

    tensor: int
    sequences: int
    step_seconds: float
    tokens_per_s_per_accelerator: float


_WEIGHT_SHARE = 0.6
"""Share of memory that weights may take before a model is split over more accelerators."""
_CACHE_SHARE = 0.9
_MOST_SEQUENCES = 1024
_COMPUTE_EFFICIENCY = 0.6
_BANDWIDTH_EFFICIENCY = 0.8
_LINK_EFFICIENCY = 0.4
_COLLECTIVE_SECONDS = 12e-6
_FOUR_BIT_SHARE = 0.6
"""Share of the products that 4-bit formats take over; the rest (attention, first and last layers,
scaling) stays in 8 bit."""


def decode(model: ServedModel, device: Device, sequences: int | None = None) -> Decode | None:
    """The roofline of a language model on a device; None when no power of two up to 16 of them
    holds the weights. ``sequences`` in flight, or as many as memory has room for."""
    four_bit = (
        device.four_bit_factor > device.eight_bit_factor and device.architecture == "blackwell"
    )
    weight_bytes = 0.5 if four_bit else (1.0 if device.eight_bit_factor > 1 else 2.0)
    share = _FOUR_BIT_SHARE if four_bit else 0.0
    factor = 1 / (share / device.four_bit_factor + (1 - share) / device.eight_bit_factor)
    rate = device.matmul_tflops * 1e12 * factor
    weights = model.stored * weight_bytes
    tensor = next(
        (
            size
            for size in (1, 2, 4, 8, 16)
            if weights / size <= _WEIGHT_SHARE * device.memory_bytes
        ),
        None,
    )
    if tensor is None:
        return None
    cache_bytes = 1.0 if device.eight_bit_factor > 1 else 2.0
    token_bytes = 2 * model.layers * model.kv_heads * model.head_width * cache_bytes
    context = model.input_tokens + model.output_tokens / 2
    room = _CACHE_SHARE * device.memory_bytes * tensor - weights
    most = max(int(room / (token_bytes * (model.input_tokens + model.output_tokens))), 1)
    batch = min(sequences or _MOST_SEQUENCES, most)
    load = _Load(tensor, batch, rate, weights, context * token_bytes)
    seconds = _decode_seconds(model, device, load)
    return Decode(tensor, batch, seconds, batch / seconds / tensor)


class _Load(NamedTuple):
    """One replica under way: accelerators, sequences, flop/s of each, bytes of weights and of the
    cache of one sequence."""

    tensor: int
    batch: int
    rate: float
    weights: float
    sequence_bytes: float


def _decode_seconds(model: ServedModel, device: Device, load: _Load) -> float:
    """Seconds in which each sequence gains a token and prompts keep up with them."""
    tensor, batch, rate, weights, sequence_bytes = load
    passed = 1 + model.input_tokens / model.output_tokens
    compute = 2 * model.parameters * batch * passed / (tensor * rate * _COMPUTE_EFFICIENCY)
    read = weights + batch * sequence_bytes
    memory = read / (tensor * device.memory_gb_s * 1e9 * _BANDWIDTH_EFFICIENCY)
    if tensor == 1:
        return compute + memory
    ring = 2 * (tensor - 1) / tensor
    volume = ring * 2 * model.layers * batch * passed * model.width * 2
    links = volume / (device.link_gb_s * 1e9 * _LINK_EFFICIENCY)
    return compute + memory + links + 2 * model.layers * _COLLECTIVE_SECONDS


def relative_rate(model: ServedModel, device: Device) -> float | None:
    """Rate of one accelerator in units that are the same for every device; None when it can't."""
    if model.language:
        state = decode(model, device)
        return state.tokens_per_s_per_accelerator if state else None
    reference = devices()[REFERENCE]
    eight_bit = reference.eight_bit_factor / device.eight_bit_factor
    compute = reference.matmul_tflops / device.matmul_tflops * eight_bit
    memory = reference.memory_gb_s / device.memory_gb_s
    return 1 / ((1 - model.memory_share) * compute + model.memory_share * memory)


@dataclass(frozen=True)
class ServingPrediction:
    """Value in the metric of the row (samples or tokens a second), 90 % interval, what it rests
    on; None with a reason where there is no answer."""

    value: float | None
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class _Known:
    key: tuple[str, str]
    device: str
    log_ratio: float


class ServingModel:
    """Efficiencies from known rows: one for each (model, scenario), one for each device."""

    def __init__(self, rows: Sequence[Row]) -> None:
        known = [one for one in map(_known, rows) if one is not None]
        keys = sorted({one.key for one in known})
        self.device: dict[str, float] = dict.fromkeys(sorted({one.device for one in known}), 0.0)
        self.efficiency: dict[tuple[str, str], float] = {}
        self.rows = {key: sum(one.key == key for one in known) for key in keys}
        for _ in range(_SWEEPS):  # alternating medians converge in a few sweeps
            for key in keys:
                self.efficiency[key] = median(
                    one.log_ratio - self.device[one.device] for one in known if one.key == key
                )
            for name in self.device:
                off = [
                    one.log_ratio - self.efficiency[one.key] for one in known if one.device == name
                ]
                shrink = len(off) / (len(off) + (_ROW_NOISE / _DEVICE_WIDTH) ** 2 + 1)
                self.device[name] = shrink * median(off) if len(self.device) > 1 else 0.0

    def predict(self, row: Row) -> ServingPrediction:
        """One row; its own result cells are not read."""
        device, count, key = _asked(row)
        model = find_model(row.text("model"))
        rate = relative_rate(model, device)
        efficiency, how = self._efficiency(key)
        if efficiency is None:
            return ServingPrediction(None, None, None, f"no answer: {how}")
        if rate is None:
            return ServingPrediction(None, None, None, "no answer: the weights don't fit")
        log_value = np.log(count * rate) + efficiency + self.device.get(device.name, 0.0)
        variance = _ROW_NOISE**2 + (0.0 if device.name in self.device else _DEVICE_WIDTH**2)
        variance += 0.0 if key in self.efficiency else _MODEL_WIDTH**2
        variance += _UNKNOWN_WIDTH**2 if not device.measured else 0.0
        half = _HALF_90 * float(np.sqrt(variance))
        low, high = float(np.exp(log_value - half)), float(np.exp(log_value + half))
        return ServingPrediction(float(np.exp(log_value)), low, high, how)

    def _efficiency(self, key: tuple[str, str]) -> tuple[float | None, str]:
        """The efficiency of the model and scenario; of the model's other scenario at the usual
        share; of the class of language models as a last resort."""
        if key in self.efficiency:
            return self.efficiency[key], f"{self.rows[key]} known rows"
        model, scenario = key
        same = [(other, value) for other, value in self.efficiency.items() if other[0] == model]
        if same:
            (other, value), sign = same[0], (1 if scenario == "offline" else -1)
            return value - sign * np.log(_SERVER_SHARE), f"from {other[1]} at the usual share"
        family = [
            value
            for (other, kind), value in self.efficiency.items()
            if kind == scenario and find_model(other).language and find_model(model).language
        ]
        if family:
            return median(family), "from other language models"
        return None, f"no known row of {model} in scenario {scenario}"


_SWEEPS = 8
_SERVER_SHARE = 0.85
"""Server over offline throughput under a latency limit; median over published pairs."""
_UNKNOWN_WIDTH = 0.1


def _asked(row: Row) -> tuple[Device, float, tuple[str, str]]:
    try:
        device = find_device(row.text("accelerator"))
    except BadInput as error:
        raise row.bad(
            "accelerator", error.problems[0].message, error.problems[0].expected
        ) from error
    count = row.positive("n_accelerators", 1.0) or 1.0
    return device, count, (row.text("model").lower(), row.text("scenario", "offline").lower())


def _known(row: Row) -> _Known | None:
    device, count, key = _asked(row)
    value = row.required("value")
    rate = relative_rate(find_model(row.text("model")), device)
    if rate is None:
        return None
    return _Known(key, device.name, float(np.log(value / (count * rate))))


def predict_serving(
    known: Sequence[Row] | Sequence[Mapping[str, object]],
    ask: Sequence[Row] | Sequence[Mapping[str, object]],
) -> list[ServingPrediction]:
    """Values for every row of ``ask``, in order, calibrated on ``known``.

    Columns: model, scenario, accelerator, n_accelerators; ``value`` is read in ``known`` only,
    where a row with an empty cell isn't known. An unknown accelerator gets a note and no figure.
    """
    rows = [_row(row, "known") for row in known]
    fitted = ServingModel([row for row in rows if row.text("value")])
    answers = []
    for row in (_row(one, "ask") for one in ask):
        try:
            answers.append(fitted.predict(row))
        except BadInput as error:
            if error.problems[0].path != "accelerator":
                raise
            note = f"no answer: {error.problems[0].message}"
            answers.append(ServingPrediction(None, None, None, note))
    return answers


def _row(row: Row | Mapping[str, object], name: str) -> Row:
    return row if isinstance(row, Row) else as_rows([row], name)[0]
