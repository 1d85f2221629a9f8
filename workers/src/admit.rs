//! Whether there is room for a connection, and what its client and the operator are told when there is none.

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{http::Response, peer::Peer};

use crate::{
    admission::{ClientKey, LimitReached},
    connection::Connection,
    effects::Effects,
};

/// Connections beyond a limit that are told so; yet another one is reset.
const REFUSALS_MAX: usize = 64;

/// What becomes of a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// It is let in, and counted as this client's.
    Admitted(Option<ClientKey>),
    /// Its client is told this, with the status 503.
    Rejected(&'static str),
    /// So many are being told already that it is not.
    Reset,
}

impl Effects {
    /// Decides about a new connection by the address that it comes from.
    pub(crate) fn admit(&mut self, peer: Peer) -> Entry {
        let others = self.shared_state().total(Counter::Connections);
        let most = self.limits.connections_max;
        if others >= most {
            self.stats.add(Counter::RefusedFull, 1);
            self.warn(Counter::RefusedFull, || {
                "the server is full (limits.connections_max): new clients are refused".to_owned()
            });
            let is_crowd = others >= most + REFUSALS_MAX as u64;
            return if is_crowd { Entry::Reset } else { Entry::Rejected("the server is full") };
        }
        let client = self.client_key(peer);
        match self.admission.check(client, &self.limits) {
            Ok(()) => Entry::Admitted(client),
            Err(reached) => {
                let sentence = self.count_limit_reached(reached, peer);
                let is_crowd = self.admission.rejected() >= REFUSALS_MAX;
                if is_crowd { Entry::Reset } else { Entry::Rejected(sentence) }
            }
        }
    }

    /// As what a connection of this peer is counted. Those of a trusted proxy are not: it tells of their clients later.
    fn client_key(&self, peer: Peer) -> Option<ClientKey> {
        let limits = &self.limits;
        let is_counted =
            limits.connections_per_address_max > 0 || limits.half_open_per_address_max > 0;
        let address = peer.address().filter(|_| is_counted)?;
        (!self.rules.proxies.trust.includes(peer)).then_some(ClientKey::from(address))
    }

    /// Counts a client that is refused, and writes it into the log. What the client is told.
    pub(crate) fn count_limit_reached(
        &mut self,
        reached: LimitReached,
        peer: Peer,
    ) -> &'static str {
        let (counter, log, told) = match reached {
            LimitReached::Address => (
                Counter::RefusedPerAddress,
                "its address has too many connections (limits.connections_per_address_max)",
                "your address has too many connections",
            ),
            LimitReached::AddressHalfOpen => (
                Counter::RefusedHalfOpen,
                "too many others of its address have not sent their request yet \
                 (limits.half_open_per_address_max)",
                "too many clients of your address have not sent their request yet",
            ),
            LimitReached::HalfOpen => (
                Counter::RefusedHalfOpen,
                "too many others have not sent their request yet (limits.half_open_max)",
                "too many clients have not sent their request yet",
            ),
        };
        self.stats.add(counter, 1);
        self.warn_client(peer, counter, format_args!("is refused: {log}"));
        told
    }
}

impl Connection {
    /// Counts it as its client's, who has become known only now: what to answer when there is no room for it.
    pub(crate) fn recount_client(&mut self, fx: &mut Effects) -> Option<Response> {
        let peer = self.info.peer;
        let client = fx.client_key(peer);
        let reached = fx.admission.recount(&mut self.ticket, client, &fx.limits).err()?;
        Some(come_back(fx.count_limit_reached(reached, peer)))
    }
}

/// The answer to a client for whom there is no room.
pub(crate) fn come_back(sentence: &'static str) -> Response {
    Response::error(503, sentence)
}
