"""The other side of a WebSocket, written out by hand, for findings about clients.

`Peer()` listens on 127.0.0.1 and prints its port as the first line; `meet()` takes one client and answers its handshake.
"""

import base64
import hashlib
import socket

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Peer:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        print(self.listener.getsockname()[1], flush=True)

    def meet(self, *headers, patience=10):
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(patience)
        self.reader = self.socket.makefile("rb")
        key = b""
        while line := self.reader.readline().strip():
            if line.lower().startswith(b"sec-websocket-key:"):
                key = line.split(b":", 1)[1].strip()
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest).decode()
        head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        self.socket.sendall("\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", *headers, "", ""]).encode())
        return self

    def send(self, opcode, payload=b""):
        assert len(payload) < 126
        self.socket.sendall(bytes([0x80 | opcode, len(payload)]) + payload)

    def receive(self):
        """The first byte and the payload of the next frame; `None` when there is none before the end."""
        head = self.reader.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(self.reader.read(2 if length == 126 else 8), "big")
        mask = self.reader.read(4) if head[1] & 128 else bytes(4)
        payload = self.reader.read(length)
        return head[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def receive_kind(self, opcode):
        """The payload of the next frame of this kind, whatever comes before it."""
        while frame := self.receive():
            if frame[0] & 15 == opcode:
                return frame[1]
        return None

    def end(self):
        """Ends the connection: a reader that is open would keep the descriptor."""
        self.reader.close()
        self.socket.close()
