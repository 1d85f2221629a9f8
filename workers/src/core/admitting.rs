//! Whether there is room for a connection, and what the operator hears when there is none.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{http::Response, peer::Peer};

use super::Core;
use crate::admission::{Crowded, Site};

/// Connections beyond a limit that are told so; yet another one is reset.
const REFUSALS_MAX: usize = 64;

/// What becomes of a newcomer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// It is let in, and counted as this client's.
    Admitted(Option<Site>),
    /// It is told this, with the status 503.
    Dismissed(&'static str),
    /// So many are being told already that it is not.
    Reset,
}

impl Core {
    /// Judges a newcomer by the address that it comes from.
    pub(crate) fn judge(&mut self, peer: Peer) -> Entry {
        let others = self.loop_handle().board().total(Counter::Connections);
        let most = self.limits.connections_max;
        if others >= most {
            self.cell.add(Counter::RefusedFull, 1);
            self.complain(Counter::RefusedFull, || {
                "the server is full (limits.connections_max): new clients are refused".to_owned()
            });
            let is_crowd = others >= most + REFUSALS_MAX as u64;
            return if is_crowd { Entry::Reset } else { Entry::Dismissed("the server is full") };
        }
        let site = self.site_of(peer);
        match self.admission.judge(site, &self.limits) {
            Ok(()) => Entry::Admitted(site),
            Err(crowded) => {
                let sentence = self.count_crowded(crowded, peer);
                let is_crowd = self.admission.dismissed() >= REFUSALS_MAX;
                if is_crowd { Entry::Reset } else { Entry::Dismissed(sentence) }
            }
        }
    }

    /// Counts a connection as its client's, who has become known only now: what to answer when there is no room for it.
    pub(crate) fn judge_client(&mut self, index: u32) -> Option<Response> {
        let peer = self.registry.at(index)?.durable.peer;
        let site = self.site_of(peer);
        let counted = &mut self.registry.at_mut(index)?.counted;
        let crowded = self.admission.recount(counted, site, &self.limits).err()?;
        Some(come_back(self.count_crowded(crowded, peer)))
    }

    /// As what a connection of this peer is counted. A trusted proxy is nobody: it tells of the client later.
    fn site_of(&self, peer: Peer) -> Option<Site> {
        let limits = &self.limits;
        let is_counted =
            limits.connections_per_address_max > 0 || limits.half_open_per_address_max > 0;
        let address = peer.address().filter(|_| is_counted)?;
        (!self.proxies.trust.includes(peer)).then_some(Site::from(address))
    }

    pub(super) fn count_crowded(&mut self, crowded: Crowded, peer: Peer) -> &'static str {
        match crowded {
            Crowded::Address => {
                self.cell.add(Counter::RefusedPerAddress, 1);
                self.complain(Counter::RefusedPerAddress, || {
                    format!(
                        "the client at {peer} is refused: its address has too many connections \
                         (limits.connections_per_address_max)"
                    )
                });
                "your address has too many connections"
            }
            Crowded::AddressHalfOpen => {
                self.cell.add(Counter::RefusedHalfOpen, 1);
                self.complain(Counter::RefusedHalfOpen, || {
                    format!(
                        "the client at {peer} is refused: too many others of its address have not \
                         sent their request yet (limits.half_open_per_address_max)"
                    )
                });
                "too many clients of your address have not sent their request yet"
            }
            Crowded::HalfOpen => {
                self.cell.add(Counter::RefusedHalfOpen, 1);
                self.complain(Counter::RefusedHalfOpen, || {
                    format!(
                        "the client at {peer} is refused: too many others have not sent their \
                         request yet (limits.half_open_max)"
                    )
                });
                "too many clients have not sent their request yet"
            }
        }
    }
}

/// The answer to somebody for whom there is no room.
pub(crate) fn come_back(sentence: &'static str) -> Response {
    Response::error(503, sentence)
}
