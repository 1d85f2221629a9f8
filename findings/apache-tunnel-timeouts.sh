#!/usr/bin/env bash
# Apache 2.4.71 (Debian 12) in front of a silent WebSocket (`upgrade=websocket`): which of its three timeouts ends the tunnel.
#
# ProxyTimeout and `timeout=` of ProxyPass, one second each, have no effect once the connection has been upgraded; it ends after
# Timeout, here four seconds.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
debian_installed apache2-bin 2.4.71-1~deb12u1

cat >"$here/tunnel.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from peer import Peer

here = sys.argv[1]
backend = Peer()
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
names = ("mpm_event", "authz_core", "proxy", "proxy_http")
modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in names)
user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
with open(f"{here}/apache.conf", "w") as file:
    file.write(f"""{modules}
{user}
ServerName localhost
PidFile {here}/apache.pid
ErrorLog /dev/null
Mutex sem
Listen 127.0.0.1:{port}
Timeout 4
ProxyTimeout 1
ProxyPass / http://127.0.0.1:{backend.listener.getsockname()[1]}/ upgrade=websocket timeout=1
""")
command = ["/usr/sbin/apache2", "-d", here, "-f", f"{here}/apache.conf", "-DFOREGROUND"]
proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
try:
    for _ in range(100):
        try:
            tunnel = socket.create_connection(("127.0.0.1", port), 10)
            break
        except OSError:
            time.sleep(0.1)
    threading.Thread(target=lambda: backend.meet(patience=60), daemon=True).start()
    tunnel.settimeout(30)
    tunnel.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in tunnel.recv(4096)
    begin = time.monotonic()
    tunnel.recv(100)
    seconds = time.monotonic() - begin
    print("the silent tunnel ended after", "Timeout" if 3.5 < seconds < 10 else f"{seconds:.1f} s", flush=True)
finally:
    proxy.send_signal(signal.SIGTERM)
    proxy.wait(10)
PY
tunnel() { PYTHONPATH=$lib python3 "$here/tunnel.py" "$here" | tail -n +2; }
expected='the silent tunnel ended after Timeout'
expect tunnel
