"""The server's end of the plugin protocol, for tests: starts a program, gives it events, hears its commands.

It knows nothing of what the program should do, and is not the server: it never drops, never replies by itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from typing import Any

# How long a test waits for what must happen. Only a failing one ever does.
PATIENCE_S = 20

HELLO = {
    "event": "hello",
    "protocol": 1,
    "server": "wsmaster 0.1.0",
    "name": "probe",
    "instance": 2,
    "instances": 3,
    "workers": 4,
    "events": ["handshake", "open", "message", "close", "request"],
    "tick_ms": 1000,
}

# The descriptors of the program; its shell moves them from numbers that are surely free to 3 and 4.
START = 'exec "$@" 3<&{events} 4>&{commands} {events}<&- {commands}>&-'
FREE_FD = 100


class Host:
    """One running program. As a context it is killed at the end, with what it has written to stderr shown."""

    def __init__(
        self,
        command: list[str],
        *,
        stdio: bool = False,
        sockets: bool = False,
        environment: dict[str, str] | None = None,
    ):
        theirs_in, self._events = _pair(sockets)
        self._commands, theirs_out = _pair(sockets)
        self._received = b""
        self.stderr = tempfile.TemporaryFile()
        variables = {
            **os.environ,
            "WSMASTER_PLUGIN_NAME": "probe",
            "WSMASTER_PLUGIN_INSTANCE": "2",
            "WSMASTER_PLUGIN_PROTOCOL": "1",
            "WSMASTER_PLUGIN_EVENTS_FD": "0" if stdio else "3",
            "WSMASTER_PLUGIN_COMMANDS_FD": "1" if stdio else "4",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        }
        if stdio:
            self.process = subprocess.Popen(
                command, stdin=theirs_in, stdout=theirs_out, stderr=self.stderr, env=variables
            )
        else:
            start = START.format(events=theirs_in, commands=theirs_out)
            self.process = subprocess.Popen(
                ["bash", "-c", start, "bash", *command],
                stdin=subprocess.DEVNULL,
                stdout=self.stderr,
                stderr=self.stderr,
                env=variables,
                pass_fds=(theirs_in, theirs_out),
            )
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.process.kill()
        self.process.wait()
        self.die()
        if kind is not None:
            print(f"--- output of {self.process.args}\n{self.output()}---")
        self.stderr.close()

    def greet(self, **changes: Any) -> dict:
        """Says hello and hears the answer, which must be `ready`."""
        self.say({**HELLO, **changes})
        ready = self.hear()
        assert ready["do"] == "ready" and ready["protocol"] == 1, ready
        return ready

    def say(self, *events: dict) -> None:
        """Gives events, as the server writes them: without blanks, `event` first."""
        self.feed("".join(_line(event) for event in events).encode())

    def message(self, text: str, connection: int = 7) -> None:
        self.say({"event": "message", "connection": connection, "text": text})

    def handshake(self, query: str, *subprotocols: str, path: str = "/chat", number: int = 1) -> None:
        """Asks whether a client may connect."""
        self.say(
            {
                "event": "handshake",
                "request": number,
                "connection": 7,
                **_facts(path, query),
                "subprotocols": list(subprotocols),
                "timeout_ms": 10000,
            }
        )

    def request(self, path: str, method: str = "GET", number: int = 1, **body: str) -> None:
        """Gives an HTTP request, with `text` or `binary` as its body."""
        facts = _facts(path, "")
        body = body or {"text": ""}
        self.say({"event": "request", "request": number, "method": method, **facts, **body, "timeout_ms": 10000})

    def open(self, path: str, query: str = "", connection: int = 7, **more: Any) -> None:
        """Tells of a client that has connected."""
        self.say({"event": "open", "connection": connection, **_facts(path, query), "time": 1760000000.5, **more})

    def close(self, connection: int = 7) -> None:
        self.say({"event": "close", "connection": connection, "code": 1000, "reason": "", "by": "peer"})

    def reply(self, command: dict, **fields: Any) -> None:
        self.say({"event": "reply", "id": command["id"], **fields})

    def feed(self, data: bytes) -> None:
        """Gives bytes as they are, all in one write where the kernel takes them."""
        while data:
            data = data[os.write(self._events, data) :]

    def hear(self) -> dict:
        """The next command."""
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._commands], [], [], max(0, left))
            assert ready, f"no command within {PATIENCE_S} s; so far {self._received!r}"
            data = os.read(self._commands, 1 << 20)
            assert data, "the program has closed its commands"
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        return json.loads(line)

    def expect(self, *commands: dict) -> None:
        """Hears exactly these commands, next and in this order."""
        for command in commands:
            heard = self.hear()
            assert heard == command, f"expected {command}\n   heard {heard}"

    def expect_log(self, *texts: str, level: str = "info") -> None:
        self.expect(*({"do": "log", "level": level, "text": text} for text in texts))

    def expect_silence(self, seconds: float = 0.3) -> None:
        ready, _, _ = select.select([self._commands], [], [], seconds)
        assert not ready and not self._received, f"unexpected: {self._received!r}"

    def expect_end(self, code: int = 0) -> None:
        """The program ends by itself with this exit code, and without another command."""
        assert self.process.wait(PATIENCE_S) == code, self.process.returncode
        rest = self._received + os.read(self._commands, 1 << 20)
        assert not rest, f"unexpected: {rest!r}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """No more events."""
        self._events = _closed(self._events)

    def refuse(self) -> None:
        """Takes no more commands."""
        self._commands = _closed(self._commands)

    def die(self) -> None:
        """Closes everything at once, as the kernel does when the server is killed."""
        self.hang_up()
        self.refuse()

    def output(self) -> str:
        """What the program has written besides its commands."""
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")


def _pair(sockets: bool) -> tuple[int, int]:
    """The end to read and the end to write, in numbers that no program expects."""
    if sockets:
        ends = [end.detach() for end in socket.socketpair()]
    else:
        ends = list(os.pipe())
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FREE_FD) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1


def _facts(path: str, query: str) -> dict:
    """What the server says of a request."""
    return {
        "worker": 0,
        "address": "127.0.0.1",
        "port": 5000,
        "target": f"{path}?{query}" if query else path,
        "path": path,
        "query": query,
        "headers": {"host": "here"},
    }


def _line(event: dict) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
