"""Actual bills: AWS CUR 2.0, GCP BigQuery, Azure cost exports and FOCUS, streamed into FOCUS.

>>> from cost.actuals import open_bills
>>> with open_bills(["bills/"], rates={"EUR": Decimal("0.92")}) as bills:  # doctest: +SKIP
...     bills.query("SELECT ServiceName, sum(x_ReportedCost) FROM bills GROUP BY 1")
"""

from __future__ import annotations

from .bills import COUNTED, Bills, Period, open_bills
from .sources import KINDS, Opened, Source

__all__ = ["COUNTED", "KINDS", "Bills", "Opened", "Period", "Source", "open_bills"]
