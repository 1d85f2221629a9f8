#!/usr/bin/env bash
# Linux, signalfd(2) in an epoll(7) instance that a child inherits by fork(2). Seen on Linux 6.18.
#
# The registration stays bound to the process that made it. In the child the epoll says nothing of the child's own signal,
# although read(2) of the same signalfd gives it. EPOLL_CTL_MOD shows what is pending at that moment and leaves it as deaf as
# before; only EPOLL_CTL_DEL and EPOLL_CTL_ADD bind it to the child.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

cat >"$here/signalfd.py" <<'PY'
import ctypes
import os
import select
import signal

libc = ctypes.CDLL(None)
CLOEXEC_NONBLOCK = 0o2000000 | 0o4000
mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signals = libc.signalfd(-1, mask, CLOEXEC_NONBLOCK)
epoll = select.epoll()
epoll.register(signals, select.EPOLLIN)


def round_of(name):
    """Whether the epoll tells of a signal; afterwards nothing is pending, and the epoll has been asked once more."""
    os.kill(os.getpid(), signal.SIGUSR1)
    told = bool(epoll.poll(0.2))
    was_pending = len(os.read(signals, 128)) == 128
    epoll.poll(0)
    print(f"{name}: epoll {'tells' if told else 'is silent'}, read {'gives it' if was_pending else 'nothing'}", flush=True)


if os.fork() == 0:
    round_of("inherited")
    epoll.modify(signals, select.EPOLLIN)
    round_of("after MOD")
    epoll.unregister(signals)
    epoll.register(signals, select.EPOLLIN)
    round_of("after DEL and ADD")
    os._exit(0)
os.wait()
PY
expected='inherited: epoll is silent, read gives it
after MOD: epoll is silent, read gives it
after DEL and ADD: epoll tells, read gives it'
expect python3 "$here/signalfd.py"
