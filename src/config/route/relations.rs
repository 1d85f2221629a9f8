//! What must hold between routes, and between applications and processes.
//!
//! Owns the rules: no path twice, every `plugin:NAME` is the name of a process, and the events that
//! only an application can be asked. It runs on the complete configuration.

use std::collections::BTreeMap;

use wsmaster_protocol::plugin::EventKind;

use super::ARRAY;
use crate::config::Config;
use crate::config::error::ConfigError;
use crate::config::keys;
use crate::config::process;
use crate::config::source::Origin;
use crate::config::suggest::nearest;

/// What the routes of `config` break.
pub(in crate::config) fn check(config: &Config) -> Vec<ConfigError> {
    let mut errors = repeated_paths(config);
    errors.extend(unknown_plugins(config));
    errors.extend(deciders_of_nothing(config));
    errors.extend(second_takers_of_requests(config));
    errors
}

fn repeated_paths(config: &Config) -> Vec<ConfigError> {
    let mut first_of = BTreeMap::new();
    let mut errors = Vec::new();
    for (number, route) in config.routes.iter().enumerate() {
        // A path that is missing or wrong.
        let Some(origin) = origin(config, number, "path") else { continue };
        let Some(place) = origin.place() else { continue };
        match first_of.get(route.path.as_str()) {
            Some((first, first_origin)) => {
                let problem = format!(
                    "expected a path of its own, found \"{}\", which is {} ({first_origin})",
                    route.path,
                    ARRAY.subject(*first)
                );
                errors.push(ConfigError::new(place, &subject(number, "path"), problem));
            }
            None => {
                first_of.insert(route.path.as_str(), (number, origin));
            }
        }
    }
    errors
}

fn unknown_plugins(config: &Config) -> Vec<ConfigError> {
    let check = |subject: &str, name: Option<&str>, origin: Option<&Origin>| {
        let name = name?;
        if config.processes.iter().any(|process| process.name == name) {
            return None;
        }
        let place = origin?.place()?;
        let names: Vec<&str> =
            config.processes.iter().map(|process| process.name.as_str()).collect();
        let hint = match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(meant), _) => format!("; did you mean \"plugin:{meant}\"?"),
            (None, true) => format!("; there is no {} at all", process::ARRAY.header),
            (None, false) => format!("; there is {}", names.join(", ")),
        };
        let problem =
            format!("expected the name of a {}, found \"{name}\"{hint}", process::ARRAY.header);
        Some(ConfigError::new(place, subject, problem))
    };
    let server = keys::position("server.app").map(|key| config.sources.origin(key));
    let server = check("server.app", config.server.app.plugin(), server);
    let routes = config.routes.iter().enumerate().filter_map(|(number, route)| {
        check(&subject(number, "app"), route.app.plugin(), origin(config, number, "app"))
    });
    server.into_iter().chain(routes).collect()
}

/// Who wants to decide handshakes is asked about those of its own connections, so it must have some.
fn deciders_of_nothing(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (number, process) in config.processes.iter().enumerate() {
        if !process.events.contains(&EventKind::Handshake) || config.is_application(&process.name) {
            continue;
        }
        if let Some((place, subject)) = events_of(config, number) {
            let problem = format!(
                "expected \"handshake\" only of an application: no route and no server.app is \"plugin:{}\"",
                process.name
            );
            errors.push(ConfigError::new(place, &subject, problem));
        }
    }
    errors
}

/// A request has one answer.
fn second_takers_of_requests(config: &Config) -> Vec<ConfigError> {
    let mut takers = config
        .processes
        .iter()
        .enumerate()
        .filter(|(_, process)| process.events.contains(&EventKind::Request));
    let Some((first, _)) = takers.next() else { return Vec::new() };
    takers
        .filter_map(|(number, _)| {
            let (place, subject) = events_of(config, number)?;
            let problem = format!(
                "expected \"request\" of one process only, and {}[{first}] has it; give this one a [[route]]",
                process::ARRAY.section
            );
            Some(ConfigError::new(place, &subject, problem))
        })
        .collect()
}

fn events_of(config: &Config, number: usize) -> Option<(crate::config::error::Place, String)> {
    let subject = format!("{}.events", process::ARRAY.subject(number));
    let origin = config.sources.table_origin(&subject)?;
    Some((origin.place()?, subject))
}

fn origin<'a>(config: &'a Config, number: usize, key: &str) -> Option<&'a Origin> {
    ARRAY.position(key).map(|key| config.sources.route_origin(number, key))
}

fn subject(number: usize, key: &str) -> String {
    format!("{}.{key}", ARRAY.subject(number))
}
