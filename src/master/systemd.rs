//! Words to systemd, when it is the one who started the server (`Type=notify`, sd_notify(3)). Without it, nothing happens.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The line to systemd, and when it wants to hear that the master is alive.
#[derive(Debug)]
pub(super) struct Systemd {
    /// Half of `WatchdogSec`, if it is set.
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Systemd {
    /// Reads what systemd has put into the environment.
    pub(super) fn new(now: Instant) -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { every, next: every.map(|_| now) }
    }

    /// The server serves, or does so again after a reload.
    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload has begun.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The server stops.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// When [`Self::beat`] has something to say next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.next
    }

    /// Says that the master is alive, if it is time. It is called from the loop, so a master that hangs says nothing.
    pub(super) fn beat(&mut self, now: Instant) {
        if let (Some(every), Some(next)) = (self.every, self.next)
            && now >= next
        {
            tell(&[NotifyState::Watchdog]);
            self.next = Some(now + every);
        }
    }
}

fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        log::debug!("systemd could not be told: {error}");
    }
}
