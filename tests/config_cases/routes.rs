//! `[[route]]` and programs as applications: what is read, what is shown, and how many there may be.

use wsmaster::config::{App, Config, ROUTES_MAX, RouteConfig};

use super::{accepted, machine, refused};

/// With a program as the application of the server and of a route.
pub(super) const EVERYTHING: &str = r#"
route = [
  { path = "/chat/*", app = "plugin:chat" },
  { app = "echo", path = "/a b/é" },
]

[server]
app = "plugin:all"

[[process]]
name = "chat"
command = "chat"
events = ["handshake"]

[[process]]
name = "all"
command = "all"
events = ["request", "server_start", "server_stop", "subscribe", "unsubscribe", "publish"]
"#;

fn route(path: &str, app: App) -> RouteConfig {
    RouteConfig { path: path.to_owned(), app }
}

#[test]
fn there_are_none_by_default() {
    assert_eq!(Config::defaults(&machine()).routes, []);
    assert_eq!(accepted("route = []").routes, []);
    assert!(!Config::defaults(&machine()).show().contains("route"));
}

#[test]
fn everything_is_read_and_what_is_shown_reads_back() {
    let config = accepted(EVERYTHING);
    let chat = App::Plugin("chat".to_owned());
    assert_eq!(config.routes, [route("/chat/*", chat), route("/a b/é", App::Echo)]);
    assert_eq!(config.server.app, App::Plugin("all".to_owned()));
    assert_eq!(config.server.app.name(), "plugin:all");
    assert!(config.is_application("chat") && config.is_application("all"));
    assert!(!config.is_application("echo"));
    let shown = config.show();
    let again = accepted(&shown);
    assert_eq!((again.routes, again.server.app), (config.routes, config.server.app));
    assert!(shown.contains("wsmaster.toml:3"), "{shown}");
}

#[test]
fn origins_are_known_by_path() {
    let config = accepted(EVERYTHING);
    for (path, line) in [("route[0].path", "3"), ("route[0].app", "3"), ("route[1].app", "4")] {
        let origin = config.origin(path).map(ToString::to_string);
        assert_eq!(origin, Some(format!("wsmaster.toml:{line}")), "{path}");
    }
    for path in ["route[2].path", "route[0].to", "route.path", "route[x].path"] {
        assert_eq!(config.origin(path), None, "{path}");
    }
}

#[test]
fn routes_are_bounded() {
    let routes = |count: usize| -> String {
        (0..count).map(|n| format!("[[route]]\npath = \"/{n}\"\napp = \"echo\"\n")).collect()
    };
    assert_eq!(accepted(&routes(ROUTES_MAX)).routes.len(), ROUTES_MAX);
    let answer = refused(&routes(ROUTES_MAX + 1));
    assert!(answer.ends_with("route[256]: expected at most 256 routes, found 257"), "{answer}");
}

#[test]
fn a_plugin_can_be_named_by_a_variable_and_must_exist() {
    let flags = wsmaster::config::Overrides::default();
    let env = super::env(&[("WSMASTER_SERVER_APP", "plugin:chat")]);
    let file = "[[process]]\nname = \"chat\"\ncommand = \"chat\"\n";
    let config = Config::from_layers(Some(("f", file)), &env, &flags, &machine());
    assert_eq!(config.expect("valid").server.app.plugin(), Some("chat"));
    let answer = Config::from_layers(None, &env, &flags, &machine()).expect_err("no such process");
    assert_eq!(
        answer.to_string(),
        "environment: server.app: expected the name of a [[process]], found \"chat\"; there is no \
         [[process]] at all"
    );
}
