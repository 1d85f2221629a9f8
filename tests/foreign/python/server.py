"""The server under test as its environment describes it, and the words of its channel protocol."""

import asyncio
import json
import os
import urllib.request

from websockets.asyncio.client import ClientConnection, connect

ADDRESS = os.environ["TEST_ADDRESS"]
# "s" where the server speaks TLS. Whom to believe is in SSL_CERT_FILE, which OpenSSL reads.
SAFE = os.environ.get("TEST_SAFE", "")
URL = f"ws{SAFE}://{ADDRESS}/"

# How long a scenario waits for what must happen. Only a failing one ever does.
PATIENCE_S = 20


async def run(*command: str) -> None:
    """Runs a command of wsmaster about the server, as an operator does."""
    program, pid_file = os.environ["TEST_PROGRAM"], os.environ["TEST_PID_FILE"]
    process = await asyncio.create_subprocess_exec(program, *command, "--pid-file", pid_file)
    assert await process.wait() == 0, command


def post(command: str, body: dict) -> dict:
    """Calls the HTTP interface. An answer other than 200 is an exception."""
    request = urllib.request.Request(
        f"http{SAFE}://{ADDRESS}/api/{command}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {os.environ['TEST_API_KEY']}"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=PATIENCE_S) as reply:
        return json.load(reply)


def dial(**options) -> connect:
    """As connect() of the library; a proxy in the environment has no part in this."""
    return connect(URL, proxy=None, **options)


class Member:
    """A client of the channel server."""

    def __init__(self, socket: ClientConnection, welcome: dict):
        self.socket = socket
        self.id: int = welcome["connection_id"]
        self.worker: int = welcome["worker"]

    @classmethod
    async def join(cls, socket: ClientConnection) -> "Member":
        """Reads the welcome, which is the first message."""
        welcome = json.loads(await receive(socket))
        assert welcome["action"] == "welcome", welcome
        assert welcome["authenticated"] is False, welcome
        assert welcome["heartbeat_interval"] > 0, welcome
        return cls(socket, welcome)

    @classmethod
    async def on_worker(cls, worker: int) -> "Member":
        """Connects until the kernel has chosen the worker in this slot."""
        for _ in range(200):
            member = await cls.join(await dial())
            if member.worker == worker:
                return member
            await member.socket.close()
        raise AssertionError(f"no connection came to worker {worker}")

    async def send(self, action: str, **data) -> None:
        await self.socket.send(json.dumps({"action": action, "data": data}))

    async def receive(self) -> dict:
        return json.loads(await receive(self.socket))

    async def ask(self, action: str, **data) -> dict:
        """Sends a request; the next message must be its answer."""
        await self.send(action, **data)
        return await self.receive()

    async def subscribe(self, channel: str) -> None:
        answer = await self.ask("subscribe", channel=channel)
        assert answer == {"success": True, "action": "subscribe", "channel": channel}, answer


async def receive(socket: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(socket.recv(), PATIENCE_S)


def expect(found: object, expected: object) -> None:
    """Two values that must be the same. Long ones are not printed whole."""
    assert found == expected, f"expected {expected!r:.200}, found {found!r:.200}"
