"""What an hour of one's own machine costs, from a price file (YAML).

    machines:
      - {name: dgx-h100, site: plant, vcpus: 224, memory_gib: 2048, accelerator: H100, count: 8,
         capex_usd: 300000, salvage_usd: 30000, depreciation_years: 4, opex_usd_per_year: 25000,
         power_kw: 10.2, pue: 1.4, usd_per_kwh: 0.12, utilisation: 0.7, as_of: 2026-10-01}

    USD per useful hour =
        ((capex - salvage) / (years x 8,760) + opex / 8,760 + power x PUE x price) / utilisation

Straight-line depreciation; power is the average draw; PUE is the site's total over its IT power
(ISO/IEC 30134-2); utilisation is the share of hours that somebody uses, over whom the idle ones are
spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from cost import money
from cost.catalog.importers import Record
from cost.catalog.store import find_accelerator
from infra.core.errors import BadInput, Problem

HOURS_PER_YEAR = 8760
_NEEDED = ("name", "site", "capex_usd", "depreciation_years", "power_kw", "usd_per_kwh", "as_of")
_OPTIONAL = {
    "salvage_usd": "0", "opex_usd_per_year": "0", "pue": "1.5", "utilisation": "1",
    "vcpus": "", "memory_gib": "", "accelerator": "", "count": "0", "network_gbps": "",
}  # fmt: skip


def usd_per_hour(machine: Mapping[str, Decimal]) -> Decimal:
    """The formula above, to 1e-6 USD."""
    years, used = machine["depreciation_years"], machine["utilisation"]
    held = (machine["capex_usd"] - machine["salvage_usd"]) / (years * HOURS_PER_YEAR)
    run = machine["opex_usd_per_year"] / HOURS_PER_YEAR
    power = machine["power_kw"] * machine["pue"] * machine["usd_per_kwh"]
    return ((held + run + power) / used).quantize(Decimal("0.000001"))


def from_file(path: Path) -> Iterator[Record]:
    """The machines of a price file; BadInput names the machine and what is wrong with it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(Problem(f"can't read the price file: {error}", file=str(path))) from error
    machines = document.get("machines") if isinstance(document, dict) else None
    if not isinstance(machines, list) or not machines:
        raise BadInput(Problem("no machines in it", file=str(path), expected="machines: [...]"))
    for entry in machines:
        yield _machine(entry, str(path))


def _machine(entry: Any, file: str) -> Record:
    name = str(entry.get("name", "?")) if isinstance(entry, dict) else "?"

    def problem(text: str, expected: str | None = None) -> BadInput:
        return BadInput(Problem(text, file=file, path=name, expected=expected))

    if not isinstance(entry, dict):
        raise problem("a machine is no mapping")
    missing = [key for key in _NEEDED if key not in entry]
    unknown = sorted(set(entry) - {*_NEEDED, *_OPTIONAL})
    if missing or unknown:
        wrong = [f"missing {key}" for key in missing] + [f"unknown {key}" for key in unknown]
        raise problem(", ".join(wrong))
    given = {key: str(value) for key, value in (_OPTIONAL | entry).items()}
    words = {"name", "site", "as_of", "accelerator", "vcpus", "memory_gib", "network_gbps"}
    try:
        numbers = {key: money.parse(text, key) for key, text in given.items() if key not in words}
    except BadInput as error:
        raise problem(error.problems[0].message, error.problems[0].expected) from error
    if not 0 < numbers["utilisation"] <= 1:
        raise problem(f"utilisation is {numbers['utilisation']}", "above 0, at most 1")
    if numbers["depreciation_years"] <= 0 or numbers["pue"] < 1:
        raise problem("depreciation_years must be above 0 and pue at least 1")
    if any(value < 0 for value in numbers.values()):
        raise problem("an amount is negative")
    accelerator = given["accelerator"]
    memory = find_accelerator(accelerator).memory_gib if accelerator else None
    return {
        "provider": "onprem",
        "region": given["site"],
        "instance_type": name,
        "vcpus": given["vcpus"],
        "memory_gib": given["memory_gib"],
        "accelerator": accelerator,
        "accelerator_count": given["count"],
        "accelerator_memory_gib": "" if memory is None else f"{memory:g}",
        "on_demand_usd_per_hour": f"{usd_per_hour(numbers):f}",
        "network_gbps": given["network_gbps"],
        "source": f"{Path(file).name}: capex, power and utilisation",
        "as_of": given["as_of"],
        "currency": "USD",
    }
