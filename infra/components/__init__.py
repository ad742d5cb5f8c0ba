"""The neutral components: what a stack is made of, the same on every site.

Type tokens are part of every resource's URN: they never change without an alias.
"""

from infra.components.base import Component, Place
from infra.components.subjects import Endpoint, Monitoring, Store, Stream, Training

__all__ = ["Component", "Endpoint", "Monitoring", "Place", "Store", "Stream", "Training"]
