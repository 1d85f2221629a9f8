"""Answers every message with what the server says of an answer, with the file for Python."""

from wsmaster import Plugin

plugin = Plugin()


@plugin.on_message
def message(event):
    print("printed, and no command")
    what = event.get("text", f"{len(event.get('binary', b''))} bytes")
    reply = plugin.ask.push(event["connection"], "asked")
    plugin.push(event["connection"], f"{reply['result']}: {what}")


plugin.run()
