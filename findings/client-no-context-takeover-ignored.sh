#!/usr/bin/env bash
# permessage-deflate: a server's answer with `client_no_context_takeover`, after which a client must begin each message with an
# empty window (RFC 7692, 7.1.1.2). tornado 6.6.1 and websockets 17.4 (PyPI), Mojolicious 9.31 (Debian 12), as clients that send the same
# text twice.
#
# websockets obeys: the second message can be read alone. tornado and Mojolicious refer to the first message in the second, which a
# server that keeps no window cannot read. Neither offers the parameter; a server may answer it all the same.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
debian_packages libmojolicious-perl=9.31+dfsg-1
python_packages tornado==6.6.1 websockets==17.4

cat >"$here/judge.py" <<'PY'
import zlib

from peer import Peer

server = Peer()
for name in ("tornado", "Mojolicious", "websockets"):
    client = server.meet("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
    client.receive()
    second = client.receive()[1] + b"\0\0\xff\xff"
    try:
        alone = zlib.decompressobj(-15).decompress(second) == b"the same text, twice and thrice"
    except zlib.error:
        alone = False
    print(f"{name}: the second message {'stands alone' if alone else 'needs the first'}", flush=True)
    client.end()
PY
cat >"$here/tornado_client.py" <<'PY'
import asyncio
import sys

from tornado.websocket import websocket_connect


async def main():
    socket = await websocket_connect(f"ws://127.0.0.1:{sys.argv[1]}/", compression_options={})
    for _ in range(2):
        await socket.write_message("the same text, twice and thrice")
    await socket.read_message()


asyncio.run(main())
PY
cat >"$here/websockets_client.py" <<'PY'
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

with connect(f"ws://127.0.0.1:{sys.argv[1]}/", proxy=None) as socket:
    try:
        for _ in range(2):
            socket.send("the same text, twice and thrice")
        socket.recv()
    except ConnectionClosed:
        pass
PY
cat >"$here/mojo.pl" <<'PL'
use Mojo::UserAgent;
my $agent = Mojo::UserAgent->new;
my $tx = $agent->build_websocket_tx("ws://127.0.0.1:$ARGV[0]/");
$tx->req->headers->header('Sec-WebSocket-Extensions' => 'permessage-deflate');
$agent->start($tx => sub {
    my ($agent, $tx) = @_;
    $tx->on(finish => sub { Mojo::IOLoop->stop });
    $tx->send({ text => 'the same text, twice and thrice' }) for 1, 2;
});
Mojo::IOLoop->start;
PL
serve_peer "$here/judge.py"
all() {
    "$here/venv/bin/python" "$here/tornado_client.py" "$port"
    perl -I"$here/root/usr/share/perl5" "$here/mojo.pl" "$port"
    "$here/venv/bin/python" "$here/websockets_client.py" "$port"
    tail -n +2 "$here/server-0.out"
}
expected='tornado: the second message needs the first
Mojolicious: the second message needs the first
websockets: the second message stands alone'
expect all
