"""Leave when the parent is gone.

The engine starts language hosts and providers and stops them itself; a SIGKILL of the engine
leaves them behind. The kernel's parent-death signal is no help under a Go parent (it fires when
the *thread* that forked ends), so the parent's id is watched instead.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable


def call_when_orphaned(leave: Callable[[], None], every_seconds: float = 0.5) -> None:
    """Call ``leave`` once, from a daemon thread, when this process's parent has died.

    The parent is the one that ``MLSCALE_PARENT`` names, set by the script that became this process:
    it may have died already, while Python was importing. The variable is taken away.
    """
    parent = int(os.environ.pop("MLSCALE_PARENT", "") or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_seconds)
        leave()

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()
