#!/usr/bin/env bash
# `GET http://host/chat HTTP/1.1`: the absolute form of a request's target, which every server must take (RFC 9112, 3.2.2); clients
# send it to proxies, and some send it always. ws 8.23.0, faye-websocket 0.11.4, websocket 1.0.35 (npm), websockets 17.4,
# aiohttp 3.14.5, tornado 6.6.1, autobahn 26.10.2 (PyPI), as servers.
#
# All open the WebSocket. In five of seven the application is told the whole URI as the path, so a router that knows `/chat` does
# not find it; two tell the path.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages ws@8.23.0 faye-websocket@0.11.4 websocket@1.0.35
python_packages websockets==17.4 aiohttp==3.14.5 tornado==6.6.1 autobahn==26.10.2

all() {
    local package
    for package in aiohttp autobahn ws faye-websocket websocket websockets tornado; do
        ask_server "$package" --text --target http://a.example/chat
    done
}
expected="aiohttp: 101 '/chat'
autobahn: 101 '/chat'
ws: 101 'http://a.example/chat'
faye-websocket: 101 'http://a.example/chat'
websocket: 101 'http://a.example/chat'
websockets: 101 'http://a.example/chat'
tornado: 101 'http://a.example/chat'"
expect all
