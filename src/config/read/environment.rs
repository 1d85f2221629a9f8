//! What the environment sets: `WSMASTER_SERVER_PORT=9600` is `port` of `[server]`.
//!
//! Owns the names of the variables. Every variable that starts with `WSMASTER_` must be known, so
//! that a typing error does not pass for a setting; but for what Kubernetes sets for a service.

use std::path::PathBuf;

use wsmaster_settings::{Origin, Raw, nearest};

use super::{reading::Reading, service_links::is_service_link};
use crate::config::model::{
    error::Place,
    tables::{KeyId, keys},
};

/// The variable that names the file when no flag does.
pub const CONFIG_VARIABLE: &str = "WSMASTER_CONFIG";

const PREFIX: &str = "WSMASTER_";

/// What a side process finds in its environment, and hands on to a `wsmaster status` that it runs.
const PLUGIN_PREFIX: &str = "WSMASTER_PLUGIN_";

/// The file named by the environment. An empty name is none, as for a variable that a container
/// file passes through without a value.
pub(crate) fn config_path(env: &[(String, String)]) -> Option<PathBuf> {
    let (_, path) = env.iter().find(|(name, path)| name == CONFIG_VARIABLE && !path.is_empty())?;
    Some(PathBuf::from(path))
}

/// Takes the values of the variables.
pub(crate) fn read(env: &[(String, String)], reading: &mut Reading) {
    let ours = env.iter().filter(|(name, value)| {
        name.starts_with(PREFIX)
            && !name.starts_with(PLUGIN_PREFIX)
            && name != CONFIG_VARIABLE
            && !is_service_link(name, value, env)
    });
    for (name, text) in ours {
        let Some(id) = keys().find(|id| id.variable() == *name) else {
            reading.refuse(Place::Environment, name, unknown(name));
            continue;
        };
        // The value was not UTF-8.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            reading.refuse(Place::Environment, name, "is not UTF-8");
            continue;
        }
        let origin = Origin::Environment { variable: name.clone() };
        reading.take(id, &Raw::Word(text), origin, Place::Environment, name);
    }
}

/// Variables with our prefix that Kubernetes has set for a service, and that set nothing here.
#[must_use]
pub fn passed_over(env: &[(String, String)]) -> Vec<&str> {
    let is_passed_over = |(name, value): &&(String, String)| {
        name.starts_with(PREFIX) && is_service_link(name, value, env)
    };
    env.iter().filter(is_passed_over).map(|(name, _)| name.as_str()).collect()
}

fn unknown(name: &str) -> String {
    match meant(name) {
        Some(variable) => format!("unknown variable; did you mean {variable}?"),
        None => "unknown variable".to_owned(),
    }
}

/// The variable that was meant by `name`: one whose key has this name or alias, with or without the
/// section, or else the nearest one.
fn meant(name: &str) -> Option<String> {
    let bare = name.strip_prefix(PREFIX)?;
    let bare = bare.strip_prefix("SERVER_").unwrap_or(bare);
    let by_name = keys().find(|id| {
        let (_, key) = id.get();
        let mut names = key.aliases.iter().chain(std::iter::once(&key.name));
        names.any(|name| name.eq_ignore_ascii_case(bare))
    });
    if let Some(id) = by_name {
        return Some(id.variable());
    }
    let variables: Vec<String> = keys().map(KeyId::variable).collect();
    let candidates = variables.iter().map(String::as_str).chain(std::iter::once(CONFIG_VARIABLE));
    // Without what all of them share: it would make any two of them near.
    let candidates = candidates.filter_map(|variable| variable.strip_prefix(PREFIX));
    nearest(name.strip_prefix(PREFIX)?, candidates).map(|bare| format!("{PREFIX}{bare}"))
}
