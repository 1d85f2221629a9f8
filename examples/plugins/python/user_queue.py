"""Pushes what other programs leave in SPOOL/USER_ID/*.json to the connections of that user, and keeps it until then.

A client says whose it is: {"event":"CONNECT","data":{"user_id":500}}. Any program queues a message for user 500 by
writing SPOOL/500/NAME.json, under another ending first and then renamed, so that nobody reads half of it. Names are
the order: begin them with the time. A file is deleted when one connection of the user has it (at least once, that is);
what is no JSON becomes NAME.json.bad.

This believes every client its user id. In your program let `data` hold what you can check, like a signed token.

    [[process]]
    name = "queue"
    command = "python3"
    args = ["examples/plugins/python/user_queue.py"]
    env = { QUEUE_SPOOL = "/var/spool/messages" }
    events = ["message", "close"]
    tick = "200ms"

That is beside the channel application, or any other. To be the application itself it needs nothing but one line more:
`app = "plugin:queue"` in [server], or in a [[route]].
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "clients" / "plugins" / "python"))

from wsmaster import CommandFailed, Plugin

FILE_BYTES_MAX = 1024 * 1024
# Of one user in one tick: the events of all others wait meanwhile.
FILES_PER_TICK_MAX = 20
USER_ID_MAX = 2**63 - 1

spool = pathlib.Path(os.environ.get("QUEUE_SPOOL", "spool"))
# Whose a connection is stands in a file too: a successor of this process has to know, and clients say it only once.
# Ids of connections are never used again, so that an old file can be useless but never wrong.
book = spool / "connections"
book.mkdir(parents=True, exist_ok=True)

plugin = Plugin()
user_of: dict[int, int] = {}
connections_of: dict[int, set[int]] = {}


def bind(connection: int, user: int) -> None:
    unbind(connection)
    (book / str(connection)).write_text(str(user))
    user_of[connection] = user
    connections_of.setdefault(user, set()).add(connection)


def unbind(connection: int) -> None:
    (book / str(connection)).unlink(missing_ok=True)
    user = user_of.pop(connection, None)
    if user is not None:
        connections_of[user].discard(connection)
        if not connections_of[user]:
            del connections_of[user]


@plugin.on_start
def take_over(_hello):
    """Takes up the connections of a predecessor, as far as they are still open."""
    for entry in list(book.iterdir()):
        user = entry.read_text()
        if entry.name.isdecimal() and user.isdecimal():
            bind(int(entry.name), int(user))
        else:
            entry.unlink()
    forget_the_closed()


@plugin.on("dropped")
def dropped(event):
    plugin.log(f"{event['count']} events were lost", "warn")
    forget_the_closed()


def forget_the_closed() -> None:
    for connection in list(user_of):
        try:
            if not plugin.exists(connection):
                unbind(connection)
        except CommandFailed:
            pass  # Nobody knows now. The next push will tell.


@plugin.on_message
def message(event):
    try:
        request = json.loads(event.get("text", ""))
        if request["event"] != "CONNECT":
            return
        user = request["data"]["user_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return  # It is for somebody else.
    if type(user) is not int or not 0 < user <= USER_ID_MAX:
        plugin.push(event["connection"], json={"event": "ERROR", "data": {"message": "user_id is a positive integer"}})
        return
    bind(event["connection"], user)
    plugin.push(event["connection"], json={"event": "CONNECTED", "data": {"user_id": user}})


@plugin.on_close
def close(event):
    if event["connection"] in user_of:
        unbind(event["connection"])


@plugin.on_tick
def deliver(_event):
    for directory in list(spool.iterdir()):
        user = int(directory.name) if directory.name.isdecimal() else None
        if user not in connections_of:
            continue
        for file in sorted(directory.glob("*.json"))[:FILES_PER_TICK_MAX]:
            # What could not be delivered keeps its place before the others.
            if not deliver_file(file, user):
                break


def deliver_file(file: pathlib.Path, user: int) -> bool:
    """Whether this file is done with."""
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"more than {FILE_BYTES_MAX} bytes")
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        plugin.log(f"{file}: {error}", "warn")
        file.rename(file.with_name(file.name + ".bad"))
        return True
    delivered = 0
    for connection in list(connections_of.get(user, ())):
        result = plugin.ask.push(connection, json=content)["result"]
        if result == "delivered":
            delivered += 1
        elif result == "no_such_connection":
            unbind(connection)
        else:
            plugin.log(f"{file}: connection {connection}: {result}", "warn")
    if delivered:
        file.unlink()
    return delivered > 0


plugin.run()
