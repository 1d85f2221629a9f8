//! `[[route]]`: which application the connections of a path belong to, as plain data.
//!
//! Owns the shape of a route and its keys. Which of several routes a request belongs to is decided
//! where requests are served.

mod relations;

use super::access::field;
use super::array::{Array, Shape, TableKey};
use super::rules::is_route_path;
use super::settings::App;
use super::table::APP;
use super::value::Kind;

pub(super) use relations::check as check_together;

/// The most `[[route]]` tables of a configuration.
pub const ROUTES_MAX: usize = 256;

/// The array of tables.
pub(super) static ARRAY: Array<RouteConfig> = Array {
    section: "route",
    header: "[[route]]",
    plural: "routes",
    most: ROUTES_MAX,
    bounds: ". They have no variables and no flags.",
    about: "What the clients of a path are connected to, where that is not the app of [server]. \
            Requests that do not become WebSockets go to the application too, if it is a program; \
            those for /health and /api/ stay the server's own.",
    example: EXAMPLE,
    keys: KEYS,
    blank,
};

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

/// One `[[route]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteConfig {
    /// A path without its query, decoded: `/chat` is itself alone, `/chat/*` is `/chat` and all that begins with `/chat/`. No other
    /// route has the same.
    pub path: String,
    /// What its connections are connected to.
    pub app: App,
}

/// Both keys of a route.
static KEYS: &[TableKey<RouteConfig>] = &[
    TableKey {
        name: "path",
        shape: Shape::required(
            Kind::Text {
                expected: "a path such as \"/chat\" or \"/chat/*\"",
                accepts: is_route_path,
            },
            "/chat/*",
        ),
        synonyms: &["location", "match", "pattern", "prefix", "uri", "url"],
        about: "The path of the request, without its query and with %20 and its like decoded. It is \
                meant exactly, unless it ends in /*: /chat/* is /chat and everything below it. Of \
                several that fit, the longest wins, and an exact one before one with /*.",
        access: field!(path),
    },
    TableKey {
        name: "app",
        shape: Shape::required(APP, "plugin:queue"),
        synonyms: &["application", "controller", "handler", "plugin", "process", "to"],
        about: "What the clients of this path are connected to, as in [server].",
        access: field!(app),
    },
];

/// A route whose fields are about to be written.
fn blank() -> RouteConfig {
    RouteConfig { path: String::new(), app: App::Channels }
}
