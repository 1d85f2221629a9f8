//! The configuration as plain data: what all the tables of the file say, and where it came from.
//!
//! Owns how the tables become one value, and what follows from several of them.

use wsmaster_settings::{Machine, Origin};
use wsmaster_workers::Limits;

use super::{
    address::ListenAddress,
    error::{ConfigError, ConfigErrors, Place},
    features::{ApiConfig, ChannelsConfig, CompressionConfig},
    listener::{ListenerConfig, MAIN_LISTENER},
    process::ProcessConfig,
    route::RouteConfig,
    secret,
    server::ServerConfig,
    source::Sources,
    tls::TlsConfig,
};

/// All settings of a server, complete and valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it listens and how it lives.
    pub server: ServerConfig,
    /// What its connections are encrypted with, if they are.
    pub tls: TlsConfig,
    /// What clients may cost.
    pub limits: Limits,
    /// The compression of messages.
    pub compression: CompressionConfig,
    /// The HTTP interface.
    pub api: ApiConfig,
    /// The channel application.
    pub channels: ChannelsConfig,
    /// Where it listens beside the address of `[server]`, in the order of the file and then of the flags.
    pub listeners: Vec<ListenerConfig>,
    /// The programs beside the workers, in the order of the file.
    pub processes: Vec<ProcessConfig>,
    /// What the clients of a path are connected to, in the order of the file.
    pub routes: Vec<RouteConfig>,
    /// Where all this came from.
    pub sources: Sources,
}

impl Config {
    /// What the sources give, with the defaults filled in.
    pub(crate) fn of_sources(mut sources: Sources, machine: &Machine) -> Self {
        let tables = &sources.tables;
        let config = Self {
            server: tables.one(machine),
            tls: TlsConfig { certificates: tables.all(machine), ..tables.one(machine) },
            limits: tables.one(machine),
            compression: tables.one(machine),
            api: tables.one(machine),
            channels: tables.one(machine),
            listeners: tables.all(machine),
            processes: tables.all(machine),
            routes: tables.all(machine),
            sources: Sources::default(),
        };
        sources.tables.forget_values();
        Self { sources, ..config }
    }

    /// Errors about settings whose values turned out to be wrong when they were used, each at the place of its setting.
    pub(crate) fn refuse<'a>(
        &self,
        problems: impl IntoIterator<Item = (&'a str, String)>,
    ) -> ConfigErrors {
        let errors = problems.into_iter().map(|(path, problem)| {
            let place = self.place(path);
            let nowhere = || Place::File { name: "built-in settings".to_owned() };
            ConfigError::new(place.unwrap_or_else(nowhere), path, problem)
        });
        ConfigErrors::of(errors.collect())
    }

    /// Where the setting `path`, such as `server.port` or `listener[0].mode`, came from; `None` if
    /// there is no such key.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.sources.tables.origin(path)
    }

    /// Where an error about the setting `path` is reported; `None` if no source set it.
    pub(crate) fn place(&self, path: &str) -> Option<Place> {
        self.origin(path).and_then(Place::of)
    }

    /// The listener that `[server]` says.
    #[must_use]
    pub fn main_listener(&self) -> ListenerConfig {
        ListenerConfig {
            name: MAIN_LISTENER.to_owned(),
            address: self.server.address(),
            proxy_protocol: self.server.proxy_protocol,
            tls: self.tls.is_on() && matches!(self.server.address(), ListenAddress::Tcp { .. }),
            ..ListenerConfig::default()
        }
    }

    /// All listeners, that of `[server]` first.
    #[must_use]
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        std::iter::once(self.main_listener()).chain(self.listeners.iter().cloned()).collect()
    }

    /// The settings in the file that are secrets, or have the name of one.
    #[must_use]
    pub fn secrets_of_file(&self) -> Vec<String> {
        let is_of_file = |path: &str| matches!(self.origin(path), Some(Origin::File { .. }));
        let key = (!self.api.key.is_empty() && is_of_file("api.key")).then(|| "api.key".to_owned());
        let variables = self.processes.iter().enumerate().flat_map(|(number, process)| {
            let secret = process.env.keys().filter(|name| secret::is_name_of_one(name));
            secret.map(move |name| format!("process[{number}].env.{name}"))
        });
        key.into_iter().chain(variables).collect()
    }

    /// Whether the `[[process]]` of this name is an application: the server's, or that of a route.
    #[must_use]
    pub fn is_application(&self, process: &str) -> bool {
        let apps = self.routes.iter().map(|route| &route.app);
        apps.chain([&self.server.app]).any(|app| app.plugin() == Some(process))
    }
}
