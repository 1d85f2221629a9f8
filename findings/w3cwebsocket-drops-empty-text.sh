#!/usr/bin/env bash
# websocket 1.0.35 (npm) as a client: an empty text between two others, with each of the package's two interfaces.
#
# The one with events of its own shows three messages. `w3cwebsocket`, the one with the interface of browsers, never fires
# `message` for the empty text, where a browser does (RFC 6455 allows payloads of no bytes). An empty binary message comes.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages websocket@1.0.35

cat >"$here/three.py" <<'PY'
from peer import CLOSE, TEXT, Peer

server = Peer()
for _ in range(2):
    client = server.meet()
    for text in (b"one", b"", b"three"):
        client.send(TEXT, text)
    client.send(2)
    client.send(CLOSE, b"\x03\xe8")
    client.receive()
    client.end()
PY
cat >"$here/both.js" <<'JS'
const { w3cwebsocket: W3C, client: Client } = require('websocket');
const url = `ws://127.0.0.1:${process.argv[2]}/`;
const shown = (data) => (typeof data === 'string' ? JSON.stringify(data) : `${data.byteLength} bytes`);
const seen = [];
const first = new W3C(url);
first.onmessage = ({ data }) => seen.push(shown(data));
first.onclose = () => {
  console.log('w3cwebsocket:', seen.splice(0).join(', '));
  const second = new Client();
  second.on('connect', (connection) => {
    connection.on('message', ({ utf8Data, binaryData }) => seen.push(shown(utf8Data ?? binaryData)));
    connection.on('close', () => console.log('client:', seen.join(', ')));
  });
  second.connect(url);
};
JS
serve_peer "$here/three.py"
expected='w3cwebsocket: "one", "three", 0 bytes
client: "one", "", "three", 0 bytes'
expect node "$here/both.js" "$port"
