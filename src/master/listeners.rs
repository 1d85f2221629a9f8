//! The sockets that the server listens on, for as long as it lives, and what becomes of them at a reload.
//!
//! Each worker's slot has a socket of its own for each listener of TCP (`SO_REUSEPORT`); a unix socket is one that all share.
//! The master keeps all of them, so that nothing that waits in them is lost with a worker. A listener that a new
//! configuration does not have any more is *retired*: it is served until every worker is a new one, then emptied and closed.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::{fd::AsFd, unix::net::UnixListener},
    path::PathBuf,
    time::Duration,
};

use wsmaster_ipc::{
    link::{MasterLink, ToChild},
    sys::{
        clock,
        listener::{self, Listener, SocketFile},
        socket,
        user::Identity,
    },
};
use wsmaster_workers::{ListenerRules, Listening};

use super::{PassedSockets, StartError, settings};
use crate::{
    apart::apart,
    config::{Config, ListenAddress, ListenerConfig},
    status::Listener as ListenerStatus,
};

/// How long the workers of a killed master may hold an address: the kernel ends them, after all their sockets.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(1);
/// The time between two looks at an address that they hold.
const ORPHANS_STEP: Duration = Duration::from_millis(10);

/// How long the address of a name, or the number of a user, may take to be found. The master serves nobody meanwhile.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);
/// What is said of one.
const NAMES_BYTES_MAX: usize = 4096;

/// Where a listener really listens: the port is the one that the kernel chose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// On TCP.
    Inet(SocketAddr),
    /// On a unix socket with this path.
    Unix(PathBuf),
}

/// As it is written in the configuration, and for TCP in a URL.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The first is that of `[server]`.
    present: Vec<Kept>,
    retired: Vec<Kept>,
    /// The number of the next one.
    next: u16,
}

/// One listener and its sockets.
#[derive(Debug)]
struct Kept {
    number: u16,
    config: ListenerConfig,
    endpoint: Endpoint,
    sockets: Sockets,
    /// The sockets came from systemd, which keeps them and starts the next server when somebody comes.
    is_passed: bool,
}

#[derive(Debug)]
enum Sockets {
    /// One for each slot.
    Each(Vec<TcpListener>),
    /// One for all.
    Shared(UnixListener, SocketFile),
}

impl Listeners {
    /// Binds all listeners of a configuration. `after_a_kill`: an address in use may be that of the last processes of a
    /// master that was killed; they are waited for. Sockets that were `passed` stand in the place of the first one.
    ///
    /// # Errors
    /// Whatever cannot be had; what was bound until then is given back.
    pub(super) fn bind(
        config: &Config,
        after_a_kill: bool,
        passed: Option<PassedSockets>,
    ) -> Result<Self, StartError> {
        let mut listeners = Self { present: Vec::new(), retired: Vec::new(), next: 0 };
        let patience = if after_a_kill { ORPHANS_PATIENCE } else { Duration::ZERO };
        let mut passed = passed;
        for wanted in config.all_listeners() {
            // What was made until then goes with the list, if this fails.
            let kept = match passed.take() {
                Some(passed) => {
                    let endpoint = Endpoint::Inet(passed.address());
                    let sockets = Sockets::Each(passed.deal(config.server.workers)?);
                    Kept { is_passed: true, ..listeners.number(wanted, endpoint, sockets) }
                }
                None => listeners.bind_one(wanted, config, patience)?,
            };
            listeners.present.push(kept);
        }
        Ok(listeners)
    }

    fn number(&mut self, config: ListenerConfig, endpoint: Endpoint, sockets: Sockets) -> Kept {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        Kept { number, config, endpoint, sockets, is_passed: false }
    }

    fn bind_one(
        &mut self,
        wanted: ListenerConfig,
        config: &Config,
        patience: Duration,
    ) -> Result<Kept, StartError> {
        let begun = clock::now();
        loop {
            match bind(&wanted, config) {
                Err(StartError::Bind(_, _, error))
                    if error.kind() == io::ErrorKind::AddrInUse
                        && (clock::now() - begun) < patience =>
                {
                    std::thread::sleep(ORPHANS_STEP);
                }
                Err(error) => return Err(error),
                Ok((endpoint, sockets)) => return Ok(self.number(wanted, endpoint, sockets)),
            }
        }
    }

    /// Where the listener of `[server]` listens.
    pub(super) fn main(&self) -> Option<&Endpoint> {
        self.present.first().map(|kept| &kept.endpoint)
    }

    /// The present listeners and where they listen.
    pub(super) fn endpoints(&self) -> Vec<(ListenerConfig, Endpoint)> {
        self.present.iter().map(|kept| (kept.config.clone(), kept.endpoint.clone())).collect()
    }

    /// Duplicates of all that the worker of a slot listens on, those of retired listeners too.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(super) fn of_slot(&self, slot: u16) -> io::Result<Vec<Listening>> {
        let mut listening = Vec::with_capacity(self.present.len());
        for kept in self.present.iter().chain(&self.retired) {
            let socket = match &kept.sockets {
                Sockets::Each(sockets) => match sockets.get(usize::from(slot)) {
                    Some(socket) => Listener::Tcp(socket.try_clone()?),
                    None => continue,
                },
                Sockets::Shared(socket, _) => Listener::Unix(socket.try_clone()?),
            };
            listening.push(Listening { socket, rules: kept.rules() });
        }
        Ok(listening)
    }

    /// Hands the sockets of a slot that is down to a worker of another one. Those that all share it has already.
    pub(super) fn cover(&self, slot: u16, by: &MasterLink) -> bool {
        self.present.iter().chain(&self.retired).all(|kept| match &kept.sockets {
            Sockets::Each(sockets) => sockets
                .get(usize::from(slot))
                .is_some_and(|socket| by.send_with(&kept.introduction(slot), socket.as_fd())),
            Sockets::Shared(..) => true,
        })
    }

    /// Takes a new configuration over: binds what is new in it, and retires what is not in it any more. Where something
    /// cannot be bound, all stays as it was. The numbers of the new ones.
    ///
    /// # Errors
    /// Why a new listener cannot be had.
    pub(super) fn change(&mut self, config: &Config) -> Result<Vec<u16>, StartError> {
        let mut wanted = config.all_listeners();
        // The first one is not changed by a reload.
        let main = wanted.remove(0);
        let is_kept = |kept: &Kept| wanted.iter().any(|wanted| kept.is_for(wanted));
        let mut added: Vec<Kept> = Vec::new();
        for wanted in &wanted {
            let has = |kept: &&mut Kept| kept.is_for(wanted);
            let known = self.present.iter_mut().skip(1).chain(&mut self.retired).find(has);
            match known {
                // That its file is another one's now is for the log: it goes on as it was.
                Some(kept) => kept.set_access(wanted).unwrap_or_else(|error| {
                    log::warn!("{} keeps its permissions: {error}", kept.endpoint);
                }),
                None => match self.bind_one(wanted.clone(), config, Duration::ZERO) {
                    Ok(kept) => added.push(kept),
                    Err(error) => {
                        added.iter().for_each(Kept::remove_file);
                        return Err(error);
                    }
                },
            }
        }
        let new = added.iter().map(|kept| kept.number).collect();
        let mut kept = std::mem::take(&mut self.present).into_iter();
        let mut present: Vec<Kept> = kept.next().into_iter().collect();
        let (stay, go): (Vec<Kept>, Vec<Kept>) =
            kept.chain(std::mem::take(&mut self.retired)).partition(is_kept);
        self.retired = go;
        present.extend(stay);
        present.extend(added);
        let position = |kept: &Kept| wanted.iter().position(|wanted| kept.is_for(wanted));
        // In the order of the configuration; the first one has none.
        present.sort_by_key(position);
        for kept in &mut present {
            let found = wanted.iter().find(|wanted| kept.is_for(wanted)).unwrap_or(&main);
            kept.config = found.clone();
        }
        self.present = present;
        Ok(new)
    }

    /// Hands the sockets of listeners that are new to the worker of a slot, which was forked before there were any.
    pub(super) fn introduce(&self, new: &[u16], slot: u16, worker: &MasterLink) {
        for kept in self.present.iter().filter(|kept| new.contains(&kept.number)) {
            let socket = match &kept.sockets {
                Sockets::Each(sockets) => sockets.get(usize::from(slot)).map(AsFd::as_fd),
                Sockets::Shared(socket, _) => Some(socket.as_fd()),
            };
            if let Some(socket) = socket {
                // If the line is full, the successor has it.
                worker.send_with(&kept.introduction(slot), socket);
            }
        }
    }

    /// Lets go of the retired listeners. Workers empty the sockets and let go of them when they are told of the numbers; no
    /// new client finds a unix socket any more, and one of TCP only until then.
    pub(super) fn retire(&mut self) -> Vec<u16> {
        let retired = std::mem::take(&mut self.retired);
        for kept in &retired {
            log::info!("listener {} ({}) is closed", kept.config.name, kept.endpoint);
            kept.remove_file();
        }
        retired.iter().map(|kept| kept.number).collect()
    }

    /// The server stops: closes what newcomers would wait in for nobody, so that the kernel refuses them at once. The
    /// workers still serve what is in their own duplicates until they are told.
    pub(super) fn close(&mut self) {
        for kept in self.present.iter_mut().chain(&mut self.retired) {
            if !kept.is_passed {
                kept.remove_file();
                kept.sockets = Sockets::Each(Vec::new());
            }
        }
    }

    /// How they are, for the status.
    pub(super) fn status(&self) -> Vec<ListenerStatus> {
        let describe = |kept: &Kept, state: &str| ListenerStatus {
            name: kept.config.name.clone(),
            address: kept.endpoint.to_string(),
            websocket: kept.rules().websocket,
            proxy_protocol: kept.config.proxy_protocol,
            tls: kept.config.tls,
            compression: kept.config.compression,
            state: state.to_owned(),
        };
        let present = self.present.iter().map(|kept| describe(kept, "listening"));
        present.chain(self.retired.iter().map(|kept| describe(kept, "retired"))).collect()
    }
}

/// The files of unix sockets end with the server. A killed one leaves them behind, and the next one replaces them.
impl Drop for Listeners {
    fn drop(&mut self) {
        for kept in self.present.iter().chain(&self.retired) {
            kept.remove_file();
        }
    }
}

impl Kept {
    /// Whether its sockets are what is wanted there. Where the kernel chooses the port, the name decides.
    fn is_for(&self, wanted: &ListenerConfig) -> bool {
        let is_chosen = matches!(wanted.address, ListenAddress::Tcp { port: 0, .. });
        self.config.address == wanted.address && (!is_chosen || self.config.name == wanted.name)
    }

    fn rules(&self) -> ListenerRules {
        settings::rules(self.number, &self.config)
    }

    fn introduction(&self, slot: u16) -> ToChild {
        let rules = serde_json::to_value(self.rules()).unwrap_or_default();
        ToChild::Cover { slot, rules }
    }

    fn set_access(&self, wanted: &ListenerConfig) -> io::Result<()> {
        match &self.sockets {
            Sockets::Each(_) => Ok(()),
            Sockets::Shared(_, file) => set_access(file, wanted),
        }
    }

    fn remove_file(&self) {
        match &self.sockets {
            Sockets::Each(_) => {}
            Sockets::Shared(_, file) => file.remove(),
        }
    }
}

fn bind(wanted: &ListenerConfig, config: &Config) -> Result<(Endpoint, Sockets), StartError> {
    let place = &wanted.name;
    let failed =
        |endpoint: &Endpoint, error| StartError::Bind(endpoint.to_string(), place.clone(), error);
    let (backlog, workers) = (config.server.backlog, config.server.workers);
    match &wanted.address {
        ListenAddress::Tcp { host, port } => {
            let address = resolve(host, *port).map_err(|error| {
                StartError::Resolve(wanted.address.to_string(), place.clone(), error)
            })?;
            let failed = |error| failed(&Endpoint::Inet(address), error);
            let sockets = socket::listeners(address, backlog, workers).map_err(failed)?;
            let bound = sockets.first().map_or(Ok(address), TcpListener::local_addr);
            Ok((Endpoint::Inet(bound.map_err(failed)?), Sockets::Each(sockets)))
        }
        ListenAddress::Unix(path) => {
            let endpoint = Endpoint::Unix(path.clone());
            let made = listener::unix_listener(path, backlog);
            let (socket, file) = made.map_err(|error| failed(&endpoint, error))?;
            if let Err(error) = set_access(&file, wanted) {
                file.remove();
                return Err(failed(&endpoint, error));
            }
            Ok((endpoint, Sockets::Shared(socket, file)))
        }
    }
}

fn set_access(file: &SocketFile, wanted: &ListenerConfig) -> io::Result<()> {
    let (user, group) = owner(wanted)?;
    file.set_access(wanted.mode.0, user, group)
}

/// The numbers of the user and the group that a socket's file is to belong to. The list of users may be on another machine.
fn owner(wanted: &ListenerConfig) -> io::Result<(Option<u32>, Option<u32>)> {
    if wanted.user.is_none() && wanted.group.is_none() {
        return Ok((None, None));
    }
    let found = apart(NAMES_PATIENCE, NAMES_BYTES_MAX, || {
        owner_here(wanted).map_err(|error| error.to_string())
    })?;
    found.map_err(|problem| io::Error::new(io::ErrorKind::NotFound, problem))
}

/// As [`owner`], in this process.
pub(super) fn owner_here(wanted: &ListenerConfig) -> io::Result<(Option<u32>, Option<u32>)> {
    let identity = Identity::look_up(wanted.user.as_deref(), wanted.group.as_deref())?;
    let user = identity.filter(|_| wanted.user.is_some()).map(|identity| identity.uid());
    Ok((user, identity.map(|identity| identity.gid())))
}

/// The first address of a name. Whoever knows it may be on another machine, which does not answer.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found = apart(NAMES_PATIENCE, NAMES_BYTES_MAX, || {
        resolve_here(host, port).map_err(|error| error.to_string())
    });
    found?.map_err(|problem| io::Error::new(io::ErrorKind::NotFound, problem))
}

/// As [`resolve`], in this process.
pub(super) fn resolve_here(host: &str, port: u16) -> io::Result<SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    (host, port).to_socket_addrs()?.next().ok_or_else(none)
}
