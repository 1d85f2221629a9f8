//! The configuration: built-in defaults, one TOML file, the environment, the command line.
//!
//! Owns the way from those four to a [`Config`] of plain data, and all the words an operator reads
//! about it. Each later source wins over the ones before. Every setting is declared once, where
//! its field is; parsing, variable names, `config default`, `config show` and the reference of the
//! documentation come from that declaration.
//!
//! Four floors, each of which knows only those before it: `model` (the declarations, and the configuration as plain data),
//! `read` (from the sources to what they give), `check` (what must hold between settings), `write` (texts); and `load`, which
//! puts them together.
//!
//! Only [`Config::load`] touches the outside, to read the file. Nothing here looks for a file that
//! was not named, resolves a host, opens a log or writes anything. Nothing from outside can make it
//! panic, and all that is wrong is reported at once.

mod check;
mod load;
mod model;
mod read;
mod write;

pub(crate) use model::os_types::cpu_list;
pub use model::{
    address::{AddressError, ListenAddress},
    app::App,
    config::Config,
    error::{ConfigError, ConfigErrors, ERRORS_MAX, Place},
    features::{ApiConfig, ChannelsConfig, CompressionConfig, Takeover},
    listener::{
        HttpEndpoint, LISTENERS_MAX, ListenerConfig, ListenerProtocol, MAIN_LISTENER, Mode,
    },
    os_types::{CpuAffinity, DescriptorLimit, FileMask},
    process::{INSTANCES_MAX, PROCESSES_MAX, ProcessConfig, Restart},
    route::{ROUTES_MAX, RouteConfig},
    secret::Secret,
    server::{DrainCloseCode, ForwardedHeader, LogLevel, ServerConfig},
    source::Sources,
    tls::{CERTIFICATES_MAX, CertificateConfig, ClientAuth, TlsConfig, TlsVersion},
};
pub use read::{
    environment::{CONFIG_VARIABLE, passed_over},
    file::FILE_BYTES_MAX,
    overrides::{Overrides, check_value},
};
pub use write::{reference::reference_markdown, render::default_toml};
pub use wsmaster_settings::{Machine, Origin, parse_duration};
pub use wsmaster_workers::{Limits, RatePolicy, SlowClient};

/// How the command line reads the file, once at the start and again at each reload.
#[cfg(feature = "cli")]
pub(crate) use self::{
    load::{file_path, load_file},
    read::file::{FileText, error as file_error, read as read_file, unreadable},
};
