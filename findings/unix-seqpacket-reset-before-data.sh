#!/usr/bin/env bash
# Linux, unix(7): a peer that closes its end while something unread waits for it. Seen on Linux 6.18.
#
# On a SOCK_SEQPACKET pair the other end is told ECONNRESET first, once, and only then gets what the peer had sent before it
# closed. On a SOCK_STREAM pair it is the other way round: the data, and then ECONNRESET. A reader of packets that takes the
# first ECONNRESET for the end loses the peer's last words.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

cat >"$here/pair.py" <<'PY'
import socket

for name in ("SOCK_SEQPACKET", "SOCK_STREAM"):
    left, right = socket.socketpair(socket.AF_UNIX, getattr(socket, name))
    right.send(b"never read")
    left.send(b"last words")
    left.close()
    seen = []
    for _ in range(3):
        try:
            seen.append(right.recv(100).decode() or "end")
        except OSError as error:
            seen.append(type(error).__name__)
    print(f"{name}: {', '.join(seen)}")
PY
expected='SOCK_SEQPACKET: ConnectionResetError, last words, end
SOCK_STREAM: last words, ConnectionResetError, end'
expect python3 "$here/pair.py"
