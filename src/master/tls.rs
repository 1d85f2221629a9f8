//! What the workers encrypt with, as the master keeps it: in sealed memory files that it hands on and does not read, but
//! for the moment in which it makes new keys for session tickets.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{SystemTime, UNIX_EPOCH},
};

use wsmaster_ipc::{
    Moment,
    sys::{
        clock,
        memory::{read_sealed_file, sealed_file},
        random,
    },
};
use wsmaster_workers::{
    Handler,
    tls::{SealedCredentials, TICKET_LIFETIME, TicketKeys},
};
use zeroize::Zeroizing;

use super::Master;
use crate::{
    status,
    tls::{Certificate, LoadedTls},
    worker_info::WorkerInfo,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) loaded: LoadedTls,
    ticket_keys: OwnedFd,
    turn_at: Moment,
}

impl Tls {
    pub(super) fn new(loaded: LoadedTls, now: Moment) -> io::Result<Self> {
        let keys = TicketKeys::new(random::bytes()?);
        let ticket_keys = sealed_file(keys.as_bytes())?;
        Ok(Self { loaded, ticket_keys, turn_at: now + TICKET_LIFETIME })
    }

    /// What a worker takes with it.
    pub(super) fn for_a_worker(&self) -> io::Result<SealedCredentials> {
        Ok(SealedCredentials {
            credentials: self.loaded.credentials.try_clone()?,
            ticket_keys: self.ticket_keys.try_clone()?,
        })
    }

    /// When the keys of tickets are turned next.
    pub(super) fn turn_at(&self) -> Moment {
        self.turn_at
    }

    /// The file of the keys of tickets.
    pub(super) fn ticket_keys(&self) -> BorrowedFd<'_> {
        self.ticket_keys.as_fd()
    }

    /// Turns the keys of tickets if it is time. Whether it was.
    pub(super) fn turn(&mut self, now: Moment) -> io::Result<bool> {
        if now < self.turn_at {
            return Ok(false);
        }
        self.turn_at = now + TICKET_LIFETIME;
        let old = read_sealed_file(self.ticket_keys.try_clone()?, TicketKeys::SEED_BYTES)?;
        let old = Zeroizing::new(old);
        let keys = TicketKeys::from_bytes(&old).ok_or(io::ErrorKind::InvalidData)?;
        self.ticket_keys = sealed_file(keys.turned(random::bytes()?).as_bytes())?;
        Ok(true)
    }

    /// For the status.
    pub(super) fn status(&self) -> status::Tls {
        let now_unix_s = now_unix_s();
        let certificates = self.loaded.summary.certificates.iter().map(|certificate| {
            let Certificate { file, names, expires_unix_s, self_issued } = certificate;
            status::Certificate {
                file: file.clone(),
                names: names.clone(),
                self_issued: *self_issued,
                expires_at: *expires_unix_s,
                expires_in_days: certificate.days_left(now_unix_s),
            }
        });
        status::Tls { certificates: certificates.collect() }
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Turns the keys of tickets, if it is time, and hands the new ones to the workers.
    pub(super) fn turn_ticket_keys(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        match tls.turn(clock::now()) {
            Ok(false) => {}
            Ok(true) => self.hand_out_ticket_keys(),
            Err(error) => log::error!("no new keys for TLS tickets: {error}; the old ones stay"),
        }
    }
}

/// The moment by the wall clock, which certificates go by.
pub(super) fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
