#!/usr/bin/env bash
# Close code 1014, "bad gateway", which IANA lists beside 1012 and 1013. autobahn 26.10.2 (PyPI) and faye-websocket 0.11.4 (npm), as
# servers that a client closes with each of the three.
#
# autobahn answers 1012 and 1013 with a close frame and drops the connection without one at 1014. faye-websocket takes all three for
# errors of the protocol and answers 1002.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages autobahn==26.10.2
node_packages faye-websocket@0.11.4

cat >"$here/closer.py" <<'PY'
import socket
import sys

for code in (1012, 1013, 1014):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as server:
        server.settimeout(5)
        server.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        reader = server.makefile("rb")
        while reader.readline().strip():
            pass
        server.sendall(b"\x88\x82\0\0\0\0" + code.to_bytes(2, "big"))
        answer = "no close frame"
        while head := reader.read(2):
            payload = reader.read(head[1])
            if head[0] == 0x88:
                answer = str(int.from_bytes(payload[:2], "big"))
        print(f"  {code}: {answer}")
PY
both() {
    serve "$here/venv/bin/python" "$lib/servers.py" autobahn
    echo autobahn
    python3 "$here/closer.py" "$port"
    NODE_PATH=$here/node_modules serve node "$lib/servers.js" faye-websocket
    echo faye-websocket
    python3 "$here/closer.py" "$port"
}
expected='autobahn
  1012: 1000
  1013: 1000
  1014: no close frame
faye-websocket
  1012: 1002
  1013: 1002
  1014: 1002'
expect both
