//! Each proxy: its program, how it is started in a directory of the test, and what of its file in packaging/proxies is
//! replaced there. Everything else of the file is as users get it.

use std::{fs, path::Path};

use crate::driver::on_path;

/// A proxy that there is a configuration for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
    Apache,
    Lighttpd,
    Varnish,
    Envoy,
    Traefik,
}

/// Where the test wants it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// For those that are reloaded through a port.
    pub(crate) admin: u16,
    /// The server.
    pub(crate) server: std::net::SocketAddr,
    /// The limit of silent connections: 3 seconds instead of an hour.
    pub(crate) is_impatient: bool,
}

/// A text of the file, and what stands there in the test.
type Edit = (&'static str, String);

impl Kind {
    pub(crate) fn program(self) -> Option<std::path::PathBuf> {
        match self {
            Self::Nginx => on_path("nginx"),
            Self::HaProxy => on_path("haproxy"),
            Self::Caddy => on_path("caddy"),
            Self::Apache => on_path("apache2"),
            Self::Lighttpd => on_path("lighttpd"),
            Self::Varnish => on_path("varnishd"),
            Self::Envoy => crate::driver::installed("venv/installed.txt", "venv/bin/envoy"),
            Self::Traefik => crate::driver::installed("venv/installed.txt", "venv/bin/traefik"),
        }
    }

    /// Whether a WebSocket outlives that the proxy reads its configuration again: "yes", "no", or "either" where chance
    /// decides.
    pub(crate) fn keeps(self) -> &'static str {
        match self {
            Self::Caddy => "no",
            Self::Lighttpd => "either",
            Self::Nginx
            | Self::HaProxy
            | Self::Apache
            | Self::Varnish
            | Self::Envoy
            | Self::Traefik => "yes",
        }
    }

    /// What a client of the second port speaks.
    pub(crate) fn tls(self) -> &'static str {
        if self == Self::Varnish { "preface" } else { "tls" }
    }

    /// Writes its files. Returns the arguments of its program.
    pub(crate) fn set_up(self, place: &Place<'_>) -> Vec<String> {
        let at = |name: &str| place.directory.join(name).display().to_string();
        match self {
            Self::Nginx => {
                copy(
                    place,
                    "nginx.conf",
                    &[
                        ("listen 80;", format!("listen 127.0.0.1:{};", place.http)),
                        ("listen 443 ssl;", format!("listen 127.0.0.1:{} ssl;", place.https)),
                        ("1h;", limit(place, "1h;", "3s;")),
                    ],
                );
                let around = "daemon off;\npid nginx.pid;\nerror_log stderr;\nworker_processes 1;\nUSER\n\
                    events {}\nhttp {\n    access_log off;\n    client_body_temp_path t1;\n    \
                    proxy_temp_path t2;\n    fastcgi_temp_path t3;\n    uwsgi_temp_path t4;\n    \
                    scgi_temp_path t5;\n    include nginx.conf;\n}\n";
                let user = if is_root() { "user root;" } else { "" };
                write(place, "main.conf", &around.replace("USER", user));
                ["-e", "stderr", "-p", &at(""), "-c", &at("main.conf")].map(str::to_owned).into()
            }
            Self::HaProxy => {
                copy(
                    place,
                    "haproxy.cfg",
                    &[
                        ("bind :80", format!("bind 127.0.0.1:{}", place.http)),
                        ("bind :443 ", format!("bind 127.0.0.1:{} ", place.https)),
                        (
                            "timeout tunnel 1h",
                            limit(place, "timeout tunnel 1h", "timeout tunnel 3s"),
                        ),
                    ],
                );
                ["-W", "-f", &at("haproxy.cfg")].map(str::to_owned).into()
            }
            Self::Caddy => {
                let admin =
                    format!("\tdefault_bind 127.0.0.1\n\tadmin 127.0.0.1:{}\n", place.admin);
                copy(
                    place,
                    "Caddyfile",
                    &[
                        (
                            "http://chat.example.org:80 ",
                            format!("http://chat.example.org:{} ", place.http),
                        ),
                        ("chat.example.org:443 ", format!("chat.example.org:{} ", place.https)),
                        ("\tauto_https", format!("{admin}\tauto_https")),
                    ],
                );
                ["run", "--config", &at("Caddyfile")].map(str::to_owned).into()
            }
            Self::Apache => {
                copy(
                    place,
                    "apache.conf",
                    &[
                        ("*:80>", format!("*:{}>", place.http)),
                        ("*:443>", format!("*:{}>", place.https)),
                        ("Timeout 3600", limit(place, "Timeout 3600", "Timeout 3")),
                    ],
                );
                let modules =
                    ["mpm_event", "authz_core", "headers", "macro", "proxy", "proxy_http", "ssl"];
                let modules: String = modules
                    .map(|name| {
                        format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
                    })
                    .concat();
                let user = if is_root() { "User nobody\nGroup nogroup\n" } else { "" };
                write(
                    place,
                    "main.conf",
                    &format!(
                        "{modules}{user}ServerName localhost\nPidFile {}\nErrorLog /dev/stderr\nListen 127.0.0.1:{}\n\
                     Listen 127.0.0.1:{}\nMutex sem\nStartServers 1\nInclude {}\n",
                        at("apache.pid"),
                        place.http,
                        place.https,
                        at("apache.conf"),
                    ),
                );
                ["-d", &at(""), "-f", &at("main.conf"), "-DFOREGROUND"].map(str::to_owned).into()
            }
            Self::Lighttpd => {
                copy(
                    place,
                    "lighttpd.conf",
                    &[
                        (
                            "server.port = 80",
                            format!("server.port = {}\nserver.bind = \"127.0.0.1\"", place.http),
                        ),
                        ("\":443\"", format!("\"127.0.0.1:{}\"", place.https)),
                        ("\"port\" => 9501", format!("\"port\" => {}", place.server.port())),
                        ("read-idle = 3600", limit(place, "read-idle = 3600", "read-idle = 3")),
                    ],
                );
                ["-D", "-f", &at("lighttpd.conf")].map(str::to_owned).into()
            }
            Self::Varnish => {
                let port = format!("\"{}\"", place.server.port());
                copy(place, "varnish.vcl", &[("\"9501\"", port)]);
                let (http, https) = (
                    format!("http=127.0.0.1:{}", place.http),
                    format!("https=127.0.0.1:{},PROXY", place.https),
                );
                let idle = format!("pipe_timeout={}", if place.is_impatient { 3 } else { 3600 });
                [
                    "-j",
                    "none",
                    "-F",
                    "-n",
                    &at("state"),
                    "-f",
                    &at("varnish.vcl"),
                    "-a",
                    &http,
                    "-a",
                    &https,
                    "-p",
                    &idle,
                    "-s",
                    "malloc,16m",
                ]
                .map(str::to_owned)
                .into()
            }
            Self::Envoy => {
                let local = |port| format!("address: 127.0.0.1, port_value: {port} ");
                copy(
                    place,
                    "envoy.yaml",
                    &[
                        ("address: 0.0.0.0, port_value: 80 ", local(place.http)),
                        ("address: 0.0.0.0, port_value: 443 ", local(place.https)),
                        ("address: 127.0.0.1, port_value: 9501 ", local(place.server.port())),
                        ("3600s", limit(place, "3600s", "3s")),
                    ],
                );
                [
                    "-c",
                    &at("envoy.yaml"),
                    "--concurrency",
                    "1",
                    "--use-dynamic-base-id",
                    "-l",
                    "warn",
                ]
                .map(str::to_owned)
                .into()
            }
            Self::Traefik => {
                copy(place, "traefik-wsmaster.yaml", &[]);
                copy(
                    place,
                    "traefik.yaml",
                    &[
                        ("\":80\"", format!("\"127.0.0.1:{}\"", place.http)),
                        ("\":443\"", format!("\"127.0.0.1:{}\"", place.https)),
                        ("/etc/traefik/wsmaster.yaml", at("traefik-wsmaster.yaml")),
                    ],
                );
                vec![format!("--configFile={}", at("traefik.yaml"))]
            }
        }
    }

    /// The command that makes it read its configuration again.
    pub(crate) fn reload(self, pid: u32, place: &Place<'_>) -> String {
        let directory = place.directory.display();
        match self {
            Self::Nginx => format!("kill -HUP {pid}"),
            Self::HaProxy => format!("kill -USR2 {pid}"),
            Self::Caddy => format!(
                "caddy reload --force --config {directory}/Caddyfile --address 127.0.0.1:{} 2>/dev/null",
                place.admin
            ),
            Self::Apache | Self::Lighttpd => format!("kill -USR1 {pid}"),
            Self::Varnish => format!(
                "varnishadm -n {directory}/state vcl.load again {directory}/varnish.vcl >/dev/null && \
                 varnishadm -n {directory}/state vcl.use again >/dev/null"
            ),
            // Envoy's way is a second process that takes over, by a script of its packages.
            Self::Envoy => "true".to_owned(),
            Self::Traefik => format!("echo '# changed' >>{directory}/traefik-wsmaster.yaml"),
        }
    }
}

/// A limit that is replaced only where the test waits for it.
fn limit(place: &Place<'_>, long: &str, short: &str) -> String {
    if place.is_impatient { short.to_owned() } else { long.to_owned() }
}

/// Copies a file of packaging/proxies with these edits, each of which must have a place.
#[track_caller]
fn copy(place: &Place<'_>, name: &str, edits: &[Edit]) {
    let file = crate::driver::root().join("packaging/proxies").join(name);
    let mut text = fs::read_to_string(&file).expect("it is in the repository");
    for (old, new) in edits {
        assert!(text.contains(old), "no {old:?} in {name}");
        text = text.replace(old, new);
    }
    let certificates = place.directory.join("certificates");
    for (users, ours) in
        [("fullchain.pem", "cert.pem"), ("privkey.pem", "key.pem"), ("both.pem", "both.pem")]
    {
        let ours = certificates.join(ours).display().to_string();
        text = text.replace(&format!("/etc/wsmaster/proxy/{users}"), &ours);
    }
    write(place, name, &text.replace("127.0.0.1:9501", &place.server.to_string()));
}

fn write(place: &Place<'_>, name: &str, text: &str) {
    fs::write(place.directory.join(name), text).expect("the directory is ours");
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").expect("Linux")) == 0
}
