"""A live poll as an application of its own: everybody who is connected sees every vote.

    GET  /poll            the standing, as JSON
    POST /poll            one vote, its body is the option (from a form, a script, a terminal)
    ws://HOST/poll        the standing now and after every change; a text is the vote of this connection, and can change

A connection has one vote, which goes with it. What was voted by HTTP stays, also over a restart: it stands in POLL_FILE.

    [[route]]
    path = "/poll"
    app = "plugin:poll"

    [[process]]
    name = "poll"
    command = "python3"
    args = ["examples/plugins/python/poll.py"]
    env = { POLL_OPTIONS = "tea,coffee,water", POLL_FILE = "/var/lib/poll.json" }
    tick = "200ms"
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "clients" / "plugins" / "python"))

from wsmaster import Plugin

options = [option.strip() for option in os.environ.get("POLL_OPTIONS", "yes,no").split(",")]
file = pathlib.Path(os.environ.get("POLL_FILE", "poll.json"))

plugin = Plugin()
# Of each connection its vote, or None. Their order is the order in which they came.
voters: dict[int, "str | None"] = {}
by_http = dict.fromkeys(options, 0)
has_changed = False


def standing() -> dict:
    counts = dict(by_http)
    for vote in voters.values():
        if vote is not None:
            counts[vote] += 1
    return {"voters": len(voters), "votes": counts}


def keep() -> None:
    """Under another name first: whoever reads the file, a successor for example, sees a whole one."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(by_http))
    part.replace(file)


@plugin.on_start
def take_over(_hello):
    if file.exists():
        kept = json.loads(file.read_text())
        by_http.update({option: count for option, count in kept.items() if option in by_http})


@plugin.on_open
def opened(event):
    # Also of those who were here before this process was: their vote is forgotten, and they are told the standing.
    global has_changed
    voters[event["connection"]] = None
    has_changed = True
    plugin.push(event["connection"], json={"options": options, **standing()})


@plugin.on_message
def vote(event):
    global has_changed
    option = event.get("text")
    if option not in by_http:
        plugin.push(event["connection"], json={"error": "vote for one of the options", "options": options})
    elif voters.get(event["connection"]) != option:
        voters[event["connection"]] = option
        has_changed = True


@plugin.on_close
def closed(event):
    global has_changed
    voters.pop(event["connection"], None)
    has_changed = True


@plugin.on_tick
def tell(_event):
    """However fast the votes come, everybody gets five standings a second at most."""
    global has_changed
    if not has_changed:
        return
    has_changed = False
    text = json.dumps(standing())
    for connection in voters:
        plugin.push(connection, text)


@plugin.on_request
def request(event):
    global has_changed
    if event["method"] in ("GET", "HEAD"):
        plugin.respond(event, json=standing(), headers={"Cache-Control": "no-store"})
    elif event["method"] != "POST":
        plugin.respond(event, 405, headers={"Allow": "GET, HEAD, POST"})
    elif event.get("text", "").strip() in by_http:
        by_http[event["text"].strip()] += 1
        keep()
        has_changed = True
        plugin.respond(event, 201, json=standing())
    else:
        plugin.respond(event, 400, json={"error": "vote for one of the options", "options": options})


plugin.run()
