#!/usr/bin/env bash
# Linux, socket(7): SO_RCVLOWAT of a TCP socket. Seen on Linux 6.18.
#
# The option that should only say when a reader is woken also raises the receive buffer, to twice its value, without a cap by
# net.core.rmem_max: 16 MiB asked for give a buffer of 32 MiB. Only where SO_RCVBUF was set before, the buffer stays and it is
# the low-water mark that is cut, to half of the buffer.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

cat >"$here/lowat.py" <<'PY'
import socket

MARK = 16 << 20


def buffer_and_mark(before):
    with socket.socket() as sock:
        if before:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, before)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, MARK)
        return [sock.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_RCVBUF, socket.SO_RCVLOWAT)]


print("SO_RCVLOWAT alone: buffer %d, mark %d" % tuple(buffer_and_mark(0)))
print("after SO_RCVBUF:   buffer %d, mark %d" % tuple(buffer_and_mark(65536)))
PY
expected='SO_RCVLOWAT alone: buffer 33554432, mark 16777216
after SO_RCVBUF:   buffer 131072, mark 65536'
expect python3 "$here/lowat.py"
