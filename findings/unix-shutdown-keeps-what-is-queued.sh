#!/usr/bin/env bash
# Linux, unix(7) and shutdown(2): a reader of a SOCK_SEQPACKET pair that calls shutdown(SHUT_RD). Seen on Linux 6.18.
#
# From then on the writer's next packet is refused with EPIPE, while the packets that were queued before can still be read, and the end
# comes behind them. So a reader can leave in such a way that each packet is either read or known to its writer as unsent.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

cat >"$here/shutdown.py" <<'PY'
import socket

reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
writer.send(b"one")
writer.send(b"two")
reader.shutdown(socket.SHUT_RD)
try:
    writer.send(b"three")
    print("writer: sent")
except OSError as error:
    print("writer:", type(error).__name__)
print("reader:", ", ".join(reader.recv(100).decode() or "end" for _ in range(3)))
PY
expected='writer: BrokenPipeError
reader: one, two, end'
expect python3 "$here/shutdown.py"
