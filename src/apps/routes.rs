//! Which application a path belongs to. Pure.

use crate::config::{App, Config};

/// Paths and applications. `/chat/*` is `/chat` and all that begins with `/chat/`. Of several paths that fit, the longest wins;
/// an exact one wins over a `/*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Routes {
    /// The applications, each once. The first is that of all paths without a route.
    apps: Vec<App>,
    /// The longest first.
    routes: Vec<Route>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Route {
    /// Without the `/*` at its end.
    path: String,
    /// All below it belongs to it.
    is_prefix: bool,
    app: usize,
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// The place of the application.
    pub(super) app: usize,
    /// Whether a route says so.
    pub(super) is_routed: bool,
}

impl Routes {
    pub(super) fn new(config: &Config) -> Self {
        let mut apps = vec![config.server.app.clone()];
        let mut routes: Vec<Route> = Vec::new();
        for route in &config.routes {
            let known = apps.iter().position(|app| *app == route.app);
            let app = known.unwrap_or_else(|| {
                apps.push(route.app.clone());
                apps.len() - 1
            });
            let (path, is_prefix) = match route.path.strip_suffix("/*") {
                Some(stem) => (stem, true),
                None => (route.path.as_str(), false),
            };
            routes.push(Route { path: path.to_owned(), is_prefix, app });
        }
        // `/chat/` is an exact path, longer than `/chat/*`, which fits it too.
        routes.sort_by_key(|route| (std::cmp::Reverse(route.path.len()), route.is_prefix));
        Self { apps, routes }
    }

    /// All applications, in their places.
    pub(super) fn apps(&self) -> &[App] {
        &self.apps
    }

    /// Whether all paths have the same application.
    pub(super) fn is_one_for_all(&self) -> bool {
        self.apps.len() == 1
    }

    /// Where a decoded path leads.
    pub(super) fn find(&self, path: &str) -> Found {
        let fits = |route: &&Route| match path.strip_prefix(route.path.as_str()) {
            Some(rest) => rest.is_empty() || (route.is_prefix && rest.starts_with('/')),
            None => false,
        };
        match self.routes.iter().find(fits) {
            Some(route) => Found { app: route.app, is_routed: true },
            None => Found { app: 0, is_routed: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, RouteConfig};

    fn routes(table: &[(&str, App)]) -> Routes {
        let mut config = Config::defaults(&Machine { uid: 1000, cpus: 1, runtime_dir: None });
        let route =
            |(path, app): &(&str, App)| RouteConfig { path: (*path).to_owned(), app: app.clone() };
        config.routes = table.iter().map(route).collect();
        Routes::new(&config)
    }

    #[test]
    fn the_longest_path_that_fits_wins() {
        let plugin = |name: &str| App::Plugin(name.to_owned());
        let routes = routes(&[
            ("/*", App::Echo),
            ("/chat", plugin("one")),
            ("/chat/*", plugin("two")),
            ("/chat/rooms", App::Broadcast),
            ("/chat/rooms/*", plugin("one")),
            ("/files/", App::Channels),
        ]);
        for (path, expected) in [
            ("/", App::Echo),
            ("/cha", App::Echo),
            ("/chat", plugin("one")),
            ("/chatter", App::Echo),
            ("/chat/", plugin("two")),
            ("/chat/x/y", plugin("two")),
            ("/chat/rooms", App::Broadcast),
            ("/chat/rooms/", plugin("one")),
            ("/files/", App::Channels),
            ("/files/a", App::Echo),
            ("/Chat", App::Echo),
        ] {
            let found = routes.find(path);
            assert_eq!(routes.apps()[found.app], expected, "{path}");
            assert!(found.is_routed);
        }
        assert_eq!(routes.apps().len(), 5, "each once: {:?}", routes.apps());
    }

    #[test]
    fn a_route_of_all_below_a_path_has_the_path_too_unless_another_route_is_exact() {
        let app = |table: &[(&str, App)], path| {
            let routes = routes(table);
            routes.apps()[routes.find(path).app].clone()
        };
        let below = [("/chat/*", App::Echo)];
        for (path, expected) in [
            ("/chat", App::Echo),
            ("/chat/", App::Echo),
            ("/chat/a", App::Echo),
            ("/chat//", App::Echo),
            ("/chatter", App::Channels),
            ("/cha", App::Channels),
            ("/", App::Channels),
        ] {
            assert_eq!(app(&below, path), expected, "{path}");
        }
        // In whichever order they stand.
        let mut both =
            [("/chat", App::Broadcast), ("/chat/*", App::Echo), ("/chat/", App::Channels)];
        for _ in 0..2 {
            assert_eq!(app(&both, "/chat"), App::Broadcast);
            assert_eq!(app(&both, "/chat/"), App::Channels);
            assert_eq!(app(&both, "/chat/a"), App::Echo);
            both.reverse();
        }
        let nested = [("/a/*", App::Echo), ("/a/b/*", App::Broadcast)];
        assert_eq!(app(&nested, "/a/b"), App::Broadcast);
        assert_eq!(app(&nested, "/a/bc"), App::Echo);
        assert_eq!(app(&[("/*", App::Echo)], "/"), App::Echo);
        assert_eq!(app(&[("/*", App::Echo)], "/any/where"), App::Echo);
    }

    #[test]
    fn without_a_route_it_is_the_servers() {
        let none = routes(&[]);
        assert_eq!(none.find("/any"), Found { app: 0, is_routed: false });
        assert!(none.is_one_for_all());
        let same = routes(&[("/a", App::Channels)]);
        assert!(same.is_one_for_all() && same.find("/a").is_routed);
        let one = routes(&[("/a", App::Echo)]);
        assert!(!one.is_one_for_all());
        assert_eq!(one.find("/a/"), Found { app: 0, is_routed: false });
    }
}
