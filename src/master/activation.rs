//! Socket activation: listening sockets that systemd has opened and passed on (sd_listen_fds(3)), in the place of our own.
//!
//! Connections that come while the server is down or restarts wait in such a socket, which systemd keeps.

use std::net::{SocketAddr, TcpListener};

use wsmaster_ipc::sys::{activation, process};

use super::StartError;

/// What to do about sockets that cannot be used.
const ADVICE: &str =
    "the .socket unit needs ListenStream= with an IP address and a port, and Accept=no";
/// Sockets that are looked at, at most: one for each of the most workers there can be.
const SOCKETS_MAX: usize = 1_000;

/// Sockets that were passed, all on one address.
#[derive(Debug)]
pub struct PassedSockets {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
}

impl PassedSockets {
    /// Takes what was passed to this process, if anything was. Sockets that are for another process are left alone, and
    /// the log says so.
    ///
    /// # Errors
    /// One of them is no listening TCP socket, or they are not all on one address.
    pub fn take() -> Result<Option<Self>, StartError> {
        let variable = |name| std::env::var(name).ok();
        let (pid, count, names) =
            (variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
        match announced(pid.as_deref(), count.as_deref(), process::own_pid()) {
            Announced::Nothing => Ok(None),
            Announced::ForAnother(line) => {
                log::warn!("{line}");
                Ok(None)
            }
            Announced::Nonsense(line) => Err(StartError::Passed(line)),
            Announced::Sockets(count) => {
                let passed = Self::of(count, &names.unwrap_or_default())?;
                let address = passed.address;
                log::info!(
                    "systemd has passed {count} sockets on {address}: server.host and server.port are not used"
                );
                Ok(Some(passed))
            }
        }
    }

    fn of(count: usize, names: &str) -> Result<Self, StartError> {
        let mut names = names.split(':');
        let mut found: Option<Self> = None;
        for number in (activation::FIRST..).take(count) {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("without a name");
            let refused = |problem: &dyn std::fmt::Display| {
                let line =
                    format!("descriptor {number} ({name}), which systemd has passed, {problem}");
                StartError::Passed(line)
            };
            let listener = activation::listener(number)
                .map_err(|problem| refused(&format_args!("{problem}; {ADVICE}")))?;
            let address = listener
                .local_addr()
                .map_err(|error| refused(&format_args!("has no address: {error}")))?;
            match &mut found {
                None => found = Some(Self { listeners: vec![listener], address }),
                Some(found) if found.address == address => found.listeners.push(listener),
                Some(found) => {
                    let problem = format!(
                        "listens on {address}, and one before on {}; all must be on one address",
                        found.address
                    );
                    return Err(refused(&problem));
                }
            }
        }
        found.ok_or_else(|| StartError::Passed("LISTEN_FDS is 0".to_owned()))
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One listener for each worker: its own where there are as many as workers, or else the one that all share.
    pub(super) fn deal(self, workers: usize) -> Result<Vec<TcpListener>, StartError> {
        let count = self.listeners.len();
        match (<[TcpListener; 1]>::try_from(self.listeners), workers) {
            (Ok([shared]), workers) => {
                let copies = (0..workers).map(|_| shared.try_clone()).collect();
                let copies: std::io::Result<Vec<_>> = copies;
                copies.map_err(|error| StartError::System("the socket that was passed", error))
            }
            (Err(listeners), workers) if count == workers => Ok(listeners),
            (Err(_), workers) => Err(StartError::Passed(format!(
                "systemd has passed {count} sockets for {workers} workers: pass one that all share, or one for each (as \
                 many ListenStream= as server.workers, with ReusePort=yes)"
            ))),
        }
    }
}

/// What the environment says was passed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Announced {
    Nothing,
    /// So many sockets.
    Sockets(usize),
    /// Not to this process, in one line.
    ForAnother(String),
    /// It cannot be understood, in one line.
    Nonsense(String),
}

fn announced(pid: Option<&str>, count: Option<&str>, own_pid: i32) -> Announced {
    let (Some(pid), Some(count)) = (pid, count) else { return Announced::Nothing };
    let Ok(for_pid) = pid.parse::<i32>() else {
        return Announced::Nonsense(format!("LISTEN_PID is {pid:?}, which is no process id"));
    };
    if for_pid != own_pid {
        return Announced::ForAnother(format!(
            "sockets were passed to process {for_pid} (LISTEN_PID), which is not this one ({own_pid}), and are not used; below \
             systemd the server must stay in the foreground"
        ));
    }
    match count.parse::<usize>() {
        Ok(0) => Announced::Nothing,
        Ok(count) if count <= SOCKETS_MAX => Announced::Sockets(count),
        Ok(_) | Err(_) => Announced::Nonsense(format!(
            "LISTEN_FDS is {count:?}: expected a number from 0 to {SOCKETS_MAX}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_says() {
        for (pid, count, expected) in [
            (None, None, "nothing"),
            (None, Some("1"), "nothing"),
            (Some("7"), None, "nothing"),
            (Some("7"), Some("0"), "nothing"),
            (Some("7"), Some("3"), "3"),
            (Some("8"), Some("3"), "another"),
            (Some("x"), Some("3"), "nonsense"),
            (Some("7"), Some("x"), "nonsense"),
            (Some("7"), Some("-1"), "nonsense"),
            (Some("7"), Some("4294967295"), "nonsense"),
        ] {
            let found = match announced(pid, count, 7) {
                Announced::Nothing => "nothing".to_owned(),
                Announced::Sockets(count) => count.to_string(),
                Announced::ForAnother(_) => "another".to_owned(),
                Announced::Nonsense(_) => "nonsense".to_owned(),
            };
            assert_eq!(found, expected, "{pid:?} {count:?}");
        }
    }

    #[test]
    fn one_is_shared_and_as_many_as_workers_are_dealt_out() {
        let passed = |count: usize| {
            let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
            let listeners: Vec<_> = (0..count).map(|_| listener()).collect();
            PassedSockets { address: listeners[0].local_addr().unwrap(), listeners }
        };
        let addresses = |dealt: Vec<TcpListener>| {
            let mut addresses: Vec<_> = dealt.iter().map(|one| one.local_addr().unwrap()).collect();
            addresses.dedup();
            (dealt.len(), addresses.len())
        };
        assert_eq!(addresses(passed(1).deal(4).unwrap()), (4, 1));
        assert_eq!(addresses(passed(3).deal(3).unwrap()), (3, 3));
        for (count, workers) in [(2, 1), (2, 3), (4, 3)] {
            let error = passed(count).deal(workers).unwrap_err().to_string();
            assert!(error.contains("ReusePort=yes"), "{error}");
        }
    }
}
