//! `[[route]]`: which application the connections of a path belong to.
//!
//! Owns the declaration of its settings. Which of several routes a request belongs to is decided where requests are served.

use wsmaster_settings::{Array, kinds::*, settings};

use super::{
    app::{APP, App},
    validators::is_route_path,
};

/// The most `[[route]]` tables of a configuration.
pub const ROUTES_MAX: usize = 256;

settings! {
    /// What the clients of a path are connected to, where that is not the app of [server]. Requests that do not become
    /// WebSockets go to the application too, if it is a program; those for /health and /api/ stay the server's own.
    pub struct RouteConfig = array("route", Array {
        plural: "routes",
        most: ROUTES_MAX,
        bounds: ". They have no variables and no flags.",
        example: EXAMPLE,
    });

    /// The path of the request, without its query and with %20 and its like decoded. It is meant exactly, unless it
    /// ends in /*: /chat/* is /chat and everything below it. Of several that fit, the longest wins, and an exact one
    /// before one with /*.
    path: String = required("/chat/*"),
        text("a path such as \"/chat\" or \"/chat/*\"", is_route_path),
        ["location", "match", "pattern", "prefix", "uri", "url"];

    /// What the clients of this path are connected to, as in [server].
    app: App = required("plugin:queue"), APP, ["application", "controller", "handler", "plugin", "process", "to"];
}

const EXAMPLE: &str = r#"
```toml
[[route]]
path = "/chat/*"
app = "plugin:chat"

[[process]]
name = "chat"
command = "node"
args = ["chat.mjs"]
```
"#;
