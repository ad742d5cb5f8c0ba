"""Runs a unit's command so that it can't outlive its supervisor.

Called by path, without the package: it must start fast. Asks the kernel for SIGKILL when the
supervisor dies (prctl(2), PR_SET_PDEATHSIG), then becomes the command. Elsewhere than on Linux
the sweep by environment marker does that work.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """``guard.py SUPERVISOR_PID COMMAND [ARGUMENT ...]``."""
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before the kernel was asked
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main()
