//! What must hold between routes, and between applications and processes.
//!
//! Owns the rules: no path twice, every `plugin:NAME` is the name of a process, and the events that
//! only an application can be asked. It runs on the complete configuration.

use wsmaster_protocol::plugin::EventKind;
use wsmaster_settings::{Settings, nearest};

use super::own::{path, repeated};
use crate::config::model::{
    config::Config,
    error::{ConfigError, Place},
    process::ProcessConfig,
    route::RouteConfig,
};

/// What the routes of `config` break.
pub(crate) fn check(config: &Config) -> Vec<ConfigError> {
    let paths = config.routes.iter().map(|route| route.path.as_str());
    let mut errors = repeated(config, RouteConfig::SCHEMA, "path", paths);
    errors.extend(unknown_plugins(config));
    errors.extend(deciders_of_nothing(config));
    errors.extend(second_takers_of_requests(config));
    errors
}

fn unknown_plugins(config: &Config) -> Vec<ConfigError> {
    let check = |subject: &str, name: Option<&str>| {
        let name = name?;
        if config.processes.iter().any(|process| process.name == name) {
            return None;
        }
        let place = config.place(subject)?;
        let header = ProcessConfig::SCHEMA.header();
        let names: Vec<&str> =
            config.processes.iter().map(|process| process.name.as_str()).collect();
        let hint = match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(meant), _) => format!("; did you mean \"plugin:{meant}\"?"),
            (None, true) => format!("; there is no {header} at all"),
            (None, false) => format!("; there is {}", names.join(", ")),
        };
        let problem = format!("expected the name of a {header}, found \"{name}\"{hint}");
        Some(ConfigError::new(place, subject, problem))
    };
    let server = check("server.app", config.server.app.plugin());
    let routes = config.routes.iter().enumerate().filter_map(|(number, route)| {
        check(&path(RouteConfig::SCHEMA, number, "app"), route.app.plugin())
    });
    server.into_iter().chain(routes).collect()
}

/// A side process decides the handshakes of its own connections only: with `handshake` among its events it must have some.
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
                "expected \"request\" of one process only, and {} has it; give this one a [[route]]",
                ProcessConfig::SCHEMA.subject(first)
            );
            Some(ConfigError::new(place, &subject, problem))
        })
        .collect()
}

fn events_of(config: &Config, number: usize) -> Option<(Place, String)> {
    let subject = path(ProcessConfig::SCHEMA, number, "events");
    Some((config.place(&subject)?, subject))
}
