"""Sizing: from the work that a stack declares to the capacity that does it.

The door of the package; what it names is imported when it is first used, since most of it needs
NumPy. Throughput, time to target, serving and ranking are in ``predict_throughput``,
``predict_minutes``, ``predict_serving``, ``rank_candidates``; the planner in ``plan_training``,
``plan_serving``; the lock in ``cost.sizing.lock``. Method and accuracy: ``docs/sizing.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cost.sizing.planner import TrainingPlan, TrainingWork, plan_training
    from cost.sizing.ranking import rank_candidates
    from cost.sizing.replicas import ServingWork, plan_serving
    from cost.sizing.serving import predict_serving
    from cost.sizing.target import predict_minutes
    from cost.sizing.throughput import predict_throughput

_HOMES = {
    "TrainingPlan": "planner",
    "TrainingWork": "planner",
    "plan_training": "planner",
    "rank_candidates": "ranking",
    "ServingWork": "replicas",
    "plan_serving": "replicas",
    "predict_serving": "serving",
    "predict_minutes": "target",
    "predict_throughput": "throughput",
}

__all__ = [
    "ServingWork",
    "TrainingPlan",
    "TrainingWork",
    "plan_serving",
    "plan_training",
    "predict_minutes",
    "predict_serving",
    "predict_throughput",
    "rank_candidates",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
