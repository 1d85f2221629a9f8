#!/usr/bin/env bash
# permessage-deflate in undici 7.30.2 and ws 8.23.0 (npm), as clients: both offer it, the server agrees, and each sends a text of
# 10,000 times the same letter.
#
# ws sends some tens of bytes. undici, of which the WebSocket of Node.js is made, sends all 10,000: it reads compressed messages
# and never writes one. A server that keeps a context for it holds memory that nothing will use.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages undici@7.30.2 ws@8.23.0

cat >"$here/agree.py" <<'PY'
import time

from peer import CLOSE, Peer

server = Peer()
for name in ("undici", "ws"):
    client = server.meet("Sec-WebSocket-Extensions: permessage-deflate")
    first, payload = client.receive()
    size = "10000 bytes" if len(payload) == 10000 else "fewer than 100 bytes" if len(payload) < 100 else len(payload)
    print(f"{name}: {'compressed' if first & 0x40 else 'not compressed'}, {size}", flush=True)
    client.send(CLOSE, b"\x03\xe8")
    client.receive()
    client.end()
PY
cat >"$here/both.js" <<'JS'
const url = `ws://127.0.0.1:${process.argv[2]}/`;
const send = (WebSocket, then) => {
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send('a'.repeat(10000));
  socket.onclose = then;
};
send(require('undici').WebSocket, () => send(require('ws').WebSocket, () => {}));
JS
serve_peer "$here/agree.py"
both() {
    node "$here/both.js" "$port"
    tail -n +2 "$here/server-0.out"
}
expected='undici: not compressed, 10000 bytes
ws: compressed, fewer than 100 bytes'
expect both
