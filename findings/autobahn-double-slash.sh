#!/usr/bin/env bash
# `GET //chat HTTP/1.1`: a path of an empty segment and one more, as it comes from a base URL that ends with a slash. autobahn 26.10.2
# (PyPI), as a server, beside websockets 17.4.
#
# autobahn reads the target as a reference without a scheme (RFC 3986, 4.2), in which `//chat` names a host: its application is told an
# empty path. In a request the target begins with the path (RFC 9112, 3.2.1), which websockets tells.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
python_packages autobahn==26.10.2 websockets==17.4

both() {
    ask_server autobahn --text --target //chat
    ask_server websockets --text --target //chat
}
expected="autobahn: 101 ''
websockets: 101 '//chat'"
expect both
