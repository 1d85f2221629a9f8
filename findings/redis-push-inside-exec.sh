#!/usr/bin/env bash
# Redis 7.0.15 (Debian 12) and RESP3: a connection that is subscribed to a channel publishes to it inside of MULTI and EXEC.
#
# The message for the subscriber is written into the middle of EXEC's reply, behind the head of its array: `*2` is followed by a push
# and the two replies. Whoever takes the push for the array's first element is left with one reply too many, and from then on each
# command gets the reply of the one before it. Outside of a transaction the push comes before the reply, whole.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
debian_packages redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 libjemalloc2 liblzf1 liblua5.1-0 lua-bitop lua-cjson

cat >"$here/talk.py" <<'PY'
import socket
import subprocess
import sys
import time

root, place = sys.argv[1:]
server = subprocess.Popen(
    [f"{root}/usr/bin/redis-server", "--port", "0", "--unixsocket", place, "--save", ""],
    env={"LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu"},
    stdout=subprocess.DEVNULL,
)
try:
    connection = socket.socket(socket.AF_UNIX)
    for _ in range(100):
        try:
            connection.connect(place)
            break
        except OSError:
            time.sleep(0.1)
    connection.settimeout(0.5)
    for command in ("HELLO 3", "SUBSCRIBE news", "PUBLISH news one", "MULTI", "PUBLISH news two", "PING", "EXEC"):
        connection.sendall(command.encode() + b"\r\n")
        answer = b""
        try:
            while True:
                answer += connection.recv(65536)
        except TimeoutError:
            pass
        if command in ("PUBLISH news one", "EXEC"):
            print(f"{command}: {answer.decode().replace(chr(13) + chr(10), ' ')}".strip())
finally:
    server.kill()
PY
# shellcheck disable=SC2016 # the dollars are Redis's
expected='PUBLISH news one: >3 $7 message $4 news $3 one :1
EXEC: *2 >3 $7 message $4 news $3 two :1 +PONG'
expect python3 "$here/talk.py" "$here/root" "$here/redis.sock"
