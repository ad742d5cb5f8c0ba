"""Cost reports: a month's bills as FOCUS rows, a workbook, a page and a summary.

>>> from cost.report import main_report
>>> main_report("2026-10", "out", sources=["bills/"])  # doctest: +SKIP
"""

from __future__ import annotations

from .main import main_report
from .model import Options, Report, ReportResult

__all__ = ["Options", "Report", "ReportResult", "main_report"]
