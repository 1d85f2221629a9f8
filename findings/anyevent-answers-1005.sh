#!/usr/bin/env bash
# AnyEvent::WebSocket::Client 0.54 (Debian 12): a server closes with 1001.
#
# The client answers with a close frame that carries the code 1005, which stands for "there was no code" and must never be sent
# (RFC 6455, 7.4.1). Its own `close_code` has the 1001. A server that checks codes takes the polite answer for a fault.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
debian_installed libanyevent-websocket-client-perl 0.54-1

cat >"$here/close.py" <<'PY'
from peer import CLOSE, Peer

client = Peer().meet()
client.send(CLOSE, b"\x03\xe9bye")
answer = client.receive_kind(CLOSE)
print("answered with", int.from_bytes(answer[:2], "big"), flush=True)
client.end()
PY
cat >"$here/client.pl" <<'PL'
use AnyEvent;
use AnyEvent::WebSocket::Client;
my $over = AnyEvent->condvar;
my $connection = AnyEvent::WebSocket::Client->new->connect("ws://127.0.0.1:$ARGV[0]/")->recv;
$connection->on(finish => sub { $over->send });
$over->recv;
print 'heard ', $connection->close_code, "\n";
PL
serve_peer "$here/close.py"
both() {
    perl "$here/client.pl" "$port"
    tail -n +2 "$here/server-0.out"
}
expected='heard 1001
answered with 1005'
expect both
