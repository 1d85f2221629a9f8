//! Words to systemd, when it is the one who started the server (`Type=notify`, sd_notify(3)). Without it, nothing happens.
//!
//! The master never waits for whoever reads them. What the socket has no room for is said again, in order.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fmt::Write,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use sd_notify::NotifyState;
use wsmaster_ipc::{Moment, sys::clock};

/// Words that wait for room in the socket. A newer one takes the place of the oldest.
const WAITING_WORDS_MAX: usize = 16;
/// How soon a socket that has no room is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The line to systemd, and when it wants to hear that the master is alive.
#[derive(Debug)]
pub(super) struct Systemd {
    /// Half of `WatchdogSec`, if it is set.
    every: Option<Duration>,
    next: Option<Moment>,
    /// Words that the socket has not taken, and when it is tried again.
    waiting: VecDeque<String>,
    again: Option<Moment>,
}

impl Systemd {
    /// Reads what systemd has put into the environment.
    pub(super) fn new(now: Moment) -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { every, next: every.map(|_| now), waiting: VecDeque::new(), again: None }
    }

    /// The server serves, or does so again after a reload.
    pub(super) fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload has begun.
    pub(super) fn reloading(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// The server stops.
    pub(super) fn stopping(&mut self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// When [`Self::beat`] has something to say next.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next.into_iter().chain(self.again).min()
    }

    /// Says what had no room, and that the master is alive, if it is time. It is called from the loop, so a master that hangs says nothing.
    pub(super) fn beat(&mut self, now: Moment) {
        if self.again.is_some_and(|at| now >= at) {
            self.say_what_waits(now);
        }
        if let (Some(every), Some(next)) = (self.every, self.next)
            && now >= next
        {
            // A beat that has no room is missed; the next one comes.
            let _ = send("WATCHDOG=1\n");
            self.next = Some(now + every);
        }
    }

    fn tell(&mut self, words: &[NotifyState<'_>]) {
        let mut text = String::new();
        for word in words {
            // Writing to memory does not fail.
            let _ = writeln!(text, "{word}");
        }
        if self.waiting.len() == WAITING_WORDS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(text);
        self.say_what_waits(clock::now());
    }

    fn say_what_waits(&mut self, now: Moment) {
        self.again = None;
        while let Some(text) = self.waiting.front() {
            match send(text) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.again = Some(now + AGAIN);
                    return;
                }
                Err(error) => log::debug!("systemd could not be told: {error}"),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }
}

/// Sends one datagram to systemd, without waiting.
fn send(text: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = address(&path)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}

/// A path, or a name in the abstract namespace behind an `@` (unix(7)).
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}
