"""A side process of wsmaster in Python (3.9 or newer): plugin protocol 1 in one file, without dependencies.

Owns the two descriptors to the server: reads events, calls your handlers one after the other, writes commands.
It starts no thread, opens no socket and keeps no state about connections. The protocol is in docs/plugins.md.

    from wsmaster import Plugin

    plugin = Plugin()

    @plugin.on_message
    def echo(event):
        plugin.push(event["connection"], "you said " + event.get("text", "something binary"))

    plugin.run()

An event is the dictionary of the protocol; only `binary`, where it has one, is already `bytes`.

Commands are sent and forgotten, from any thread. The same methods of `plugin.ask` wait for the reply and return it as
a dictionary, only in the thread of run(). Events that come in meanwhile wait in memory and are handled afterwards.

Without the environment that the server gives, events come from stdin and commands go to stdout: a program can be
tried by typing the server's lines. What a program prints never mixes with its commands.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import json as jsonlib
import math
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, Callable

PROTOCOL = 1

# The longest command line where the server does not say another (`line_bytes_max` of its hello).
LINE_BYTES_MAX = 16 * 1024 * 1024
# How long after SIGTERM the program goes on reading: the server's `stop` may stand behind other events.
QUIT_GRACE_S = 1.0

READ_BYTES = 64 * 1024
# Of what a handler has raised, how much goes to the log: it may quote a whole message.
REPORT_CHARS_MAX = 1000

# An event, a command or a reply: an object of JSON.
Fields = dict[str, Any]
Handler = Callable[[Fields], Any]


class CommandFailed(Exception):
    """A question to the server was not answered. `reply` is what came instead, with `result` and `error`."""

    def __init__(self, reply: Fields):
        super().__init__(f"{reply.get('result')}: {reply.get('error', '')}")
        self.reply = reply


class Commands:
    """The commands of the protocol, and what becomes of them: `do` sends one and gives what there is to return.

    A message is exactly one of `text` (str), `json` (any value that JSON has) and `binary` (bytes). `None` is "not
    given": to send JSON's null, send the text "null".
    """

    def __init__(self, do: Callable[[Fields], Fields | None]):
        self._do = do

    def push(
        self, connection: int, text: str | None = None, *, json: Any = None, binary: bytes | None = None
    ) -> Fields | None:
        """Sends one message to one connection. The reply's `result` says `delivered`, or why it was not."""
        return self._do({"do": "push", "connection": connection, **_body(text=text, json=json, binary=binary)})

    def broadcast(
        self,
        text: str | None = None,
        *,
        json: Any = None,
        binary: bytes | None = None,
        exclude: int | None = None,
        to: str | None = None,
    ) -> Fields | None:
        """Sends one message to every connection of this program but `exclude`; `to="all"`: of the whole server.

        A program that is no application has none of its own, and means all. The reply counts `delivered` and `dropped`.
        """
        body = _body(text=text, json=json, binary=binary)
        return self._do({"do": "broadcast", **body, **_given(exclude=exclude, to=to)})

    def publish(
        self,
        channel: str,
        message: Any = None,
        *,
        text: str | None = None,
        json: Any = None,
        binary: bytes | None = None,
        exclude: int | None = None,
    ) -> Fields | None:
        """Sends to every subscriber of a channel but `exclude`. The reply counts `delivered` and `dropped`.

        `message` is any JSON value and arrives as a message of the channel protocol; `text`, `json` and `binary`
        arrive as they are.
        """
        body = _body(message=message, text=text, json=json, binary=binary)
        return self._do({"do": "publish", "channel": channel, **body, **_given(exclude=exclude)})

    def disconnect(self, connection: int, code: int | None = None, reason: str | None = None) -> Fields | None:
        """Closes one connection, with 1000 unless `code` says otherwise; `reason` has at most 123 bytes."""
        return self._do({"do": "disconnect", "connection": connection, **_given(code=code, reason=reason)})

    def accept(
        self, event: Fields, subprotocol: str | None = None, *, headers: Fields | None = None
    ) -> Fields | None:
        """Lets the client of a `handshake` become a WebSocket. `subprotocol` is one of those that it offers."""
        given = _given(subprotocol=subprotocol, headers=headers)
        return self._do({"do": "accept", "request": event["request"], **given})

    def reject(
        self,
        event: Fields,
        status: int = 403,
        text: str | None = None,
        *,
        json: Any = None,
        binary: bytes | None = None,
        headers: Fields | None = None,
    ) -> Fields | None:
        """Answers a `handshake` with an HTTP status and a body, if one is given, instead of a WebSocket."""
        return self._do(_response("reject", event, status, headers, text=text, json=json, binary=binary))

    def respond(
        self,
        event: Fields,
        status: int = 200,
        text: str | None = None,
        *,
        json: Any = None,
        binary: bytes | None = None,
        headers: Fields | None = None,
    ) -> Fields | None:
        """Answers a `request`. A header whose value is a list is sent once for each element."""
        return self._do(_response("respond", event, status, headers, text=text, json=json, binary=binary))

    def send(self, to: str | int, text: str | None = None, *, binary: bytes | None = None) -> Fields | None:
        """Sends to another process: a side process by its name, a worker by its number."""
        target = {"process": to} if isinstance(to, str) else {"worker": to}
        return self._do({"do": "send", **target, **_body(text=text, binary=binary)})


class Plugin(Commands):
    """This program as the server sees it. Make one, register handlers, call run()."""

    def __init__(self, reply_timeout_s: float = 30.0):
        """Takes the descriptors to the server. `reply_timeout_s` is how long `ask` waits for a reply at most."""
        super().__init__(self._write)
        self.ask = Commands(self._ask)
        self.name = os.environ.get("WSMASTER_PLUGIN_NAME", "")
        """The name of this process in the configuration."""
        self.instance = int(os.environ.get("WSMASTER_PLUGIN_INSTANCE", "0"))
        """Which of `instances` this one is, from 0."""
        self.hello: Fields = {}
        """What the server said of itself. Empty before run()."""
        self._reply_timeout_s = reply_timeout_s
        self._events_fd, self._commands_fd = _descriptors()
        self._handlers: dict[str, Handler] = {}
        self._lines = _Lines()
        self._arrived: collections.deque[Fields] = collections.deque()
        self._serial = 0
        self._awaited: int | None = None
        self._reply: Fields | None = None
        self._is_ended = False  # Whether the last event has come.
        self._quit_at = math.inf
        self._thread: int | None = None
        self._writing = threading.Lock()

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Makes a decorator that registers the one handler of an event, by its name in the protocol."""

        def register(handler: Handler) -> Handler:
            if event in self._handlers:
                raise ValueError(f"{event} has a handler already")
            self._handlers[event] = handler
            return handler

        return register

    def on_start(self, handler: Handler) -> Handler:
        """Calls `handler(hello)` once, when the server has been told that this program is ready."""
        return self.on("hello")(handler)

    def on_handshake(self, handler: Handler) -> Handler:
        """Calls `handler(event)` when a client of this application asks to become a WebSocket: accept() or reject()."""
        return self.on("handshake")(handler)

    def on_request(self, handler: Handler) -> Handler:
        """Calls `handler(event)` for each HTTP request: respond(), now or later. Its body is `text` or `binary`."""
        return self.on("request")(handler)

    def on_open(self, handler: Handler) -> Handler:
        """Calls `handler(event)` when a client has connected; with `again` if that was in an earlier life of this."""
        return self.on("open")(handler)

    def on_message(self, handler: Handler) -> Handler:
        """Calls `handler(event)` for each message of a client: it has either `text` or `binary`."""
        return self.on("message")(handler)

    def on_close(self, handler: Handler) -> Handler:
        """Calls `handler(event)` when a connection has ended, whoever ended it."""
        return self.on("close")(handler)

    def on_tick(self, handler: Handler) -> Handler:
        """Calls `handler(event)` every `tick` of the configuration."""
        return self.on("tick")(handler)

    def on_process(self, handler: Handler) -> Handler:
        """Calls `handler(event)` for each message of another process: it has either `text` or `binary`."""
        return self.on("process")(handler)

    def on_stop(self, handler: Handler) -> Handler:
        """Calls `handler(event)` once, last of all. `timeout_ms` is what the server allows, 0 if it did not ask."""
        return self.on("stop")(handler)

    def info(self, connection: int) -> Fields | None:
        """Everything the server tells of a connection, None if there is none. Raises CommandFailed without answer."""
        reply = self._ask({"do": "info", "connection": connection})
        if reply.get("result") == "no_such_connection":
            return None
        known: Fields = _answer(reply)["info"]
        return known

    def exists(self, connection: int) -> bool:
        """Whether a connection is open. Raises CommandFailed without answer."""
        return bool(_answer(self._ask({"do": "exists", "connection": connection}))["exists"])

    def log(self, text: str, level: str = "info") -> None:
        """Writes to the server's log. `level` is error, warn, info, debug or trace."""
        # A name of a file may hold what is not Unicode, and a report must not fail for that.
        text = text.encode(errors="backslashreplace").decode()
        self._write({"do": "log", "level": level, "text": text})

    def run(self) -> None:
        """Serves until the server says stop, goes away, or SIGTERM or SIGINT comes; then returns.

        A handler that raises is logged, and the next event is handled.
        """
        self._thread = threading.get_ident()
        self._handlers.setdefault("dropped", self._tell_dropped)
        with _Wake() as wake:
            self._wake = wake
            for event in self._events():
                if event["event"] == "hello":
                    self._greet(event)
                self._call(event)
                if event["event"] == "stop":
                    return

    def _events(self) -> Iterator[Fields]:
        """The events in the order of the server. The last one is `stop`, made up if the server has not sent it."""
        while time.monotonic() < self._quit_at:
            if self._arrived:
                yield self._arrived.popleft()
            elif self._is_ended:
                break
            else:
                self._read(self._quit_at)
        yield {"event": "stop", "timeout_ms": 0}

    def _greet(self, hello: Fields) -> None:
        """Answers the first line, and asks for those events only that have a handler."""
        if hello.get("protocol") != PROTOCOL:
            sys.exit(f"wsmaster.py speaks plugin protocol {PROTOCOL}, the server {hello.get('protocol')}")
        self.hello = hello
        offered = hello.get("events", [])
        wanted = [name for name in offered if name in self._handlers]
        # The server compares this with its configuration: nobody comes in past a handler of handshakes that is not asked.
        handles = [name for name in self._handlers if name != "hello"]
        self._write({"do": "ready", "protocol": PROTOCOL, "events": wanted, "handles": handles})
        for name in ("request", "open", "message", "close"):
            if name in self._handlers and name not in offered:
                self.log(f"on_{name} is never called: `events` of the configuration is without {name}", "warn")
        if "tick" in self._handlers and not hello.get("tick_ms"):
            self.log("on_tick is never called: the configuration has no `tick`", "warn")

    def _call(self, event: Fields) -> None:
        handler = self._handlers.get(event["event"])
        if handler is None:
            return
        try:
            handler(event)
        except Exception as error:  # Whatever it is: it concerns this event, and the next one is another.
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            traceback.print_exc()
            what = f"{type(error).__name__}: {error}"[:REPORT_CHARS_MAX]
            self.log(f"handler of {event['event']}: {what} ({place})", "error")
            if "request" in event:
                # If it was answered before, this is passed over.
                self.respond(event, 500, "the application made a mistake")

    def _tell_dropped(self, event: Fields) -> None:
        self.log(f"{event['count']} events were lost: this program reads too slowly", "warn")

    def _ask(self, command: Fields) -> Fields:
        """Sends a command and reads on until its reply is there."""
        if self._thread != threading.get_ident():
            raise RuntimeError("only handlers can wait for a reply, in the thread of run()")
        self._serial += 1
        self._awaited, self._reply = self._serial, None
        self._write({**command, "id": self._serial})
        deadline = time.monotonic() + self._reply_timeout_s
        while self._reply is None and not self._is_ended and time.monotonic() < deadline:
            self._read(deadline)
        self._awaited = None
        return self._reply or {"success": False, "result": "unanswered", "error": "the server did not reply"}

    def _write(self, command: Fields) -> None:
        """Writes one line, and waits while the server does not take it. A server that is gone takes everything."""
        if not self.hello:
            raise RuntimeError("commands can be sent once run() has called the first handler")
        line = jsonlib.dumps(command, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        limit = self.hello.get("line_bytes_max", LINE_BYTES_MAX)
        if len(line) > limit:
            raise ValueError(f"a command of {len(line)} bytes; the server takes {limit}")
        with self._writing:
            rest = memoryview(line)
            try:
                while rest:
                    rest = rest[os.write(self._commands_fd, rest) :]
            except BrokenPipeError:
                self._is_ended = True

    def _read(self, deadline: float) -> None:
        """Waits for the server or for a signal, at most until `deadline`, and takes in what there is."""
        ready = self._wake.wait(self._events_fd, deadline)
        if self._wake.has_rung(ready):
            self._quit_at = min(self._quit_at, time.monotonic() + QUIT_GRACE_S)
        if self._events_fd not in ready:
            return
        try:
            data = os.read(self._events_fd, READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self._is_ended = True
        for line in self._lines.feed(data):
            self._take(line)

    def _take(self, line: bytes) -> None:
        """Sorts one line: the awaited reply, or an event for later."""
        try:
            event = jsonlib.loads(line)
            name = event["event"]
            if "binary" in event:
                event["binary"] = base64.b64decode(event["binary"], validate=True)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            print(f"not a line of the plugin protocol: {error}", file=sys.stderr)
            return
        if name != "reply":
            self._arrived.append(event)
        elif event.get("id") is None:
            print(f"a command was refused: {event.get('error')}", file=sys.stderr)
        elif event["id"] == self._awaited:
            self._reply = {key: value for key, value in event.items() if key not in ("event", "id")}


class _Lines:
    """Cuts a stream of bytes into lines and keeps the last one until it is whole. Never copies a byte twice."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        first, *others = data.split(b"\n")
        self._parts.append(first)
        if not others:
            return []
        whole = [b"".join(self._parts), *others[:-1]]
        self._parts = [others[-1]]
        return whole


class _Wake:
    """Waits for a descriptor, and is woken by SIGTERM and SIGINT, which Python otherwise waits through."""

    def __enter__(self) -> _Wake:
        self._inner, self._outer = os.pipe()
        os.set_blocking(self._inner, False)
        os.set_blocking(self._outer, False)
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ring)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._inner)
        os.close(self._outer)

    def _ring(self, *_: Any) -> None:
        # When it is full of rings, one more says nothing new.
        with contextlib.suppress(BlockingIOError):
            os.write(self._outer, b"!")

    def wait(self, fd: int, deadline: float) -> set[int]:
        """Which of the two can be read, `fd` or the ring, when `deadline` of the monotonic clock has not come first."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._inner, select.POLLIN)
        left = deadline - time.monotonic()
        timeout_ms = None if left == math.inf else max(0, math.ceil(left * 1000))
        return {ready for ready, _ in poll.poll(timeout_ms)}

    def has_rung(self, ready: set[int]) -> bool:
        return self._inner in ready and bool(os.read(self._inner, READ_BYTES))


def _descriptors() -> tuple[int, int]:
    """Where events come from and commands go to: as the server says, or stdin and stdout."""
    events = int(os.environ.get("WSMASTER_PLUGIN_EVENTS_FD", "0"))
    commands = int(os.environ.get("WSMASTER_PLUGIN_COMMANDS_FD", "1"))
    if commands == 1:
        # print() would write into the commands: they get another descriptor, and stdout becomes stderr.
        commands = os.dup(1)
        os.dup2(2, 1)
    for fd in (events, commands):
        # What this program starts must not hold the line open.
        os.set_inheritable(fd, False)
        os.set_blocking(fd, True)
    return events, commands


def _given(**fields: Any) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _body(**fields: Any) -> Fields:
    body = _given(**fields)
    if len(body) != 1:
        raise TypeError(f"a message is exactly one of {', '.join(fields)}")
    if "binary" in body:
        body["binary"] = base64.b64encode(body["binary"]).decode()
    return body


def _response(verb: str, event: Fields, status: int, headers: Fields | None, **fields: Any) -> Fields:
    body = _body(**fields) if _given(**fields) else {}
    return {"do": verb, "request": event["request"], "status": status, **_given(headers=headers), **body}


def _answer(reply: Fields) -> Fields:
    if not reply["success"]:
        raise CommandFailed(reply)
    return reply
