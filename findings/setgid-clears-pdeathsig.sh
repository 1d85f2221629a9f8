#!/usr/bin/env bash
# Linux, PR_SET_PDEATHSIG (prctl(2)): which changes of credentials forget it. Seen on Linux 6.18. Needs root.
#
# setgid(2) to another group alone clears the signal that a child wants at its parent's death, as setuid(2) does, and without
# an error; setgroups(2) and a change to the group it has already do not. A daemon that asks for the signal and then drops its
# group keeps running when its parent is killed.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
((EUID == 0)) || cannot_run "root"

cat >"$here/pdeathsig.py" <<'PY'
import ctypes
import os

libc = ctypes.CDLL(None)
SET, GET, SIGTERM = 1, 2, 15


def after(name, change):
    if os.fork() == 0:
        libc.prctl(SET, SIGTERM)
        change()
        value = ctypes.c_int()
        libc.prctl(GET, ctypes.byref(value))
        print(f"{name}: {'kept' if value.value == SIGTERM else 'cleared'}", flush=True)
        os._exit(0)
    os.wait()


after("setgroups([])", lambda: os.setgroups([]))
after("setgid(own)", lambda: os.setgid(os.getgid()))
after("setgid(other)", lambda: os.setgid(65534))
after("setuid(other)", lambda: os.setuid(65534))
PY
expected='setgroups([]): kept
setgid(own): kept
setgid(other): cleared
setuid(other): cleared'
expect python3 "$here/pdeathsig.py"
