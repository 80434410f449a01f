"""Runs penstock so that it ends when its parent does, however that ends: tied.py PARENT WORDS...

The parent is the process of that id. Not for: services, which a service manager ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: Of <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *words = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it has ended meanwhile
        os.execv(sys.executable, [sys.executable, "-m", "penstock", *words])  # noqa: S606
