//! What a restart needs, tried out by a process that ends at once, before anything that runs is given up for it.

use std::{io, time::Duration};

use wsmaster_ipc::{
    mailbox::MailboxPair,
    sys::{
        files,
        listener::{self, Holder},
        log_file::LogPlace,
        process, socket,
    },
};

use super::{
    Endpoint, StartError,
    control::clear,
    listeners::{owner_here, resolve_here},
    pid_file::{PidFile, control_path},
    surroundings::{self, Kind},
};
use crate::{
    apart::apart,
    config::{Config, ListenAddress, ListenerConfig},
    missing,
};

/// How long all that may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is said of it.
const REPORT_BYTES_MAX: usize = 16 * 1024;

/// Looks whether a server with this configuration would come up in the place of the one that runs with the same PID file, and
/// listens at `held`, as its status says; not known when it does not answer. To be called in a process with one thread.
///
/// # Errors
/// Why it would not, in one line.
pub(crate) fn rehearse_start(config: &Config, held: Option<&[String]>) -> Result<(), String> {
    let parent = process::own_pid();
    let tried = apart(PATIENCE, REPORT_BYTES_MAX, || try_start(config, held, parent));
    tried.unwrap_or_else(|error| Err(format!("the start cannot be tried out: {error}")))
}

/// In a process of its own, which this changes beyond use. `held`: where the server listens that runs; not known when it does
/// not answer.
fn try_start(config: &Config, held: Option<&[String]>, parent: i32) -> Result<(), String> {
    let server = &config.server;
    let told = |error: StartError| error.to_string();
    if let Some(mask) = server.umask {
        files::set_mask(mask.bits());
    }
    if let Some(path) = &server.log_file {
        let opened = LogPlace::new(path).and_then(|place| place.open());
        opened.map_err(|error| {
            let why = missing::directory(path).unwrap_or_else(|| error.to_string());
            format!("the log file {} cannot be opened: {why}; see server.log_file", path.display())
        })?;
    }
    for wanted in config.all_listeners() {
        try_listener(&wanted, held).map_err(told)?;
    }
    try_pid_file(config).map_err(told)?;
    let surroundings = surroundings::settle(config).map_err(told)?;
    try_descriptors(config)
        .map_err(|error| StartError::System("mailboxes and listeners", error).to_string())?;
    surroundings.enter(Kind::Worker(0), parent)
}

fn try_listener(wanted: &ListenerConfig, held: Option<&[String]>) -> Result<(), StartError> {
    let name = || wanted.name.clone();
    match &wanted.address {
        ListenAddress::Tcp { host, port } => {
            let address = resolve_here(host, *port)
                .map_err(|error| StartError::Resolve(wanted.address.to_string(), name(), error))?;
            match socket::probe(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let is_held = |held: &[String]| {
                        let held = held.iter().filter_map(|held| held.parse().ok());
                        held.into_iter().any(|held| overlap(held, address))
                    };
                    if held.is_none_or(is_held) {
                        return Ok(());
                    }
                    Err(StartError::Bind(Endpoint::Inet(address).to_string(), name(), error))
                }
                Err(error) => {
                    Err(StartError::Bind(Endpoint::Inet(address).to_string(), name(), error))
                }
                Ok(()) => Ok(()),
            }
        }
        ListenAddress::Unix(path) => {
            let endpoint = Endpoint::Unix(path.clone()).to_string();
            let is_held = held.is_none_or(|held| held.contains(&endpoint));
            let looked = owner_here(wanted).and_then(|_| match listener::holder_of(path)? {
                Holder::Living(_) if !is_held => Err(io::ErrorKind::AddrInUse.into()),
                Holder::Nobody | Holder::LeftBehind | Holder::Living(_) => may_write_beside(path),
            });
            looked.map_err(|error| StartError::Bind(endpoint, name(), error))
        }
    }
}

/// Whether two addresses cannot be bound at the same time by two programs.
fn overlap(one: std::net::SocketAddr, other: std::net::SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}

fn may_write_beside(path: &std::path::Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(std::path::Path::new("."));
    std::fs::metadata(directory)?;
    if files::may_write_in(directory) {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

fn try_pid_file(config: &Config) -> Result<(), StartError> {
    let path = PidFile::make_place(&config.server.pid_file)?;
    let control = control_path(&path);
    let looked = may_write_beside(&path).and_then(|()| match clear(&control) {
        // The server that runs listens there.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
        looked => looked.map(drop),
    });
    looked.map_err(|error| StartError::Control(control.display().to_string(), error))
}

/// As many descriptors as the master will hold: two for each mailbox, and a socket for each worker and listener.
fn try_descriptors(config: &Config) -> io::Result<()> {
    let workers = config.server.workers;
    let sides: usize = config.processes.iter().map(|process| usize::from(process.instances)).sum();
    let mailboxes = 1 + workers + sides + config.server.task_workers;
    let mut held = Vec::with_capacity(mailboxes);
    for _ in 0..mailboxes {
        held.push(MailboxPair::new()?);
    }
    let listeners = config.all_listeners().len() * workers;
    let nowhere = std::fs::File::open("/dev/null")?;
    let _held: Vec<_> = (0..listeners).map(|_| nowhere.try_clone()).collect::<io::Result<_>>()?;
    Ok(())
}
