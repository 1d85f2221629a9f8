#!/usr/bin/env bash
# `Upgrade: websocket, x-other/1`: a client may name several protocols in the order of its wishes (RFC 9110, 7.8), and the server
# takes one of them. ws 8.23.0, faye-websocket 0.11.4, websocket 1.0.35 (npm), websockets 17.4, aiohttp 3.14.5, tornado 6.6.1,
# autobahn 26.10.2 (PyPI), as servers.
#
# Only two of seven look for `websocket` in the list; the others compare the whole value and refuse, one of them with 426, which
# asks for the very upgrade that was offered.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages ws@8.23.0 faye-websocket@0.11.4 websocket@1.0.35
python_packages websockets==17.4 aiohttp==3.14.5 tornado==6.6.1 autobahn==26.10.2

all() {
    local package
    for package in websocket autobahn ws faye-websocket aiohttp tornado websockets; do
        ask_server "$package" "Upgrade: websocket, x-other/1"
    done
}
expected='websocket: 101
autobahn: 101
ws: 400
faye-websocket: 400
aiohttp: 400
tornado: 400
websockets: 426'
expect all
