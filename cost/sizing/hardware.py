"""What an accelerator can do, from its data sheet, under every spelling that published tables use.

Figures come from ``cost.catalog`` (peak, measured matmul rate, memory, links, power); the few
that only sizing needs (8-bit rate, usual node, usual fabric) from ``data/devices.csv``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from cost.catalog.store import find_accelerator, load_accelerators
from cost.sizing.tables import DATA, Row, read_table
from infra.core.errors import BadInput, Problem

REFERENCE = "H100"
"""The accelerator that fitted rates refer to: the best covered one in the published results."""

_MATMUL_FRACTION = 794.5 / 989
"""Measured over peak matmul rate of the reference; for devices that nobody has measured."""

_MEMORY_W_PER_GIB = 1.0
"""Power that memory takes from the budget: an HBM3 stack of 16 GiB draws some 20 W."""

_REFERENCE_W_PER_TFLOPS = (700 - 80 * _MEMORY_W_PER_GIB) / 989

_SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"gb300", "GB300"),
    (r"gb200", "GB200"),
    (r"gh200|grace.?hopper", "GH200"),
    (r"b300", "B300"),
    (r"b200", "B200"),
    (r"h200", "H200"),
    (r"h100.*nvl", "H100-NVL"),
    (r"h100.*pcie", "H100-PCIe"),
    (r"h100", "H100"),
    (r"a100.*pcie.*80|a100-80gb-pcie", "A100-80GB-PCIe"),
    (r"a100.*80", "A100-80GB"),
    (r"a100.*40|a100", "A100-40GB"),
    (r"l40s", "L40S"),
    (r"\bl4\b", "L4"),
    (r"a10g", "A10G"),
    (r"\ba10\b", "A10"),
    (r"t4g", "T4G"),
    (r"\bt4\b|tesla-t4", "T4"),
    (r"v100.*32", "V100-32GB"),
    (r"v100", "V100-16GB"),
    (r"4090", "RTX-4090"),
    (r"7900 ?xtx", "RX-7900-XTX"),
    (r"rtx.?pro.*6000", "RTX-PRO-6000"),
    (r"rtx.?pro.*4500", "RTX-PRO-4500"),
    (r"mi455x", "MI455X"),
    (r"mi355x", "MI355X"),
    (r"mi325x", "MI325X"),
    (r"mi300x", "MI300X"),
    (r"mi250x?", "MI250X"),
    (r"gaudi\W*\w?\W*3", "Gaudi3"),
    (r"gaudi\W*\w?\W*2", "Gaudi2"),
    (r"trainium2|trn2", "Trainium2"),
    (r"trainium|trn1", "Trainium"),
    (r"inferentia2|inf2", "Inferentia2"),
    (r"inferentia|inf1", "Inferentia"),
    (r"(tpu.?)?v7x?|ironwood", "TPU-v7x"),
    (r"(tpu.?)?v6e?|trillium", "TPU-v6e"),
    (r"(tpu.?)?v5p", "TPU-v5p"),
    (r"(tpu.?)?v5(e|lite)", "TPU-v5e"),
    (r"(tpu.?)?v4", "TPU-v4"),
)
"""First match wins; searched without regard to case."""


_BEFORE_BF16 = frozenset({"volta", "turing"})
_INTEGERS_ONLY = _BEFORE_BF16 | {"ampere", "tpu", "inferentia"}


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator. Rates are dense, for one device; GB/s are 1e9 bytes a second, one way.

    ``matmul_tflops`` is what a large bf16 product reaches: measured (MAMF) where ``measured``,
    else from the peak and the power that there is for it. ``link_gb_s`` is the link to its
    neighbours in the node, ``fabric_gb_s`` the usual network of a whole node of
    ``node_accelerators``.
    """

    name: str
    architecture: str
    peak_tflops: float
    matmul_tflops: float
    measured: bool
    eight_bit_factor: float
    four_bit_factor: float
    memory_gib: float
    memory_gb_s: float
    link_gb_s: float
    node_accelerators: int
    fabric_gb_s: float

    def runs(self, precision: str) -> bool:
        """Whether its matrix units know a number format at all: bf16 came with Ampere, 8-bit
        floats with Ada and Hopper (8-bit integers of older ones don't train)."""
        if precision == "bf16":
            return self.architecture not in _BEFORE_BF16
        if precision == "fp8":
            return self.eight_bit_factor > 1 and self.architecture not in _INTEGERS_ONLY
        return True

    @property
    def memory_bytes(self) -> float:
        """Memory of one device; the sheets' "80 GB" are GiB."""
        return self.memory_gib * 2**30


def _matmul_tflops(
    peak: float, measured: float | None, tdp_w: float | None, memory_gib: float
) -> float:
    """What a large product reaches. Unmeasured: the reference's share of the peak, times the
    cube root of the power per TFLOPS against it, since dynamic power grows with the cube of the
    clock (voltage follows frequency); never above the peak."""
    if measured:
        return measured
    left = tdp_w - _MEMORY_W_PER_GIB * memory_gib if tdp_w else 0.0
    power = (left / peak / _REFERENCE_W_PER_TFLOPS) ** (1 / 3) if left > 0 else 1.0
    return peak * min(_MATMUL_FRACTION * power, 1.0)


def _device(row: Row) -> Device:
    name = row.text("name")
    known = {sheet.name: sheet for sheet in load_accelerators()}
    sheet = known.get(name)

    def figure(column: str, attribute: str, default: float | None = None) -> float | None:
        own = row.positive(column)
        return own if own is not None else getattr(sheet, attribute, None) or default

    peak = figure("peak_bf16_tflops", "peak_bf16_tflops")
    memory = figure("memory_gib", "memory_gib")
    bandwidth = figure("memory_bandwidth_gb_s", "memory_bandwidth_gb_s")
    if peak is None or memory is None or bandwidth is None:
        raise row.bad("name", f"no data sheet has peak, memory and bandwidth of {name}")
    measured = sheet.mamf_bf16_tflops if sheet else None
    if measured is None and name == "A100-40GB":
        measured = find_accelerator("A100-80GB").mamf_bf16_tflops  # the same chip
    return Device(
        name=name,
        architecture=row.text("architecture"),
        peak_tflops=peak,
        matmul_tflops=_matmul_tflops(peak, measured, figure("tdp_w", "tdp_w"), memory),
        measured=measured is not None,
        eight_bit_factor=row.required("eight_bit_factor"),
        four_bit_factor=row.required("four_bit_factor"),
        memory_gib=memory,
        memory_gb_s=bandwidth,
        link_gb_s=figure("link_gb_s", "interconnect_gb_s", 16.0) or 16.0,
        node_accelerators=int(row.required("node_accelerators")),
        fabric_gb_s=row.required("node_fabric_gb_s"),
    )


@cache
def devices() -> dict[str, Device]:
    """Every device that can be sized for, by canonical name."""
    rows = read_table(DATA / "devices.csv", ("name", "architecture"))
    return {device.name: device for device in map(_device, rows)}


@cache
def find_device(text: str) -> Device:
    """The device that a table means by ``text``. BadInput names what is known.

    >>> find_device("NVIDIA H100-SXM5-80GB").name, find_device("A100-SXM4-80GB").name
    ('H100', 'A100-80GB')
    """
    known = devices()
    if text in known:
        return known[text]
    for pattern, name in _SPELLINGS:
        if re.search(pattern, text, re.IGNORECASE):
            return known[name]
    raise BadInput(
        Problem(f"unknown accelerator {text!r}", expected=f"one of {', '.join(sorted(known))}")
    )
