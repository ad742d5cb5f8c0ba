"""The page's charts as SVG text. Colours are CSS variables, so both themes and print fit.

Every figure has a title and a description for those who don't see it; where it shows figures that
no table beside it has, they are in the description.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from markupsafe import Markup, escape

from .display import money

_WIDTH: Final = 960


def _svg(name: str, title: str, description: str, height: int, body: str, width: int) -> Markup:
    # The body is this module's own markup with escaped texts.
    return Markup(
        '<svg class="chart {name}" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{name}-t {name}-d" preserveAspectRatio="xMidYMid meet">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{desc}</desc>{body}</svg>'
    ).format(
        name=name,
        width=width,
        height=height,
        title=title,
        desc=description,
        body=Markup(body),  # noqa: S704
    )


def nice_ticks(highest: float, count: int = 4) -> list[float]:
    """Round axis values from 0 to at least ``highest``: steps of 1, 2, 2.5 or 5 times 10^n."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999999)
    return [step * i for i in range(math.ceil(highest / step * 0.999999) + 1)]


def short(value: float) -> str:
    """An axis label: 1.5k, 2M, 250."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def daily_chart(
    daily: Sequence[tuple[date, Decimal]],
    as_of: date,
    per_day: Decimal,
    flagged: frozenset[date],
    currency: str,
) -> Markup:
    """Cost by day as bars; days to come as an outline at the forecast's mean; odd days marked."""
    left, top, height, base = 56, 16, 260, 220
    values = [float(v) for _, v in daily]
    coming = float(per_day)
    highest = max([*values, coming, 0.0])
    lowest = min([*values, 0.0])
    ticks = nice_ticks(highest)
    scale = (base - top) / (ticks[-1] - lowest or 1)
    zero = base + lowest * scale
    step = (_WIDTH - left - 8) / max(len(daily), 1)
    parts = [
        f'<line class="grid" x1="{left}" x2="{_WIDTH - 8}" y1="{zero - t * scale:.1f}" '
        f'y2="{zero - t * scale:.1f}"/><text class="axis" x="{left - 8}" '
        f'y="{zero - t * scale + 4:.1f}" text-anchor="end">{short(t)}</text>'
        for t in ticks
    ]
    for index, ((day, exact), value) in enumerate(zip(daily, values, strict=True)):
        x, wide = left + index * step + step * 0.14, step * 0.72
        if day > as_of:
            tall = coming * scale
            parts.append(_bar("coming", x, zero - tall, wide, tall, f"{day}: expected"))
        else:
            tall = abs(value) * scale
            kind = "odd" if day in flagged else "bar"
            y = zero - max(value, 0.0) * scale
            parts.append(_bar(kind, x, y, wide, tall, f"{day}: {money(exact, currency)}"))
            if day in flagged:
                parts.append(
                    f'<text class="mark" x="{x + wide / 2:.1f}" y="{y - 5:.1f}" '
                    'text-anchor="middle">!</text>'
                )
        if index == 0 or (day.day - 1) % 7 == 0:
            parts.append(
                f'<text class="axis" x="{x + wide / 2:.1f}" y="{base + 22}" '
                f'text-anchor="middle">{day.day}</text>'
            )
    spoken = "; ".join(f"{day.day}: {money(v, currency)}" for day, v in daily if day <= as_of)
    return _svg("daily", "Cost by day", spoken, height, "".join(parts), _WIDTH)


def _bar(kind: str, x: float, y: float, wide: float, tall: float, title: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" '
        f'height="{max(tall, 0.0):.1f}" rx="1.5"><title>{escape(title)}</title></rect>'
    )


@dataclass(frozen=True)
class Bullet:
    """A budget to draw: what is spent, expected with its interval, and the limit."""

    name: str
    spent: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    limit: Decimal
    action: str


def bullet_chart(bullet: Bullet, number: int, currency: str) -> Markup:
    """Spent as a bar, the forecast as a mark with its interval, the limit as a line."""
    width, mid = 480, 16
    reach = max(float(v) for v in (bullet.spent, bullet.high, bullet.limit)) * 1.06 or 1.0

    def at(value: Decimal) -> float:
        return max(float(value), 0.0) / reach * width

    low, high, expected = at(bullet.low), at(bullet.high), at(bullet.expected)
    body = (
        f'<rect class="track" x="0" y="{mid - 7}" width="{width}" height="14" rx="2"/>'
        f'<rect class="{"over" if bullet.action != "ok" else "bar"}" x="0" y="{mid - 7}" '
        f'width="{at(bullet.spent):.1f}" height="14" rx="2"/>'
    )
    if bullet.high > bullet.low:
        body += (
            f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{mid}" y2="{mid}"/>'
            f'<circle class="expected" cx="{expected:.1f}" cy="{mid}" r="4"/>'
        )
    limit = at(bullet.limit)
    body += f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="2" y2="30"/>'
    text = (
        f"spent {money(bullet.spent, currency)}, expected {money(bullet.expected, currency)} "
        f"({money(bullet.low, currency)} to {money(bullet.high, currency)}), "
        f"limit {money(bullet.limit, currency)}"
    )
    return _svg(f"bullet-{number}", f"Budget {bullet.name}", text, 32, body, width)


def waterfall(
    start: Decimal, steps: Sequence[tuple[str, Decimal]], end: Decimal, currency: str
) -> Markup:
    """From the estimate to the actual total, step by step, one row each."""
    rows = [("estimate", Decimal(0), start), *_running(start, steps), ("actual", Decimal(0), end)]
    width, label, right, row = 680, 165, 105, 30
    edges = [float(v) for _, a, b in rows for v in (a, b)]
    lowest, highest = min(0.0, *edges), max(edges) or 1.0
    scale = (width - label - right) / (highest - lowest or 1.0)
    parts = []
    for index, (name, a, b) in enumerate(rows):
        y = index * row + 6
        x0, x1 = sorted(label + (float(v) - lowest) * scale for v in (a, b))
        whole = index in {0, len(rows) - 1}
        kind = "bar" if whole else "up" if b > a else "down"
        amount = money(b - a, currency, signed=not whole)
        parts.append(
            f'<text class="label" x="{label - 12}" y="{y + 14}" text-anchor="end">{escape(name)}'
            f"</text>{_bar(kind, x0, y, max(x1 - x0, 1.5), 18, f'{name}: {amount}')}"
            f'<text class="value" x="{x1 + 8:.1f}" y="{y + 14}">{amount}</text>'
        )
    spoken = "; ".join(f"{name} {money(b - a, currency)}" for name, a, b in rows)
    title = "From the estimate to the actual cost"
    return _svg("bridge", title, spoken, len(rows) * row + 6, "".join(parts), width)


def _running(
    start: Decimal, steps: Sequence[tuple[str, Decimal]]
) -> list[tuple[str, Decimal, Decimal]]:
    found, at = [], start
    for name, change in steps:
        found.append((name, at, at + change))
        at += change
    return found
