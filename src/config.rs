//! The configuration: built-in defaults, one TOML file, the environment, the command line.
//!
//! Owns the way from those four to a [`Config`] of plain data, and all the words an operator reads
//! about it. Each later source wins over the ones before. Every setting is declared once, in the
//! table of keys; parsing, variable names, `config default`, `config show` and the reference of the
//! documentation come from that table.
//!
//! Only [`Config::load`] touches the outside, to read the file. Nothing here looks for a file that
//! was not named, resolves a host, opens a log or writes anything. Nothing from outside can make it
//! panic, and all that is wrong is reported at once.

mod access;
mod address;
mod array;
mod assemble;
mod certificates;
mod document;
mod environment;
mod error;
mod expectation;
mod file;
mod keys;
mod listener;
mod overrides;
mod process;
mod reading;
mod reference;
mod relations;
mod render;
mod route;
mod rules;
mod secret;
mod service_links;
mod settings;
mod source;
mod spans;
mod suggest;
mod surroundings;
mod swoole;
mod syntax;
mod table;
mod units;
mod value;
mod words;

use std::path::PathBuf;

use reading::Reading;

pub use address::{AddressError, ListenAddress};
pub use certificates::{CERTIFICATES_MAX, CertificateConfig};
pub(crate) use environment::passed_over;
pub use error::{ConfigError, ConfigErrors, ERRORS_MAX, Place};
pub use file::FILE_BYTES_MAX;
pub(crate) use file::{FileText, error as file_error, read_again as read_file_again, unreadable};
pub use listener::{Door, LISTENERS_MAX, ListenerConfig, ListenerProtocol, MAIN_LISTENER, Mode};
pub use overrides::{Overrides, check_value};
pub use process::{INSTANCES_MAX, PROCESSES_MAX, ProcessConfig, Restart};
pub use reference::reference_markdown;
pub use render::default_toml;
pub use route::{ROUTES_MAX, RouteConfig};
pub use secret::Secret;
pub use settings::{
    ApiConfig, App, ChannelsConfig, ClientAuth, CompressionConfig, DrainCloseCode, ForwardedHeader,
    LimitsConfig, LogLevel, RatePolicy, ServerConfig, SlowClient, Takeover, TlsConfig, TlsVersion,
};
pub use source::{Origin, Sources};
pub(crate) use surroundings::cpu_list;
pub use surroundings::{CpuAffinity, DescriptorLimit, FileMask};
pub use units::parse_duration;

/// The variable that names the file when no flag does.
pub const CONFIG_VARIABLE: &str = "WSMASTER_CONFIG";

/// What the server is told to do, complete and valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it listens and how it lives.
    pub server: ServerConfig,
    /// What its connections are encrypted with, if they are.
    pub tls: TlsConfig,
    /// What clients may cost.
    pub limits: LimitsConfig,
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

/// What the automatic values depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The user the process runs as.
    pub uid: u32,
    /// CPUs the process may use.
    pub cpus: usize,
    /// `$XDG_RUNTIME_DIR`, where it is an absolute path.
    pub runtime_dir: Option<PathBuf>,
}

impl Machine {
    /// Takes the directory from the environment `env`.
    #[must_use]
    pub fn new(env: &[(String, String)], uid: u32, cpus: usize) -> Self {
        let runtime_dir = env
            .iter()
            .find(|(name, _)| name == "XDG_RUNTIME_DIR")
            .map(|(_, path)| PathBuf::from(path))
            .filter(|path| path.is_absolute());
        Self { uid, cpus, runtime_dir }
    }
}

impl Config {
    /// Reads everything: the file named by `flags` or by [`CONFIG_VARIABLE`], if any, then `env`,
    /// then `flags`. Without a name there is no file: none is searched for.
    ///
    /// # Errors
    /// All that is wrong, in all sources; or that the file cannot be read.
    pub fn load(
        flags: &Overrides,
        env: &[(String, String)],
        uid: u32,
        cpus: usize,
    ) -> Result<Self, ConfigErrors> {
        let file = match file_path(flags, env) {
            Some(path) => Some(load_file(&path)?),
            None => None,
        };
        Self::of_file(file.as_ref(), flags, env, uid, cpus)
    }

    /// As [`Self::load`], with what is in the file.
    pub(crate) fn of_file(
        file: Option<&FileText>,
        flags: &Overrides,
        env: &[(String, String)],
        uid: u32,
        cpus: usize,
    ) -> Result<Self, ConfigErrors> {
        let machine = Machine::new(env, uid, cpus);
        let file = file.map(|file| (file.name.as_str(), file.text.as_str()));
        Self::from_layers(file, env, flags, &machine)
    }

    /// The defaults with the file `text` over them; `name` is what the file is called in messages.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn from_toml(text: &str, name: &str, machine: &Machine) -> Result<Self, ConfigErrors> {
        Self::from_layers(Some((name, text)), &[], &Overrides::default(), machine)
    }

    /// The defaults alone.
    #[must_use]
    pub fn defaults(machine: &Machine) -> Self {
        assemble::defaults(machine)
    }

    /// All sources over each other: the defaults, the file as name and text, the environment and
    /// the flags. Reads nothing: of `flags` and `env`, the name of a file is ignored.
    ///
    /// # Errors
    /// All that is wrong, in all sources.
    pub fn from_layers(
        file: Option<(&str, &str)>,
        env: &[(String, String)],
        flags: &Overrides,
        machine: &Machine,
    ) -> Result<Self, ConfigErrors> {
        let mut reading = Reading::default();
        if let Some((name, text)) = file {
            document::read(name, text, &mut reading);
        }
        environment::read(env, &mut reading);
        overrides::read(flags, &mut reading);
        let Reading { given, mut errors, refused, processes, listeners, routes, certificates } =
            reading;
        let tables = assemble::Tables {
            processes: &processes,
            listeners: &listeners,
            routes: &routes,
            certificates: &certificates,
        };
        let config = assemble::assemble(given, tables, file.map(|(name, _)| name), machine);
        errors.extend(relations::check(&config, &refused));
        errors.extend(process::check_together(&config));
        errors.extend(listener::check_together(&config));
        errors.extend(route::check_together(&config));
        ConfigErrors::check(errors)?;
        Ok(config)
    }

    /// Errors about settings whose values turned out to be wrong when they were used, each at the place of its setting.
    pub(crate) fn refuse<'a>(
        &self,
        problems: impl IntoIterator<Item = (&'a str, String)>,
    ) -> ConfigErrors {
        let errors = problems.into_iter().map(|(path, problem)| {
            let place = self.origin(path).and_then(Origin::place);
            let nowhere = || Place::File { name: "built-in settings".to_owned() };
            ConfigError::new(place.unwrap_or_else(nowhere), path, problem)
        });
        ConfigErrors::of(errors.collect())
    }

    /// The effective values as a file, with the origin of each behind it; secrets are not shown.
    #[must_use]
    pub fn show(&self) -> String {
        render::show(self)
    }

    /// Where the setting `path`, such as `server.port` or `listener[0].mode`, came from; `None` if
    /// there is no such key.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        match keys::position(path) {
            Some(key) => Some(self.sources.origin(key)),
            None => certificates::origin(self, path).or_else(|| self.sources.table_origin(path)),
        }
    }

    /// The settings in the file that are secrets, or have the name of one.
    pub(crate) fn secrets_of_file(&self) -> Vec<String> {
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

/// The file that is named, if one is.
pub(crate) fn file_path(flags: &Overrides, env: &[(String, String)]) -> Option<PathBuf> {
    flags.config.clone().or_else(|| environment::config_path(env))
}

/// Reads the file.
pub(crate) fn load_file(path: &std::path::Path) -> Result<FileText, ConfigErrors> {
    Ok(file::load(path)?)
}
