#!/usr/bin/env bash
# websocket-client 1.9.2 (PyPI): `recv()` when a message is empty, and when the server closes with 1011 and a reason.
#
# Both return the empty text; code and reason are gone, and no exception says that it is over. The exception comes at the next
# call. `recv_data()` tells the two apart. The close frame is answered with 1000, whatever the server's code was.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages websocket-client==1.9.2

cat >"$here/close.py" <<'PY'
from peer import CLOSE, TEXT, Peer

client = Peer().meet()
client.send(TEXT)
client.send(CLOSE, b"\x03\xf3out of order")
print("answered with", int.from_bytes(client.receive_kind(CLOSE)[:2], "big"), flush=True)
client.end()
PY
cat >"$here/client.py" <<'PY'
import sys

import websocket

socket = websocket.create_connection(f"ws://127.0.0.1:{sys.argv[1]}/", timeout=10, http_no_proxy=["*"])
print(repr(socket.recv()), repr(socket.recv()))
try:
    socket.recv()
except websocket.WebSocketException as error:
    print(type(error).__name__)
PY
serve_peer "$here/close.py"
both() {
    "$here/venv/bin/python" "$here/client.py" "$port"
    tail -n +2 "$here/server-0.out"
}
expected="'' ''
WebSocketConnectionClosedException
answered with 1000"
expect both
