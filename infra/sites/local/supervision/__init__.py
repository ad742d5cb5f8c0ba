"""Long-running processes and run-to-completion steps of one local stack, under supervisord.

Every process is a *unit* with a name, a log, a descriptor and an environment marker. Nothing
outlives the supervisor: its children get the kernel's parent-death signal, and whatever still
carries a stack's marker is swept before the stack starts and after it is destroyed.
"""

from infra.sites.local.supervision.layout import Layout
from infra.sites.local.supervision.ports import free_port, owner_of, release, reserve
from infra.sites.local.supervision.steps import StepFailed, run_step
from infra.sites.local.supervision.supervisor import Supervisor
from infra.sites.local.supervision.sweep import marked_processes, sweep
from infra.sites.local.supervision.units import Unit, UnitStatus

__all__ = [
    "Layout",
    "StepFailed",
    "Supervisor",
    "Unit",
    "UnitStatus",
    "free_port",
    "marked_processes",
    "owner_of",
    "release",
    "reserve",
    "run_step",
    "sweep",
]
