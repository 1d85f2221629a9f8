#!/usr/bin/env bash
# Three messages and a close frame in one segment, as a client sends them that asks, says goodbye and still reads until the close
# frame of the other side (RFC 6455, 5.5.1: a peer may finish what it is sending before it answers). Echo servers of websockets 17.4,
# aiohttp 3.14.5, tornado 6.6.1 (PyPI) and ws 8.23.0 (npm).
#
# websockets answers the close frame before its handler has seen the first message: the handler gets all three, and each of its
# answers raises ConnectionClosedOK. The others send the three answers and then their close frame.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages websockets==17.4 aiohttp==3.14.5 tornado==6.6.1
node_packages ws@8.23.0

cat >"$here/client.py" <<'PY'
import socket
import sys

MASK = b"\0\0\0\0"
text = lambda word: bytes([0x81, 0x80 | len(word)]) + MASK + word
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as server:
    server.settimeout(5)
    server.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    reader = server.makefile("rb")
    while reader.readline().strip():
        pass
    server.sendall(text(b"one") + text(b"two") + text(b"three") + b"\x88\x82" + MASK + b"\x03\xe8")
    answers = []
    while head := reader.read(2):
        payload = reader.read(head[1])
        answers.append("close" if head[0] == 0x88 else payload.decode())
    print(", ".join(answers))
PY
cat >"$here/echo.py" <<'PY'
import asyncio
import sys

import aiohttp.web
import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket
import websockets.asyncio.server
from websockets.exceptions import ConnectionClosed


async def echo_websockets(connection):
    async for message in connection:
        try:
            await connection.send(message)
        except ConnectionClosed:
            pass


async def echo_aiohttp(request):
    connection = aiohttp.web.WebSocketResponse()
    await connection.prepare(request)
    async for message in connection:
        await connection.send_str(message.data)
    return connection


class EchoTornado(tornado.websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)


async def main():
    if sys.argv[1] == "websockets":
        place = (await websockets.asyncio.server.serve(echo_websockets, "127.0.0.1", 0)).sockets[0]
    elif sys.argv[1] == "aiohttp":
        app = aiohttp.web.Application()
        app.router.add_get("/", echo_aiohttp)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place = site._server.sockets[0]
    else:
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        tornado.httpserver.HTTPServer(tornado.web.Application([("/", EchoTornado)])).add_sockets(sockets)
        place = sockets[0]
    print(place.getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
PY
cat >"$here/echo.js" <<'JS'
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => console.log(server.address().port));
server.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))));
JS
all() {
    local package
    for package in websockets aiohttp tornado; do
        serve "$here/venv/bin/python" echo.py "$package"
        echo "$package: $(python3 "$here/client.py" "$port")"
    done
    serve node echo.js
    echo "ws: $(python3 "$here/client.py" "$port")"
}
expected='websockets: close
aiohttp: one, two, three, close
tornado: one, two, three, close
ws: one, two, three, close'
expect all
