"""Each library of Python behind the same few calls: open, send, receive, close. One that needs an event loop has it in a
thread of its own, so that it can do what it likes while the application does not read.
"""

import asyncio
import queue
import threading

PATIENCE_S = 20


class Ended(Exception):
    """The connection is no more, as the library tells it: its code, or None, and the reason."""

    def __init__(self, code: int | None, reason: str | bytes | None):
        if isinstance(reason, bytes):
            reason = reason.decode()
        super().__init__(code, reason or "")


class Loop:
    """An event loop in a thread, for all libraries that want one."""

    _loop = None

    @classmethod
    def run(cls, coroutine):
        if cls._loop is None:
            cls._loop = asyncio.new_event_loop()
            threading.Thread(target=cls._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, cls._loop).result(PATIENCE_S)


class Websockets:
    def __init__(self, url):
        from websockets.asyncio.client import connect

        async def open():
            return await connect(url, proxy=None, ping_interval=None)

        self.ws = Loop.run(open())

    def send(self, data):
        Loop.run(self.ws.send(data))

    def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            return Loop.run(self.ws.recv())
        except ConnectionClosed as end:
            raise Ended(end.rcvd and end.rcvd.code or self.ws.close_code, end.rcvd and end.rcvd.reason) from end

    def close(self):
        Loop.run(self.ws.close())


class WebsocketsSync:
    def __init__(self, url):
        from websockets.sync.client import connect

        self.ws = connect(url, proxy=None, ping_interval=None, legacy=True)
        self.send, self.close = self.ws.send, self.ws.close

    def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            return self.ws.recv(PATIENCE_S)
        except ConnectionClosed as end:
            raise Ended(end.rcvd and end.rcvd.code or self.ws.close_code, end.rcvd and end.rcvd.reason) from end


class WebsocketClient:
    def __init__(self, url):
        import websocket

        self.ws = websocket.create_connection(url, timeout=PATIENCE_S, http_no_proxy=["*"])
        self.close = self.ws.close

    def send(self, data):
        self.ws.send_binary(data) if isinstance(data, bytes) else self.ws.send(data)

    def receive(self):
        import websocket

        try:
            opcode, data = self.ws.recv_data()
        except websocket.WebSocketConnectionClosedException as end:
            raise Ended(None, "") from end
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise Ended(int.from_bytes(data[:2], "big") if data else None, data[2:])
        return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data


class Aiohttp:
    def __init__(self, url):
        import aiohttp

        async def open():
            self.session = aiohttp.ClientSession()
            try:
                return await self.session.ws_connect(url, compress=15)
            except BaseException:
                await self.session.close()
                raise

        self.ws = Loop.run(open())

    def send(self, data):
        Loop.run(self.ws.send_bytes(data) if isinstance(data, bytes) else self.ws.send_str(data))

    def receive(self):
        import aiohttp

        message = Loop.run(self.ws.receive())
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return message.data
        raise Ended(self.ws.close_code, message.extra)

    def close(self):
        Loop.run(self.ws.close())
        Loop.run(self.session.close())


class Tornado:
    def __init__(self, url):
        from tornado.websocket import websocket_connect

        async def open():
            return await websocket_connect(url, compression_options={})

        self.ws = Loop.run(open())

    def send(self, data):
        async def send():
            await self.ws.write_message(data, binary=isinstance(data, bytes))

        Loop.run(send())

    def receive(self):
        async def read():
            return await self.ws.read_message()

        message = Loop.run(read())
        if message is None:
            raise Ended(self.ws.close_code, self.ws.close_reason)
        return message

    def close(self):
        async def close():
            self.ws.close()

        Loop.run(close())


class Autobahn:
    def __init__(self, url):
        from urllib.parse import urlsplit

        from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

        got, up = queue.Queue(), queue.Queue()

        class Protocol(WebSocketClientProtocol):
            def onOpen(self):
                up.put(self)

            def onMessage(self, payload, isBinary):
                got.put(payload if isBinary else payload.decode())

            def onClose(self, wasClean, code, reason):
                # Its `reason` is a sentence of its own; the server's is kept beside it.
                end = Ended(self.remoteCloseCode or code, self.remoteCloseReason)
                up.put(end)
                got.put(end)

        async def open():
            factory = WebSocketClientFactory(url)
            factory.protocol = Protocol
            place = urlsplit(url)
            await asyncio.get_running_loop().create_connection(factory, place.hostname, place.port)

        Loop.run(open())
        self.got, self.ws = got, up.get(timeout=PATIENCE_S)
        if isinstance(self.ws, Ended):
            raise self.ws

    def _call(self, call, *arguments):
        async def run():
            call(*arguments)

        Loop.run(run())

    def send(self, data):
        text = isinstance(data, str)
        self._call(self.ws.sendMessage, data.encode() if text else data, not text)

    def receive(self):
        item = self.got.get(timeout=PATIENCE_S)
        if isinstance(item, Ended):
            raise item
        return item

    def close(self):
        self._call(self.ws.sendClose)


class Picows:
    def __init__(self, url):
        import picows

        got = queue.Queue()

        class Listener(picows.WSListener):
            def on_ws_frame(self, transport, frame):
                if frame.msg_type == picows.WSMsgType.TEXT:
                    got.put(frame.get_payload_as_utf8_text())
                elif frame.msg_type == picows.WSMsgType.BINARY:
                    got.put(frame.get_payload_as_bytes())
                elif frame.msg_type == picows.WSMsgType.CLOSE:
                    got.put(Ended(int(frame.get_close_code()), frame.get_close_message()))
                    transport.send_close(frame.get_close_code(), frame.get_close_message())
                    transport.disconnect()
                elif frame.msg_type == picows.WSMsgType.PING:
                    transport.send_pong(frame.get_payload_as_bytes())

            def on_ws_disconnected(self, transport):
                got.put(Ended(None, ""))

        async def open():
            transport, _ = await picows.ws_connect(Listener, url)
            return transport

        self.got, self.ws = got, Loop.run(open())
        self.types = picows.WSMsgType

    def send(self, data):
        async def send():
            text = isinstance(data, str)
            self.ws.send(self.types.TEXT if text else self.types.BINARY, data.encode() if text else data)

        Loop.run(send())

    def receive(self):
        item = self.got.get(timeout=PATIENCE_S)
        if isinstance(item, Ended):
            raise item
        return item

    def close(self):
        async def close():
            self.ws.send_close(1000)
            self.ws.disconnect()

        Loop.run(close())


class SimpleWebsocket:
    def __init__(self, url):
        import simple_websocket

        self.ws = simple_websocket.Client.connect(url)
        self.send, self.close = self.ws.send, self.ws.close

    def receive(self):
        import simple_websocket

        try:
            item = self.ws.receive(PATIENCE_S)
        except simple_websocket.ConnectionClosed as end:
            raise Ended(end.reason and int(end.reason), end.message) from end
        assert item is not None, "nothing came"
        return item


class TrioWebsocket:
    """Trio has an event loop of its own, here one for each connection."""

    def __init__(self, url):
        import trio
        import trio_websocket

        self.inbox, self.orders = queue.Queue(), None
        ready = queue.Queue()

        async def main():
            send, orders = trio.open_memory_channel(100)
            async with trio_websocket.open_websocket_url(url) as ws:
                ready.put((trio.lowlevel.current_trio_token(), send, ws))
                async for order in orders:
                    try:
                        self.inbox.put(await order(ws))
                    except trio_websocket.ConnectionClosed as end:
                        reason = end.reason
                        self.inbox.put(Ended(reason and int(reason.code), reason and reason.reason))

        def thread():
            try:
                trio.run(main)
            except BaseException as error:
                ready.put(error)

        threading.Thread(target=thread, daemon=True).start()
        up = ready.get(timeout=PATIENCE_S)
        if isinstance(up, BaseException):
            raise up
        self.token, self.channel, _ = up

    def _order(self, order):
        self.token.run_sync_soon(self.channel.send_nowait, order)
        item = self.inbox.get(timeout=PATIENCE_S)
        if isinstance(item, Ended):
            raise item
        return item

    def send(self, data):
        self._order(lambda ws: ws.send_message(data))

    def receive(self):
        return self._order(lambda ws: ws.get_message())

    def close(self):
        self.token.run_sync_soon(self.channel.close)


class HttpxWs:
    def __init__(self, url):
        import contextlib

        import httpx
        import httpx_ws

        self.stack = contextlib.ExitStack()
        client = self.stack.enter_context(httpx.Client(trust_env=False))
        self.ws = self.stack.enter_context(
            httpx_ws.connect_ws(url, client, keepalive_ping_interval_seconds=None, max_message_size_bytes=2**20)
        )

    def send(self, data):
        self.ws.send_bytes(data) if isinstance(data, bytes) else self.ws.send_text(data)

    def receive(self):
        import httpx_ws
        import wsproto

        try:
            event = self.ws.receive(PATIENCE_S)
        except httpx_ws.WebSocketDisconnect as end:
            raise Ended(end.code, end.reason) from end
        except httpx_ws.WebSocketNetworkError as end:
            raise Ended(None, "") from end
        assert isinstance(event, (wsproto.events.TextMessage, wsproto.events.BytesMessage)), event
        return bytes(event.data) if isinstance(event, wsproto.events.BytesMessage) else event.data

    def close(self):
        self.stack.close()


class Lomond:
    """Its whole interface is a loop of events, here in a thread."""

    def __init__(self, url):
        import lomond

        self.got, ready = queue.Queue(), queue.Queue()
        self.ws = lomond.WebSocket(url, proxies={})

        def events():
            said = None
            for event in self.ws.connect(ping_rate=0):
                if event.name == "ready":
                    ready.put(None)
                elif event.name == "text":
                    self.got.put(event.text)
                elif event.name == "binary":
                    self.got.put(event.data)
                elif event.name == "closing":
                    said = Ended(event.code, event.reason)
                elif event.name in ("connect_fail", "rejected"):
                    ready.put(Exception(str(event)))
                elif event.name == "disconnected":
                    self.got.put(said or Ended(None, ""))

        threading.Thread(target=events, daemon=True).start()
        problem = ready.get(timeout=PATIENCE_S)
        if problem:
            raise problem

    def send(self, data):
        self.ws.send_binary(data) if isinstance(data, bytes) else self.ws.send_text(data)

    def receive(self):
        item = self.got.get(timeout=PATIENCE_S)
        if isinstance(item, Ended):
            raise item
        return item

    def close(self):
        self.ws.close()


CLIENTS = {
    "websockets": Websockets,
    "websockets.sync": WebsocketsSync,
    "websocket-client": WebsocketClient,
    "aiohttp": Aiohttp,
    "tornado": Tornado,
    "autobahn": Autobahn,
    "picows": Picows,
    "simple-websocket": SimpleWebsocket,
    "trio-websocket": TrioWebsocket,
    "httpx-ws": HttpxWs,
    "lomond": Lomond,
}
