"""What the tests talk to: every handler and every command of the Python SDK. The same as probe.mjs and probe.php."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

from wsmaster import CommandFailed, Plugin

plugin = Plugin(reply_timeout_s=float(os.environ.get("PROBE_REPLY_TIMEOUT_S", "30")))
asks_at_stop = False
parts_at_length = False


@plugin.on_start
def start(hello):
    if plugin.name != "probe" or plugin.instance != 2 or plugin.hello["workers"] != hello["workers"]:
        plugin.log("wrong facts")


def handshake(event):
    if event["query"] == "accept":
        plugin.accept(event)
    elif event["query"] == "choose":
        reply = plugin.ask.accept(event, event["subprotocols"][1], headers={"X-One": "1", "X-Two": ["2", "3"]})
        plugin.log(f"accepted {reply.get('result', reply['success'])}".lower())
    elif event["query"] == "fail":
        raise ValueError("boom")
    elif event["query"] == "json":
        plugin.reject(event, 401, json={"who": "you"}, headers={"X-One": "1"})
    else:
        plugin.reject(event)


if "PROBE_OPEN_DOOR" not in os.environ:
    plugin.on_handshake(handshake)


@plugin.on_request
def request(event):
    if event["path"] == "/fail":
        raise ValueError("boom")
    if event["path"] == "/nothing":
        plugin.respond(event, 204)
    elif "binary" in event:
        plugin.respond(event, 201, binary=event["binary"][::-1], headers={"Content-Type": "image/png"})
    else:
        plugin.respond(event, text=event["method"] + " " + event["text"])


@plugin.on_open
def opened(event):
    plugin.log(f"open {event['connection']} {event['address']} {event['headers']['host']}")


@plugin.on_message
def message(event):
    connection = event["connection"]
    if "binary" in event:
        plugin.push(connection, binary=event["binary"][::-1])
    else:
        WORDS.get(event["text"], echo)(connection, event["text"])


def echo(connection, text):
    plugin.push(connection, text)


def kinds(connection, _):
    plugin.push(connection, json={"a": [1, 2.5, "ü/", None, True]})
    plugin.broadcast("to all")
    plugin.broadcast(binary=b"\x00\xff", exclude=connection)
    plugin.publish("chat.room.1", {"any": ["JSON"]})
    plugin.publish("chat.room.1", text="raw", exclude=connection)
    plugin.disconnect(connection)
    plugin.disconnect(connection, 4000, "enough")
    plugin.send("other", "to a process")
    plugin.send(0, binary=b"\x01")
    plugin.log("careful", "warn")


def ask(connection, _):
    plugin.log("asked " + plugin.ask.push(connection, "question")["result"])


def info(connection, _):
    try:
        known = plugin.info(connection)
        plugin.log("info " + ("none" if known is None else str(known["worker"])))
        plugin.log("exists " + json.dumps(plugin.exists(connection)))
    except CommandFailed as error:
        plugin.log(f"failed {error.reply['result']}")


def fail(_connection, _text):
    raise ValueError("boom")


def show(_connection, _text):
    print("printed")
    plugin.log("has printed")


def flood(connection, _):
    for number in range(2000):
        plugin.push(connection, f"{number} " + "x" * 4096)


def child(_connection, _text):
    # Not subprocess, which closes descriptors itself.
    plugin.log(f"child {os.system('test -e /dev/fd/3 || test -e /dev/fd/4') == 0}".lower())


def long(connection, _):
    plugin.push(connection, "x" * 2000)


def nothing(connection, _):
    plugin.push(connection)


def goodbye(_connection, _text):
    global asks_at_stop
    asks_at_stop = True


def part(_connection, _text):
    global parts_at_length
    parts_at_length = True


WORDS = {
    "kinds": kinds,
    "ask": ask,
    "info": info,
    "fail": fail,
    "print": show,
    "flood": flood,
    "child": child,
    "long": long,
    "nothing": nothing,
    "goodbye": goodbye,
    "part": part,
}


@plugin.on_close
def closed(event):
    plugin.log(f"close {event['connection']} {json.dumps(event['code'])} {event['by']}")


@plugin.on_tick
def tick(event):
    plugin.log(f"tick {event['number']}")


@plugin.on_process
def process(event):
    plugin.log(f"process {event['from']} {event['text']}")


@plugin.on("worker_error")
def worker_error(event):
    plugin.log(f"worker_error {event['how']}")


@plugin.on_stop
def stop(event):
    if asks_at_stop:
        plugin.log("goodbye to " + str(plugin.ask.broadcast("goodbye").get("delivered")))
    if parts_at_length:
        plugin.broadcast("x" * (1 << 20))
    plugin.log(f"stop {event['timeout_ms']}")


plugin.run()
