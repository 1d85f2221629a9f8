#!/usr/bin/env bash
# PROXY protocol, version 1: `PROXY UNKNOWN` and a line end, which the specification lets a proxy send for its own health checks
# and for connections that it cannot describe (section 2.1). proxy-protocol-js 4.0.6 and @balena/proxy-protocol-parser 1.0.2 (npm),
# proxy-protocol 0.11.3 (PyPI).
#
# The first throws, so a server that uses it fails the proxy's checks; the second makes up a TCP6 client whose address is the line
# end and whose ports are NaN; the third says that nothing is known.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages proxy-protocol-js@4.0.6 @balena/proxy-protocol-parser@1.0.2
python_packages proxy-protocol==0.11.3

cat >"$here/unknown.js" <<'JS'
const { V1ProxyProtocol } = require('proxy-protocol-js');
const { decode } = require('@balena/proxy-protocol-parser');
const header = 'PROXY UNKNOWN\r\n';
try {
  V1ProxyProtocol.parse(header);
  console.log('proxy-protocol-js: parsed');
} catch (error) {
  console.log(`proxy-protocol-js: ${error.message}`);
}
const { remoteFamily, remoteAddress, remotePort } = decode(Buffer.from(header));
console.log(`@balena/proxy-protocol-parser: ${remoteFamily} ${JSON.stringify(remoteAddress)} ${remotePort}`);
JS
cat >"$here/unknown.py" <<'PY'
from proxyprotocol.v1 import ProxyProtocolV1

print("proxy-protocol:", ProxyProtocolV1().unpack(b"PROXY UNKNOWN\r\n"))
PY
both() {
    (cd "$here" && node unknown.js)
    "$here/venv/bin/python" "$here/unknown.py"
}
expected="proxy-protocol-js: given data isn't suitable for V1 PROXY protocols definition
@balena/proxy-protocol-parser: IPv6 \"\\r\\n\" NaN
proxy-protocol: ProxyResultUnknown()"
expect both
