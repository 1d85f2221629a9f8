#!/usr/bin/env bash
# Linux, accept(2): which options of a listening TCP socket its accepted sockets have too. Seen on Linux 6.18.
#
# socket(7) and tcp(7) say of hardly any option whether it is handed on. Of these, SO_LINGER, SO_RCVTIMEO, SO_OOBINLINE and SO_RCVLOWAT
# are, so a server can set them once; SO_PRIORITY and TCP_DEFER_ACCEPT are not, and have to be set on every connection.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

cat >"$here/inherit.py" <<'PY'
import socket
import struct

LINGER, TIMEOUT = struct.pack("ii", 1, 7), struct.pack("ll", 7, 0)
OPTIONS = {
    "SO_LINGER": (socket.SOL_SOCKET, socket.SO_LINGER, LINGER),
    "SO_RCVTIMEO": (socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEOUT),
    "SO_OOBINLINE": (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    "SO_RCVLOWAT": (socket.SOL_SOCKET, socket.SO_RCVLOWAT, 5),
    "SO_PRIORITY": (socket.SOL_SOCKET, socket.SO_PRIORITY, 4),
    "TCP_DEFER_ACCEPT": (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3),
}
listener = socket.create_server(("127.0.0.1", 0))
for level, name, value in OPTIONS.values():
    listener.setsockopt(level, name, value)
client = socket.create_connection(listener.getsockname())
client.sendall(b"so that the accept is not deferred")
accepted, _ = listener.accept()
for text, (level, name, value) in OPTIONS.items():
    size = len(value) if isinstance(value, bytes) else 0
    # Whatever the kernel makes of a value, it shows the same for both where it was handed on.
    same = accepted.getsockopt(level, name, size) == listener.getsockopt(level, name, size)
    print(f"{text}: {'handed on' if same else 'not handed on'}")
PY
expected='SO_LINGER: handed on
SO_RCVTIMEO: handed on
SO_OOBINLINE: handed on
SO_RCVLOWAT: handed on
SO_PRIORITY: not handed on
TCP_DEFER_ACCEPT: not handed on'
expect python3 "$here/inherit.py"
