# shellcheck shell=bash
# Sourced by the findings: a folder that is removed at the end, pinned public packages in it, and the comparison of what is
# seen with what was seen before.

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$(mktemp -d)
servers=()
# shellcheck disable=SC2317 # it is the trap's
clean_up() {
    ((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null || true
    rm -rf "$here"
}
trap clean_up EXIT

# Ends the finding without a verdict: what it needs is not on this machine.
cannot_run() {
    echo "cannot be run here: $1" >&2
    exit 77
}

# A Python with these packages: $here/venv/bin/python.
python_packages() {
    python3 -m venv "$here/venv" || cannot_run "python3 with venv"
    "$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

# These packages for programs in $here.
node_packages() {
    command -v npm >/dev/null || cannot_run "npm"
    (cd "$here" && npm init --yes >/dev/null &&
        npm install --silent --no-audit --no-fund --no-update-notifier "$@" >/dev/null)
}

# The files of these packages of Debian, `NAME=VERSION`, below $here/root: nothing is installed.
debian_packages() {
    command -v apt-get >/dev/null || cannot_run "Debian's apt-get"
    (cd "$here" && apt-get download -q "$@" >apt.log 2>&1) || cannot_run "apt-get download $*"
    local file
    for file in "$here"/*.deb; do dpkg -x "$file" "$here/root"; done
}

# A package of Debian that has to be installed, in this version.
debian_installed() {
    local found
    found=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null) || true
    [[ $found == "$2" ]] || cannot_run "needs $1 $2 of Debian 12 installed, found: ${found:-none}"
}

# Starts a program of Python that stands in $here and uses lib/peer.py: see serve.
serve_peer() { PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$lib serve python3 "$@"; }

# Starts a server that prints its port as its first line, and prints that port.
serve() {
    local output=$here/server-${#servers[@]}.out
    (cd "$here" && exec "$@") >"$output" 2>&1 &
    servers+=($!)
    for _ in {1..100}; do
        if [[ -s $output ]]; then
            port=$(head -1 "$output")
            return
        fi
        sleep 0.1
    done
    cannot_run "$* did not start: $(cat "$output")"
}

# Starts the server of one package (lib/servers.py, lib/servers.js) and sends it a handshake (lib/handshake.py).
ask_server() {
    local package=$1
    shift
    case $package in
    ws | faye-websocket | websocket) NODE_PATH=$here/node_modules serve node "$lib/servers.js" "$package" ;;
    *) serve "$here/venv/bin/python" "$lib/servers.py" "$package" ;;
    esac
    printf '%s: %s\n' "$package" "$(python3 "$lib/handshake.py" "$port" "$@")"
}

# Compares what a program prints now with what stood in the finding.
expect() {
    local seen
    seen=$("$@" 2>&1) || true
    # shellcheck disable=SC2154 # the finding sets it
    if [[ $seen != "$expected" ]]; then
        printf 'it is not as it was\n--- before\n%s\n--- now\n%s\n' "$expected" "$seen" >&2
        exit 1
    fi
    printf '%s\n' "$seen"
}
