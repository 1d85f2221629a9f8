#!/usr/bin/env bash
# A TCP connection that ends without a close frame: RFC 6455 (7.1.5) has 1006 for it. simple-websocket 1.1.0 and trio-websocket 0.12.2
# (PyPI), and the package websocket of Tcllib 1.21 (Debian 12), as clients.
#
# trio-websocket says 1006. simple-websocket says 1005, the code of a close frame without a code. Tcllib reports a close with
# 1001 and a reason, "Endpoint going away", that nobody sent. Whoever reconnects after a fault only cannot tell one in the last two.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
debian_installed tcllib 1.21+dfsg-1
command -v tclsh >/dev/null || cannot_run "tclsh"
python_packages simple-websocket==1.1.0 trio-websocket==0.12.2

cat >"$here/cut.py" <<'PY'
import socket

from peer import Peer

server = Peer()
for _ in range(3):
    client = server.meet()
    client.socket.shutdown(socket.SHUT_RDWR)
PY
cat >"$here/simple.py" <<'PY'
import sys

import simple_websocket

try:
    simple_websocket.Client.connect(f"ws://127.0.0.1:{sys.argv[1]}/").receive(10)
except simple_websocket.ConnectionClosed as end:
    print("simple-websocket:", int(end.reason))
PY
cat >"$here/with_trio.py" <<'PY'
import sys

import trio
import trio_websocket


async def main():
    async with trio_websocket.open_websocket_url(f"ws://127.0.0.1:{sys.argv[1]}/") as socket:
        try:
            await socket.get_message()
        except trio_websocket.ConnectionClosed as end:
            print("trio-websocket:", int(end.reason.code))


trio.run(main)
PY
cat >"$here/cut.tcl" <<'TCL'
package require websocket
::websocket::loglevel critical
proc happened {socket type message} {
    if {$type eq "close"} {puts "Tcllib: $message"}
    if {$type in {close disconnect}} {exit 0}
}
after 10000 {exit 1}
::websocket::open ws://127.0.0.1:[lindex $argv 0]/ happened
vwait forever
TCL
serve_peer "$here/cut.py"
all() {
    "$here/venv/bin/python" "$here/simple.py" "$port"
    "$here/venv/bin/python" "$here/with_trio.py" "$port"
    tclsh "$here/cut.tcl" "$port" 2>/dev/null
}
expected='simple-websocket: 1005
trio-websocket: 1006
Tcllib: 1001 {Endpoint going away}'
expect all
