//! A connection as bytes, so that another process can go on with it where this one has stopped: in the middle of a frame, of
//! a request, of what waits to be written. Its socket goes beside the bytes.
//!
//! What is *not* in them: what the application waits for (an answer of another process, a job's end) is a closure of this
//! process; and the answers of those that ask about it meanwhile are this process's to give.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Connection, ConnectionInfo, Flags, State};
use crate::{
    admission::AdmissionTicket,
    delivery::Waiting,
    effects::Effects,
    outbox::{Outbox, SavedOutbox},
    rate_limiter::RateLimiter,
    schedule::UnreachedPing,
    stream::Stream,
    timeouts::Times,
    token::Key,
};

/// The version of the form. A process refuses all others than its own.
pub(crate) const VERSION: u16 = 1;

/// Why a connection cannot leave its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotMovable {
    /// Its keys and buffers are inside the TLS library.
    #[error("it is encrypted")]
    Tls,
}

/// Why a connection cannot be gone on with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    /// The bytes were written by a build of another version.
    #[error("its form is version {found}, and this build reads version {VERSION}")]
    Version {
        /// The version of the bytes.
        found: u16,
    },
    /// The bytes are not a connection, or one that cannot be.
    #[error("its bytes are malformed: {0}")]
    Malformed(String),
}

/// All that a connection is, but for its socket.
#[derive(Serialize, Deserialize)]
struct Snapshot<'a> {
    info: Cow<'a, ConnectionInfo>,
    state: Cow<'a, State>,
    #[serde(borrow)]
    outbox: SavedOutbox<'a>,
    #[serde(with = "serde_bytes", borrow)]
    unparsed: Cow<'a, [u8]>,
    times: Times,
    rate: RateLimiter,
    messages_in: u64,
    messages_out: u64,
    flags: Flags,
    ticket: AdmissionTicket,
    unreached_ping: Option<UnreachedPing>,
    channels: Vec<Cow<'a, str>>,
}

impl Connection {
    /// Writes all that it is, but for its socket. Not while it is being served: what the cork has gathered is not in it.
    ///
    /// # Errors
    /// See [`NotMovable`].
    #[cfg_attr(not(test), expect(dead_code, reason = "as above"))]
    pub(crate) fn snapshot(&self, fx: &Effects) -> Result<Vec<u8>, NotMovable> {
        debug_assert!(!fx.delivery.cork.is_of(self.key.index), "it is being served");
        match self.stream {
            Stream::Tcp(_) | Stream::Unix(_) => {}
            Stream::Tls(_) => return Err(NotMovable::Tls),
        }
        let channels = fx.channels.table.of_connection(self.key.index);
        let snapshot = Snapshot {
            info: Cow::Borrowed(&self.info),
            state: Cow::Borrowed(&self.state),
            outbox: self.outbox.save(),
            unparsed: Cow::Borrowed(&self.unparsed),
            times: self.times,
            rate: self.rate,
            messages_in: self.messages_in,
            messages_out: self.messages_out,
            flags: self.flags,
            ticket: self.ticket,
            unreached_ping: fx.schedule.unreached_pings.get(&self.key.index).copied(),
            channels: channels.map(Cow::Borrowed).collect(),
        };
        let bytes = VERSION.to_le_bytes().to_vec();
        // Nothing that it is made of can refuse to be written.
        Ok(postcard::to_extend(&snapshot, bytes).unwrap_or_default())
    }

    /// Goes on with a connection that another process has written, under a key of this one, and counts it among those that are
    /// here. The poll has to be asked for its events.
    ///
    /// # Errors
    /// See [`ResumeError`]. Nothing has changed then.
    pub(crate) fn resume(
        bytes: &[u8],
        key: Key,
        stream: Stream,
        fx: &mut Effects,
    ) -> Result<Self, ResumeError> {
        let (version, bytes) = bytes
            .split_first_chunk()
            .ok_or_else(|| ResumeError::Malformed("shorter than its version".to_owned()))?;
        match u16::from_le_bytes(*version) {
            VERSION => {}
            found => return Err(ResumeError::Version { found }),
        }
        let malformed = |error: postcard::Error| ResumeError::Malformed(error.to_string());
        let snapshot: Snapshot<'_> = postcard::from_bytes(bytes).map_err(malformed)?;
        let outbox = Outbox::restore(snapshot.outbox, &fx.delivery.shared)
            .ok_or_else(|| ResumeError::Malformed("its outbox cannot be".to_owned()))?;
        let mut connection = Self {
            key,
            stream,
            info: snapshot.info.into_owned(),
            state: snapshot.state.into_owned(),
            outbox,
            unparsed: snapshot.unparsed.into_owned(),
            times: snapshot.times,
            rate: snapshot.rate,
            messages_in: snapshot.messages_in,
            messages_out: snapshot.messages_out,
            flags: Flags { dirty: false, ready: false, ..snapshot.flags },
            ticket: snapshot.ticket,
            summed_bytes: 0,
        };
        connection.join(&snapshot.channels, snapshot.unreached_ping, fx);
        Ok(connection)
    }

    /// Counts a connection that comes from another process among those that are here, and schedules what is to be done.
    fn join(
        &mut self,
        channels: &[Cow<'_, str>],
        unreached_ping: Option<UnreachedPing>,
        fx: &mut Effects,
    ) {
        fx.admission.adopt(self.ticket);
        fx.delivery.waiting.replace(Waiting::default(), Waiting::of(&self.outbox));
        if let Some(compressor) = &mut fx.delivery.compressor {
            compressor.adopt(self.info.extension);
        }
        fx.stats.paused_connections += u64::from(self.flags.paused);
        match self.state {
            State::WebSocket(_) => fx.ids.insert(self.info.id, self.key.index),
            State::Http(_) | State::Lingering { .. } => {}
        }
        for channel in channels {
            self.subscribe(channel, fx);
        }
        if let Some(unreached) = unreached_ping {
            fx.schedule.unreached_pings.insert(self.key.index, unreached);
        }
        self.incoming().sum_up_unfinished(fx);
        if self.waiting_bytes() > 0 || matches!(self.state, State::Lingering { .. }) {
            self.mark_dirty(&mut fx.schedule);
        }
        if self.has_input() && !self.is_read_blocked(&fx.limits) {
            self.make_ready(&mut fx.schedule);
        }
        self.timers().schedule(fx);
    }
}

#[cfg(test)]
mod tests;
