#!/usr/bin/env bash
# @balena/proxy-protocol-parser 1.0.2 (npm): the address ::1 in both versions of the PROXY protocol.
#
# From version 1, which carries text, it comes out as `::1`; from the 16 bytes of version 2 as `0::1`, which is the same address and
# not the same string. Lists of addresses that are compared as text fit one of the two only.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
node_packages @balena/proxy-protocol-parser@1.0.2

cat >"$here/loopback.js" <<'JS'
const { decode } = require('@balena/proxy-protocol-parser');
const v1 = Buffer.from('PROXY TCP6 ::1 ::1 4711 80\r\n');
const loopback = '00000000000000000000000000000001';
const v2 = Buffer.from(`0d0a0d0a000d0a515549540a21210024${loopback}${loopback}12670050`, 'hex');
console.log('version 1:', decode(v1).remoteAddress);
console.log('version 2:', decode(v2).remoteAddress);
JS
in_place() { (cd "$here" && node loopback.js); }
expected='version 1: ::1
version 2: 0::1'
expect in_place
