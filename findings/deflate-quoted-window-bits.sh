#!/usr/bin/env bash
# permessage-deflate: a parameter in quotes, `server_max_window_bits="10"`, means what it means without them (RFC 6455, 9.1: a
# value is a token or a quoted string). websockets 17.4, wsproto 1.3.2, aiohttp 3.14.5 (PyPI), as servers.
#
# websockets reads it; wsproto raises ValueError out of its handshake; aiohttp goes on without compression, and does so too where
# a blank stands before the comma between two extensions.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages websockets==17.4 wsproto==1.3.2 aiohttp==3.14.5

cat >"$here/offers.py" <<'PY'
from aiohttp._websocket.helpers import ws_ext_parse
from websockets.headers import parse_extension
from wsproto.extensions import PerMessageDeflate


def told(read, offer):
    try:
        return read(offer)
    except ValueError as error:
        return f"ValueError: {error}"


QUOTED = 'permessage-deflate; server_max_window_bits="10"'
print("websockets:", told(parse_extension, QUOTED))
print("wsproto:", told(PerMessageDeflate().accept, QUOTED))
for offer in (QUOTED, QUOTED.replace('"', ""), "permessage-deflate ,x-other", "permessage-deflate,x-other"):
    bits, _ = ws_ext_parse(offer, isserver=True)
    print(f"aiohttp, {offer}: {'compressed, window %d' % bits if bits else 'not compressed'}")
PY
expected='websockets: [('\''permessage-deflate'\'', [('\''server_max_window_bits'\'', '\''10'\'')])]
wsproto: ValueError: invalid literal for int() with base 10: '\''"10"'\''
aiohttp, permessage-deflate; server_max_window_bits="10": not compressed
aiohttp, permessage-deflate; server_max_window_bits=10: compressed, window 10
aiohttp, permessage-deflate ,x-other: not compressed
aiohttp, permessage-deflate,x-other: compressed, window 15'
expect "$here/venv/bin/python" "$here/offers.py"
