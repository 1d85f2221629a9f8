"""A side process that does what a test tells it, and writes down every line that the server tells it.

Lines that the test writes into the FIFO NAME.INSTANCE.orders go to the server as they are, but for those that begin
with `#`, see `obey`. What the server says is in NAME.INSTANCE.events. Both are in the working directory, or in PUPPET_HOME.

With PUPPET_APP it is an application as well, see `serve`.
"""

import json
import os
import select
import signal
import subprocess
import sys

HOME = os.environ.get("PUPPET_HOME", ".")
STEM = f"{HOME}/{os.environ['WSMASTER_PLUGIN_NAME']}.{os.environ['WSMASTER_PLUGIN_INSTANCE']}"
EVENTS = int(os.environ["WSMASTER_PLUGIN_EVENTS_FD"])
COMMANDS = int(os.environ["WSMASTER_PLUGIN_COMMANDS_FD"])
PIECE = b"x" * 65536


def write(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]


class Puppet:
    def __init__(self):
        if not os.path.exists(STEM + ".orders"):
            os.mkfifo(STEM + ".orders")
        # Open for both directions: it never ends, whoever writes into it comes and goes.
        self.orders = os.open(STEM + ".orders", os.O_RDWR)
        self.diary = os.open(STEM + ".events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.is_deaf = False
        self.is_stubborn = False
        self.leavings = b""

    def obey(self, order):
        if not order.startswith(b"#"):
            write(COMMANDS, order + b"\n")
            return
        word, _, rest = order.decode().partition(" ")
        if word == "#deaf":  # reads no events until #hear
            self.is_deaf = True
        elif word == "#hear":
            self.is_deaf = False
        elif word == "#stubborn":  # ends neither when it is told to nor of SIGTERM
            self.is_stubborn = True
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif word == "#exit":
            os._exit(int(rest))
        elif word == "#start":  # starts a program of its own, and leaves it alone
            subprocess.Popen(rest, shell=True)
        elif word == "#long":  # so many bytes of commands, without an end of line
            for _ in range(int(rest) // len(PIECE)):
                write(COMMANDS, PIECE)
        elif word == "#flood":  # so many bytes of lines on stdout, and as many on stderr
            lines = (b"y" * 127 + b"\n") * 512
            for _ in range(int(rest) // len(lines)):
                write(1, lines)
                write(2, lines)
        else:
            sys.exit(f"no such order: {word}")

    def serve(self, event):
        """Echoes messages, and answers handshakes and requests as their query or path says."""
        instance, number = os.environ["WSMASTER_PLUGIN_INSTANCE"], event.get("request")
        if event["event"] == "message":
            if "text" in event:
                answer = {"text": f"{instance} {event['text']}"}
            else:
                answer = {"binary": event["binary"]}
            answer = {"do": "push", "connection": event["connection"], **answer}
        elif event["event"] == "handshake":
            answer = {
                "accept": {"do": "accept"},
                "choose": {"do": "accept", "subprotocol": "b", "headers": {"X-Hall": "7"}},
                "foreign": {"do": "accept", "subprotocol": "z"},
                "reject": {"do": "reject", "status": 401, "headers": {"X-Why": "no"}, "text": "not you"},
            }.get(event["query"])
            if event["query"] in ("greet", "pass"):
                # In one write, as a program does whose output is buffered.
                to = {"connection": event["connection"]}
                commands = [
                    {"do": "accept", "request": number},
                    {"do": "push", **to, "text": "first"},
                    {"do": "push", **to, "text": "second " + "x" * 40_000},
                ]
                if event["query"] == "pass":
                    commands += [{"do": "broadcast", "text": "third"}, {"do": "disconnect", **to, "code": 4001}]
                write(COMMANDS, "".join(json.dumps(command) + "\n" for command in commands).encode())
        elif event["event"] == "request":
            body = event.get("text", event.get("binary"))
            told = f"{instance} {event['method']} {event['target']} {body}"
            answer = {
                "/p/echo": {"do": "respond", "text": told},
                "/p/binary": {"do": "respond", "status": 203, "binary": "AP8=", "headers": {"Content-Type": "x/y"}},
                "/p/large": {"do": "respond", "text": "l" * 5_000_000},
                "/p/many": {"do": "respond", "status": 204, "headers": {"Set-Cookie": ["a=1", "b=2"]}},
                "/other": {"do": "respond", "text": "found"},
            }.get(event["path"])
        else:
            return
        if answer is not None:
            if number is not None:
                answer["request"] = number
            write(COMMANDS, json.dumps(answer).encode() + b"\n")

    def take(self, line):
        write(self.diary, line + b"\n")
        if line.startswith(b'{"event":"hello"') and not os.path.exists(STEM + ".mute"):
            write(COMMANDS, b'{"do":"ready","protocol":1}\n')
        if "PUPPET_APP" in os.environ:
            self.serve(json.loads(line))
        if line.startswith(b'{"event":"stop"') and not self.is_stubborn:
            os._exit(int(os.environ.get("PUPPET_EXIT", "0")))

    def run(self):
        orders = b""
        while True:
            wanted = [self.orders] + ([] if self.is_deaf else [EVENTS])
            readable, _, _ = select.select(wanted, [], [])
            if EVENTS in readable:
                data = os.read(EVENTS, 65536)
                if not data:
                    os._exit(0)
                *lines, self.leavings = (self.leavings + data).split(b"\n")
                for line in lines:
                    self.take(line)
            if self.orders in readable:
                *lines, orders = (orders + os.read(self.orders, 65536)).split(b"\n")
                for line in lines:
                    self.obey(line)


Puppet().run()
