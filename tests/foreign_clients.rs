//! The server as clients see it that nobody here wrote: Python's `websockets`, Node's `ws` and its built-in
//! `WebSocket`, Chromium on the playground page, curl, and two dozen other libraries of Python, Node.js, Perl, Ruby and
//! Tcl, whose behaviour stands in a table of their language.
//!
//! Each test starts a server and has one scenario of `tests/foreign/` run against it. `scripts/setup` installs the
//! clients; where one is missing its tests are skipped with a line that says so, and fail under `CI=true`.

#[path = "foreign/driver.rs"]
mod driver;
#[path = "foreign/libraries.rs"]
mod libraries;
mod support;

use std::{ffi::OsStr, fs, process::Command};

use driver::{Tool, drive, root};
use libraries::Scenario;
use serde_json::{Value, json};
use support::{App, Server, Setup};

const PYTHON: &str = "python/scenarios.py";
const NODE_WS: &str = "node/ws.mjs";
const NODE_BUILT_IN: &str = "node/builtin.mjs";
const BROWSER: &str = "node/playground.mjs";

/// Room for a message of 1 MiB, in as many fragments as a client likes, and for its echo.
const LARGE: &str = "[limits]\nmessage_bytes_max = \"2MiB\"\noutbox_bytes_max = \"8MiB\"\n";
/// A reload that takes a moment: the clients come back within this time.
const SPREAD: &str = "[server]\nreconnect_spread = \"300ms\"\n";

fn echo() -> Server {
    Server::start(Setup::default().app(App::Echo).config_toml(LARGE))
}

fn channels(workers: usize) -> Server {
    Server::start(Setup::default().workers(workers).config_toml(SPREAD))
}

/// Messages of the channel server are short: all of them are compressed.
fn compressed_channels(workers: usize) -> Server {
    let config = format!("{SPREAD}[compression]\nenabled = true\nmessage_bytes_min = 0\n");
    Server::start(Setup::default().workers(workers).config_toml(&config))
}

/// Runs a client's scenario `deflate` against a server that keeps context for these sides.
#[track_caller]
fn deflate(tool: Tool, script: &str, takeover: &str) {
    let config =
        format!("{LARGE}[compression]\nenabled = true\ncontext_takeover = \"{takeover}\"\n");
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let env: [(&str, &OsStr); 1] = [("TEST_CONTEXT_TAKEOVER", takeover.as_ref())];
    drive(tool, script, "deflate", &server, &env);
    if tool.find().is_some() {
        let status = server.status();
        let compressed = status["totals"]["messages_compressed"].as_u64().unwrap_or(0);
        assert!(compressed > 20, "only {compressed} messages were compressed: {status}");
        assert_eq!(status["totals"]["protocol_errors"], 0);
    }
}

#[test]
fn python_websockets_echo() {
    drive(Tool::Python, PYTHON, "echo", &echo(), &[]);
}

#[test]
fn python_websockets_fragments() {
    drive(Tool::Python, PYTHON, "fragments", &echo(), &[]);
}

#[test]
fn python_websockets_deflate() {
    deflate(Tool::Python, PYTHON, "none");
}

#[test]
fn python_websockets_deflate_in_context() {
    deflate(Tool::Python, PYTHON, "both");
}

#[test]
fn python_websockets_compressed_channels() {
    drive(Tool::Python, PYTHON, "channels", &compressed_channels(2), &[]);
}

#[test]
fn python_websockets_ping() {
    drive(Tool::Python, PYTHON, "ping", &echo(), &[]);
}

#[test]
fn python_websockets_close() {
    drive(Tool::Python, PYTHON, "close", &channels(1), &[]);
}

#[test]
fn python_websockets_subprotocol() {
    drive(Tool::Python, PYTHON, "subprotocol", &echo(), &[]);
}

#[test]
fn python_websockets_channels() {
    drive(Tool::Python, PYTHON, "channels", &channels(2), &[]);
}

#[test]
fn python_websockets_reload() {
    drive(Tool::Python, PYTHON, "reload", &channels(2), &[]);
}

#[test]
fn python_websockets_crowd() {
    drive(Tool::Python, PYTHON, "crowd", &channels(4), &[]);
}

/// A server with TLS for 127.0.0.1, and the certificate that its clients have to believe.
fn safe(app: App) -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory for certificates");
    let out = directory.path().display().to_string();
    let section = support::run(&["cert", "self-signed", "--out", &out]).expect_code(0).stdout;
    let setup = Setup::default().app(app).workers(2);
    (Server::start(setup.config_toml(&format!("{section}{LARGE}{SPREAD}"))), directory)
}

#[track_caller]
fn drive_safe(tool: Tool, script: &str, scenario: &str, app: App) {
    let (server, certificates) = safe(app);
    let certificate = certificates.path().join("cert.pem");
    let env: [(&str, &OsStr); 3] = [
        ("TEST_SAFE", OsStr::new("s")),
        ("SSL_CERT_FILE", certificate.as_os_str()),
        ("NODE_EXTRA_CA_CERTS", certificate.as_os_str()),
    ];
    drive(tool, script, scenario, &server, &env);
}

#[test]
fn python_websockets_echo_in_tls() {
    drive_safe(Tool::Python, PYTHON, "echo", App::Echo);
}

#[test]
fn python_websockets_fragments_in_tls() {
    drive_safe(Tool::Python, PYTHON, "fragments", App::Echo);
}

#[test]
fn python_websockets_reload_in_tls() {
    drive_safe(Tool::Python, PYTHON, "reload", App::Channels);
}

#[test]
fn node_ws_echo_in_tls() {
    drive_safe(Tool::Node, NODE_WS, "echo", App::Echo);
}

#[test]
fn node_ws_pipeline_in_tls() {
    drive_safe(Tool::Node, NODE_WS, "pipeline", App::Echo);
}

#[test]
fn node_ws_reload_in_tls() {
    drive_safe(Tool::Node, NODE_WS, "reload", App::Channels);
}

#[test]
fn node_ws_echo() {
    drive(Tool::Node, NODE_WS, "echo", &echo(), &[]);
}

#[test]
fn node_ws_fragments() {
    drive(Tool::Node, NODE_WS, "fragments", &echo(), &[]);
}

#[test]
fn node_ws_deflate() {
    deflate(Tool::Node, NODE_WS, "none");
}

#[test]
fn node_ws_deflate_in_context() {
    deflate(Tool::Node, NODE_WS, "both");
}

#[test]
fn node_ws_pipeline() {
    drive(Tool::Node, NODE_WS, "pipeline", &echo(), &[]);
}

#[test]
fn node_ws_ping() {
    drive(Tool::Node, NODE_WS, "ping", &echo(), &[]);
}

#[test]
fn node_ws_close() {
    drive(Tool::Node, NODE_WS, "close", &channels(1), &[]);
}

#[test]
fn node_ws_terminate() {
    let server = channels(1);
    drive(Tool::Node, NODE_WS, "terminate", &server, &[]);
    // Cut connections are noticed at once and not at the next ping.
    server.wait_until("the cut connections to be gone", support::PATIENCE, |status| {
        status["totals"]["websockets"] == 0
    });
}

#[test]
fn node_ws_subprotocol() {
    drive(Tool::Node, NODE_WS, "subprotocol", &echo(), &[]);
}

#[test]
fn node_ws_channels() {
    drive(Tool::Node, NODE_WS, "channels", &channels(2), &[]);
}

#[test]
fn node_ws_reload() {
    drive(Tool::Node, NODE_WS, "reload", &channels(2), &[]);
}

#[test]
fn node_ws_crowd() {
    drive(Tool::Node, NODE_WS, "crowd", &channels(4), &[]);
}

#[test]
fn node_built_in_echo() {
    drive(Tool::Node, NODE_BUILT_IN, "echo", &echo(), &[]);
}

#[test]
fn node_built_in_compressed_channels() {
    drive(Tool::Node, NODE_BUILT_IN, "channels", &compressed_channels(2), &[]);
}

#[test]
fn node_built_in_close() {
    drive(Tool::Node, NODE_BUILT_IN, "close", &channels(1), &[]);
}

#[test]
fn node_built_in_channels() {
    drive(Tool::Node, NODE_BUILT_IN, "channels", &channels(2), &[]);
}

#[test]
fn node_built_in_reload() {
    drive(Tool::Node, NODE_BUILT_IN, "reload", &channels(2), &[]);
}

#[test]
fn chromium_on_the_playground() {
    browse("chat", &channels(2));
}

#[test]
fn chromium_on_the_playground_compressed() {
    browse("chat", &compressed_channels(2));
}

#[test]
fn chromium_on_the_playground_in_tls() {
    let (server, certificates) = safe(App::Channels);
    let certificate = certificates.path().join("cert.pem");
    // For the command on the page, which goes to curl.
    let env: [(&str, &OsStr); 2] =
        [("TEST_SAFE", OsStr::new("s")), ("CURL_CA_BUNDLE", certificate.as_os_str())];
    browse_with("chat", &server, &env);
}

#[test]
fn chromium_heartbeat_of_the_playground() {
    let quick = "[channels]\nheartbeat_interval = \"1s\"\n";
    browse("heartbeat", &Server::start(Setup::default().config_toml(quick)));
}

#[test]
fn chromium_screens_of_the_playground() {
    browse("screens", &channels(2));
}

/// The pictures of the page are left in target/screens for people to look at.
#[track_caller]
fn browse(scenario: &str, server: &Server) {
    browse_with(scenario, server, &[]);
}

#[track_caller]
fn browse_with(scenario: &str, server: &Server, more: &[(&str, &OsStr)]) {
    let Some(chromium) = Tool::Chromium.find() else { return };
    let screens = root().join("target/screens");
    let profile = tempfile::tempdir().expect("a directory for the browser");
    let env: [(&str, &OsStr); 3] = [
        ("TEST_CHROMIUM", chromium.as_os_str()),
        ("TEST_SCREENS", screens.as_os_str()),
        ("TEST_PROFILE", profile.path().as_os_str()),
    ];
    fs::create_dir_all(&screens).expect("target is ours");
    drive(Tool::Node, BROWSER, scenario, server, &[&env, more].concat());
}

/// What curl says to these arguments, the head of the reply included, or nothing where there is no curl.
#[track_caller]
fn curl(server: &Server, arguments: &[&str], path: &str) -> Option<String> {
    let output = Command::new(Tool::Curl.find()?)
        .args(["--silent", "--show-error", "--include", "--max-time", "20", "--noproxy", "*"])
        .args(arguments)
        .arg(format!("http://{}{path}", server.addr()))
        .output()
        .expect("it is there");
    assert!(output.status.success(), "{arguments:?} {path}: {output:?}");
    Some(String::from_utf8(output.stdout).expect("the server speaks UTF-8"))
}

#[track_caller]
fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {answer}"))
}

#[test]
fn curl_health() {
    let server = channels(1);
    let Some(answer) = curl(&server, &[], "/health") else { return };
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(body(&answer), json!({"live": true, "ready": true, "worker": 0}));
}

#[test]
fn curl_head() {
    let server = channels(1);
    let Some(page) = curl(&server, &[], "/") else { return };
    // curl itself fails when a reply to HEAD has a body, or when one of two on a connection is out of step.
    let head = curl(&server, &["--head"], "/").expect("it was there before");
    let length = |answer: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        line.and_then(|length| length.trim().parse::<usize>().ok()).expect("a length")
    };
    let (top, html) = page.split_once("\r\n\r\n").expect("a head and a body");
    assert_eq!(length(top), html.len());
    assert_eq!(length(&head), html.len());
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn curl_not_found() {
    let server = channels(1);
    let Some(answer) = curl(&server, &[], "/nowhere?at=all") else { return };
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(body(&answer)["error"].is_string(), "{answer}");
}

#[test]
fn curl_of_the_banner() {
    let server = channels(2);
    let mut clients = [0, 1].map(|slot| support::Client::connect_to_worker(&server, slot));
    for client in &mut clients {
        client.subscribe("chat.room.1");
    }
    if Tool::Curl.find().is_none() {
        return;
    }
    // The command as the banner has it, through a shell, as somebody pastes it.
    let banner = server.stdout();
    let start = banner.find("curl ").unwrap_or_else(|| panic!("no curl in {banner}"));
    let line = banner[start..].split("\n\n").next().unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("{line} --silent --show-error --max-time 20")])
        .env("no_proxy", "*")
        .output()
        .expect("every Unix has sh");
    assert!(output.status.success(), "{line}: {output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer, json!({"success": true, "delivered": 2, "dropped": 0}));
    for client in &mut clients {
        assert_eq!(client.expect_message("chat.room.1")["message"], "hello from the terminal");
    }
}

#[test]
fn curl_without_the_key() {
    let server = channels(1);
    let wrong = ["--data", "{\"text\":\"x\"}", "-H", "Authorization: Bearer wrong"];
    let Some(answer) = curl(&server, &wrong, "/api/broadcast") else { return };
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nwww-authenticate: bearer"), "{answer}");
}

#[test]
fn curl_large_body_waits_for_100_continue() {
    let server = channels(1);
    let key = format!("Authorization: Bearer {}", server.api_key());
    // Beyond 1 MiB curl asks with Expect: 100-continue before it sends; here that is said at once.
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(100_000));
    let arguments = ["--data", &large, "-H", &key, "-H", "Expect: 100-continue"];
    let Some(answer) = curl(&server, &arguments, "/api/broadcast") else { return };
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "), "{answer}");
}

macro_rules! libraries {
    ($($language:ident: $tool:ident;)*) => {
        $(mod $language {
            use super::{Scenario, Tool, libraries::compare};

            #[test]
            fn libraries_echo() {
                compare(Tool::$tool, Scenario::Echo);
            }

            #[test]
            fn libraries_compressed() {
                compare(Tool::$tool, Scenario::Compressed);
            }

            #[test]
            fn libraries_silent() {
                compare(Tool::$tool, Scenario::Silent);
            }

            #[test]
            fn libraries_stop() {
                compare(Tool::$tool, Scenario::Stop);
            }

            #[test]
            fn libraries_reload() {
                compare(Tool::$tool, Scenario::Reload);
            }

            #[test]
            fn libraries_kill() {
                compare(Tool::$tool, Scenario::Kill);
            }

            #[test]
            fn libraries_refused() {
                compare(Tool::$tool, Scenario::Refused);
            }
        })*
    };
}

libraries! {
    python: Python;
    node: Node;
    perl: Perl;
    ruby: Ruby;
    tcl: Tcl;
}
