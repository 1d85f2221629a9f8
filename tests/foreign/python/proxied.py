"""What clients see of the server through a proxy. Usage: proxied.py NAME, with the environment of server.py and:

TEST_PROXY_HTTP, TEST_PROXY_HTTPS   the two ports of the proxy on 127.0.0.1
TEST_PROXY_TLS                      "tls", or "preface" where the second port wants the PROXY protocol instead of TLS
TEST_PROXY_RELOAD                   a command of the shell that makes the proxy read its configuration again
TEST_PROXY_KEEPS                    "yes" where connections outlive that, "no", or "either"
"""

import asyncio
import json
import os
import socket
import ssl
import sys
import urllib.request

from server import ADDRESS, PATIENCE_S, expect, receive, run
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

HTTP, HTTPS = int(os.environ["TEST_PROXY_HTTP"]), int(os.environ["TEST_PROXY_HTTPS"])
NAME = "chat.example.org"
# Not an address of the proxy, and no address that the server trusts.
CLIENT = "127.0.0.9"
FORGED = "192.0.2.66"


class Way:
    """One of the two ways through the proxy: in the clear, or as over TLS."""

    def __init__(self, scheme: str, port: int):
        self.scheme, self.host = scheme, f"{NAME}:{port}"
        self.port, self.secure = port, scheme == "https"
        self.has_preface = self.secure and os.environ["TEST_PROXY_TLS"] == "preface"
        self.tls = ssl.create_default_context() if self.secure and not self.has_preface else None
        self.origin = f"{scheme}://{self.host}"

    def dial(self) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, source_address=(CLIENT, 0))
        if self.has_preface:
            stream.sendall(f"PROXY TCP4 {CLIENT} 127.0.0.1 4711 443\r\n".encode())
        stream.setblocking(False)
        return stream

    def open(self, **options) -> connect:
        """A WebSocket; the library closes the stream with it."""
        scheme = "wss" if self.tls else "ws"
        name = {"server_hostname": NAME} if self.tls else {}
        url = f"{scheme}://{self.host}/"
        return connect(url, sock=self.dial(), ssl=self.tls, proxy=None, origin=self.origin, **name, **options)

    async def get(self, path: str) -> tuple[int, bytes]:
        """A request on a connection of its own: the status and the body."""
        name = {"server_hostname": NAME} if self.tls else {}
        reader, writer = await asyncio.open_connection(sock=self.dial(), ssl=self.tls, **name)
        try:
            head = f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


WAYS = [Way("http", HTTP), Way("https", HTTPS)]


def known(connection: int) -> dict:
    """What the server knows of a connection, asked without the proxy."""
    key = f"Bearer {os.environ['TEST_API_KEY']}"
    request = urllib.request.Request(
        f"http://{ADDRESS}/api/connections/{connection}", headers={"Authorization": key}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=PATIENCE_S) as reply:
        return json.load(reply)


async def join(way: Way, **options) -> tuple[connect, dict]:
    ws = await way.open(**options)
    return ws, json.loads(await receive(ws))


async def identity() -> None:
    """Address and scheme are the client's own, whatever it says of itself, and pages of the same host are let in."""
    for way in WAYS:
        opposite = "http" if way.secure else "https"
        forged = {
            "X-Forwarded-For": FORGED,
            "X-Forwarded-Proto": opposite,
            "X-Forwarded-Host": "elsewhere.example",
            "X-Forwarded-Port": "1",
            "X-Real-IP": FORGED,
            "Forwarded": f"for={FORGED};proto={opposite}",
        }
        for headers in ({}, forged, {**forged, "X-Forwarded-For": f"{FORGED}, 127.0.0.1"}):
            ws, welcome = await join(way, additional_headers=headers)
            facts = known(welcome["connection_id"])
            found = (facts["address"], facts["secure"])
            assert found == (CLIENT, way.secure), f"{way.origin} with {headers}: {facts}"
            await ws.close()
        for origin in (f"{way.scheme}://elsewhere.example", f"{way.scheme}://{NAME}:1"):
            refused = Way(way.scheme, way.port)
            refused.origin = origin
            try:
                await refused.open()
            except InvalidStatus as error:
                expect(error.response.status_code, 403)
            else:
                raise AssertionError(f"{origin} was let in")


async def echo() -> None:
    """Messages and compression pass unchanged, and so does a refusal."""
    for way in WAYS:
        async with way.open(max_size=2**20) as ws:
            [extension] = ws.protocol.extensions
            expect(extension.name, "permessage-deflate")
            for message in ("", "Grüße 🎈", b"\0\xff" * 35_000, "é" * 35_000):
                await ws.send(message)
                expect(await receive(ws), message)
            await asyncio.wait_for(await ws.ping("through"), PATIENCE_S)
            await ws.close(4001, "enough")
            expect(ws.close_code, 4001)
        status, body = await way.get("/health")
        expect((status, json.loads(body)["live"]), (200, True))
        expect((await way.get("/nowhere"))[0], 404)


async def idle() -> None:
    """Pings of the server keep a connection that is silent otherwise, beyond the proxy's limit of 3 s."""

    async def stays(way: Way) -> None:
        pings = asyncio.Queue()
        ws = await way.open(ping_interval=None)
        take = ws.protocol.recv_frame

        def count(frame):
            if frame.opcode == Opcode.PING:
                pings.put_nowait(frame)
            take(frame)

        ws.protocol.recv_frame = count
        for _ in range(5):
            await asyncio.wait_for(pings.get(), PATIENCE_S)
        await ws.send("still here")
        expect(await receive(ws), "still here")
        await ws.close()

    await asyncio.gather(*map(stays, WAYS))


async def silence() -> None:
    """Without pings the proxy's limit ends a silent connection: it is the setting that the file names."""
    async def lasts(way: Way) -> float:
        begin = asyncio.get_running_loop().time()
        ws = await way.open(ping_interval=None)
        try:
            await receive(ws)
        except ConnectionClosed:
            return asyncio.get_running_loop().time() - begin
        raise AssertionError("nobody sent anything")

    for seconds in await asyncio.gather(*map(lasts, WAYS)):
        assert 2 <= seconds < 15, f"it lasted {seconds} s"


class Traffic:
    """Handshakes and requests that go on while something is reloaded: no proxy may answer them in the server's place."""

    def __init__(self, may_put_off: bool):
        self.may_put_off = may_put_off
        self.count, self.failures, self.put_off, self.goes_on = 0, [], 0, True

    async def flow(self, way: Way) -> None:
        while self.goes_on:
            try:
                expect((await way.get("/health/live"))[0], 200)
                async with way.open() as ws:
                    await ws.send("hello")
                    expect(await receive(ws), "hello")
            except ConnectionClosed as end:
                # A worker that leaves says so to those that it has.
                if end.rcvd is None or end.rcvd.code not in (1001, 1012):
                    self.failures.append(f"{way.scheme}: {end!r}")
            except InvalidStatus as error:
                # So does one that had accepted the connection already, with the moment to come back.
                # Its reply passes through every proxy as it is.
                if error.response.status_code == 503 and error.response.headers.get("Retry-After"):
                    self.put_off += 1
                else:
                    self.failures.append(f"{way.scheme}: {error.response!r}")
            except Exception as error:  # whatever it is
                self.failures.append(f"{way.scheme}: {error!r}")
            self.count += 1

    async def during(self, action) -> None:
        flows = [asyncio.create_task(self.flow(way)) for way in WAYS for _ in range(2)]
        await self.more(5)
        await action
        await self.more(20)
        self.goes_on = False
        await asyncio.gather(*flows)
        assert self.put_off <= self.may_put_off * self.count / 4, f"{self.put_off} of {self.count} were told to come back"
        assert not self.failures, f"{len(self.failures)} of {self.count}: {self.failures[:5]}"

    async def more(self, turns: int) -> None:
        goal = self.count + turns
        async with asyncio.timeout(PATIENCE_S):
            while self.count < goal:
                await asyncio.sleep(0.01)


async def reload() -> None:
    """`wsmaster reload` under traffic: the proxy keeps serving, and who is there hears of it from the server."""
    there = [await way.open(ping_interval=None) for way in WAYS]
    await Traffic(may_put_off=True).during(run("reload"))
    for ws in there:
        try:
            await receive(ws)
        except ConnectionClosed as end:
            assert end.rcvd and end.rcvd.code in (1001, 1012) and end.rcvd.reason, end


async def proxy_reload() -> None:
    """The proxy reads its configuration again under traffic: nobody who comes is refused."""
    there = [await way.open(ping_interval=None) for way in WAYS]

    async def again() -> None:
        process = await asyncio.create_subprocess_shell(os.environ["TEST_PROXY_RELOAD"])
        expect(await asyncio.wait_for(process.wait(), PATIENCE_S), 0)

    await Traffic(may_put_off=False).during(again())
    # One that does not let old connections stay may give them a moment.
    await asyncio.sleep(3)
    for ws in there:
        if os.environ["TEST_PROXY_KEEPS"] == "yes":
            await ws.send("still here")
            expect(await receive(ws), "still here")
            await ws.close()
        elif os.environ["TEST_PROXY_KEEPS"] == "no":
            try:
                await receive(ws)
            except ConnectionClosed as end:
                expect(end.rcvd and end.rcvd.code, 1001)


SCENARIOS = [identity, echo, idle, silence, reload, proxy_reload]


def main() -> None:
    scenario = {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]]
    asyncio.run(scenario())
    print("done", sys.argv[1])


if __name__ == "__main__":
    main()
