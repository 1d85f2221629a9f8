"""Sends a handshake as it is given to a server on 127.0.0.1 and prints the status; with `--text` also the first message.

usage: handshake.py PORT [--text] [--target TARGET] [NAME: VALUE ...]    headers stand in the place of those of the same name
"""

import socket
import sys

port, arguments = int(sys.argv[1]), sys.argv[2:]
wants_text = "--text" in arguments
target = arguments[arguments.index("--target") + 1] if "--target" in arguments else "/"
own = [argument for argument in arguments if ": " in argument]
names = {header.split(":")[0].lower() for header in own}
usual = [
    f"Host: 127.0.0.1:{port}",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]
headers = [header for header in usual if header.split(":")[0].lower() not in names] + own
with socket.create_connection(("127.0.0.1", port), 5) as server:
    server.settimeout(5)
    server.sendall("\r\n".join([f"GET {target} HTTP/1.1", *headers, "", ""]).encode())
    reader = server.makefile("rb")
    words = reader.readline().decode("latin-1").split(" ", 2)
    status = words[1] if len(words) > 1 else "no answer"
    while reader.readline().strip():
        pass
    if wants_text and status == "101":
        # A short text without a mask.
        length = reader.read(2)[1]
        print(status, repr(reader.read(length).decode()))
    else:
        print(status)
