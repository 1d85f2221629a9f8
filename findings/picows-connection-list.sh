#!/usr/bin/env bash
# `Connection: keep-alive, Upgrade`: a list, as RFC 6455 (4.2.1) has it and Firefox sends it. picows 2.3.1 (PyPI), as a server.
#
# It answers 400: it takes the value as a whole for the word `upgrade`. Clients that send the word alone, as Chromium and most
# libraries do, connect; the same page in Firefox does not.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages picows==2.3.1

both() {
    ask_server picows "Connection: Upgrade"
    ask_server picows "Connection: keep-alive, Upgrade"
}
expected='picows: 101
picows: 400'
expect both
