//! The files of packaging/proxies with the proxies themselves in front of the server: who a client is, how long it may
//! be silent, and what a reload of either side does.
//!
//! Ports and paths are replaced in the files, nothing else. `scripts/setup` installs the proxies; the tests of one that
//! is missing are skipped with a line that says so, and fail under `CI=true`.

#[allow(dead_code, reason = "the browsers and others drive the server without a proxy")]
#[path = "foreign/driver.rs"]
mod driver;
#[path = "real_proxies/kinds.rs"]
mod kinds;
#[path = "real_proxies/proxy.rs"]
mod proxy;
mod support;

use std::fs;

use kinds::Kind;
use proxy::Proxy;
use support::{App, Server, Setup};

/// What docs/proxies.md says to set in the server.
const TRUST: &str = "[server]\ntrusted_proxies = \"127.0.0.1\"\n";

fn through(kind: Kind, app: App, more: &str, scenario: &str, is_impatient: bool) {
    let setup = Setup::default().workers(2).app(app).config_toml(&format!("{TRUST}{more}"));
    let server = Server::start(setup);
    if let Some(proxy) = Proxy::start(kind, &server, is_impatient) {
        proxy.drive(&server, scenario);
    }
}

fn identity(kind: Kind) {
    through(kind, App::Channels, "", "identity", false);
}

fn echo(kind: Kind) {
    let compressed = "[compression]\nenabled = true\nmessage_bytes_min = 0\n";
    through(kind, App::Echo, compressed, "echo", false);
}

fn reload(kind: Kind) {
    through(kind, App::Echo, "reconnect_spread = \"300ms\"\n", "reload", false);
}

fn proxy_reload(kind: Kind) {
    through(kind, App::Echo, "", "proxy_reload", false);
}

fn idle(kind: Kind) {
    through(kind, App::Echo, "[limits]\nping_interval = \"1s\"\n", "idle", true);
}

fn silence(kind: Kind) {
    through(kind, App::Echo, "", "silence", true);
}

/// What documents quote for nginx is in the file that is tested here.
#[test]
fn documents_quote_the_tested_lines_for_nginx() {
    let read = |file: &str| fs::read_to_string(driver::root().join(file)).expect("it is there");
    let tested = read("packaging/proxies/nginx.conf");
    let tested: Vec<&str> = tested.lines().map(str::trim).collect();
    for file in ["docs/tls.md", "docs/operating.md"] {
        let text = read(file);
        let (_, quoted) = text.split_once("```nginx\n").expect("it quotes nginx.conf");
        let (quoted, _) = quoted.split_once("```").expect("the quotation ends");
        for line in quoted.lines().map(str::trim) {
            assert!(tested.contains(&line), "{line:?} of {file} is not in nginx.conf");
        }
    }
}

macro_rules! tests {
    ($($name:ident: $kind:expr, [$($scenario:ident)*];)*) => {
        $(mod $name {
            $(#[test]
            fn $scenario() {
                super::$scenario($kind);
            })*
        })*
    };
}

tests! {
    nginx: super::Kind::Nginx, [identity echo reload proxy_reload idle silence];
    haproxy: super::Kind::HaProxy, [identity echo reload proxy_reload idle silence];
    // Caddy and Traefik have no limit for silent WebSockets.
    caddy: super::Kind::Caddy, [identity echo reload proxy_reload];
    apache: super::Kind::Apache, [identity echo reload proxy_reload idle silence];
    lighttpd: super::Kind::Lighttpd, [identity echo reload proxy_reload idle silence];
    varnish: super::Kind::Varnish, [identity echo reload proxy_reload idle silence];
    // Envoy replaces itself by a second process instead of reading its file again.
    envoy: super::Kind::Envoy, [identity echo reload idle silence];
    traefik: super::Kind::Traefik, [identity echo reload proxy_reload];
}
