"""A server of the package that is named: it prints its port, and tells each WebSocket the path that its application sees."""

import asyncio
import sys


async def websockets():
    from websockets.asyncio.server import serve

    async def handler(socket):
        await socket.send(socket.request.path)
        await socket.wait_closed()

    return (await serve(handler, "127.0.0.1", 0)).sockets[0]


async def aiohttp():
    from aiohttp import web

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.path)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return site._server.sockets[0]


async def tornado():
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Handler(WebSocketHandler):
        def open(self, *_):
            self.write_message(self.request.path)

    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([(".*", Handler)])).add_sockets(sockets)
    return sockets[0]


async def picows():
    from picows import WSListener, WSMsgType, ws_create_server

    class Listener(WSListener):
        def __init__(self, request):
            self.request = request

        def on_ws_connected(self, transport):
            transport.send(WSMsgType.TEXT, self.request.path)

    return (await ws_create_server(Listener, "127.0.0.1", 0)).sockets[0]


async def autobahn():
    from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol

    class Protocol(WebSocketServerProtocol):
        def onConnect(self, request):
            self.path = request.path

        def onOpen(self):
            self.sendMessage(self.path.encode())

    factory = WebSocketServerFactory()
    factory.protocol = Protocol
    return (await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)).sockets[0]


async def main():
    socket = await globals()[sys.argv[1]]()
    print(socket.getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
