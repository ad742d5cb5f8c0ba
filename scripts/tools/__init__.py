"""The tools that the toolkit stands on: found where they are, else fetched or built into the cache.

Each module describes one tool: ``find()`` tells where it is or what is missing and what mends it;
``install()`` puts it into the cache, keyed by version, safe to kill and to run again.
"""

from __future__ import annotations

from scripts.tools._tool import Finding, Tool
from scripts.tools.engine import ENGINE
from scripts.tools.java import JAVA
from scripts.tools.kafka import KAFKA
from scripts.tools.prometheus import PROMETHEUS
from scripts.tools.python import PYTHON

TOOLS: tuple[Tool, ...] = (PYTHON, ENGINE, JAVA, KAFKA, PROMETHEUS)

__all__ = ["TOOLS", "Finding", "Tool"]
