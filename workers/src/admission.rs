//! Who may come in: how many connections one address has, how many connections (of all, and of one address) have not said
//! yet what they want (whose request, the first or a further one that has begun, is not complete), and how many come in a second. Pure: it counts and judges; what those hear who may not come in is the loop's to say.

use std::{collections::HashMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{limits::Limits, rate_limiter::Bucket};

/// What is taken for one client: an IPv4 address, or the first 64 bits of an IPv6 address, since whoever has one of those can
/// have any number of the others (RFC 4291, 2.5.4; RFC 8981).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum ClientKey {
    /// An IPv4 address, or one that is mapped into IPv6.
    V4([u8; 4]),
    /// A network of IPv6 with a prefix of 64 bits.
    V6([u8; 8]),
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Why there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LimitReached {
    /// The address has as many connections as it may have.
    Address,
    /// As many connections of the address as may be have not sent their request.
    AddressHalfOpen,
    /// As many connections of all as may be have not.
    HalfOpen,
}

/// What a connection is ticket as. It is given back when the connection is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AdmissionTicket {
    client: Option<ClientKey>,
    half_open: bool,
    rejected: bool,
}

/// What one client has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Usage {
    connections: usize,
    /// Those of them whose request has begun, or is their first, and is not complete.
    half_open: usize,
}

/// The counts of a worker. An address is known for as long as it has a connection, so there are never more of them than
/// connections. The hash is one that nobody can foresee: whoever has many addresses chooses them.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    clients: HashMap<ClientKey, Usage>,
    half_open: usize,
    rejected: usize,
    accepts: Bucket,
}

impl Admission {
    /// Whether there is room for a newcomer; `None` for the client of one that is not ticket by its address.
    pub(crate) fn check(
        &self,
        client: Option<ClientKey>,
        limits: &Limits,
    ) -> Result<(), LimitReached> {
        self.check_client(client, true, limits)?;
        if is_reached(self.half_open, limits.half_open_max) {
            return Err(LimitReached::HalfOpen);
        }
        Ok(())
    }

    /// A newcomer is let in.
    pub(crate) fn enter(&mut self, client: Option<ClientKey>) -> AdmissionTicket {
        self.half_open += 1;
        let ticket = AdmissionTicket { client, half_open: true, rejected: false };
        self.add(&ticket);
        ticket
    }

    /// A newcomer is not let in, and stays for as long as it takes to tell it so.
    pub(crate) fn reject(&mut self) -> AdmissionTicket {
        self.rejected += 1;
        AdmissionTicket { rejected: true, ..AdmissionTicket::default() }
    }

    /// A connection comes that was let in elsewhere.
    pub(crate) fn adopt(&mut self, ticket: AdmissionTicket) {
        self.half_open += usize::from(ticket.half_open);
        self.rejected += usize::from(ticket.rejected);
        self.add(&ticket);
    }

    /// How many are being told that they are not let in.
    pub(crate) fn rejected(&self) -> usize {
        self.rejected
    }

    /// Its request is there, or none is waited for any more.
    pub(crate) fn has_asked(&mut self, ticket: &mut AdmissionTicket) {
        if ticket.half_open {
            self.take(ticket);
            self.half_open -= 1;
            ticket.half_open = false;
            self.add(ticket);
        }
    }

    /// It has begun a further request, which counts as its first did.
    ///
    /// # Errors
    /// There are as many already as may be: it is ticket as before.
    pub(crate) fn asks_again(
        &mut self,
        ticket: &mut AdmissionTicket,
        limits: &Limits,
    ) -> Result<(), LimitReached> {
        if ticket.half_open || ticket.rejected {
            return Ok(());
        }
        let held = ticket.client.and_then(|client| self.clients.get(&client));
        let half_open = held.map_or(0, |held| held.half_open);
        if is_reached(half_open, limits.half_open_per_address_max) {
            return Err(LimitReached::AddressHalfOpen);
        }
        if is_reached(self.half_open, limits.half_open_max) {
            return Err(LimitReached::HalfOpen);
        }
        self.take(ticket);
        self.half_open += 1;
        ticket.half_open = true;
        self.add(ticket);
        Ok(())
    }

    /// A connection turns out to be of another client than its peer.
    ///
    /// # Errors
    /// That client has as many as it may have: the connection is ticket as nobody's.
    pub(crate) fn recount(
        &mut self,
        ticket: &mut AdmissionTicket,
        client: Option<ClientKey>,
        limits: &Limits,
    ) -> Result<(), LimitReached> {
        if ticket.client == client {
            return Ok(());
        }
        self.take(ticket);
        ticket.client = None;
        self.check_client(client, ticket.half_open, limits)?;
        ticket.client = client;
        self.add(ticket);
        Ok(())
    }

    /// A connection is gone.
    pub(crate) fn leave(&mut self, mut ticket: AdmissionTicket) {
        self.has_asked(&mut ticket);
        self.take(&ticket);
        self.rejected -= usize::from(ticket.rejected);
    }

    /// A connection was accepted at `now_ms`. If more come in a second than may: how many ms to wait for the next one.
    pub(crate) fn accepted(&mut self, limits: &Limits, now_ms: u64) -> Option<u64> {
        let rate = limits.accepts_per_second_max;
        if rate == 0 { None } else { self.accepts.spend(1, rate.into(), now_ms) }
    }

    /// Whether an address has room for one more connection, which has sent its first request or not.
    fn check_client(
        &self,
        client: Option<ClientKey>,
        half_open: bool,
        limits: &Limits,
    ) -> Result<(), LimitReached> {
        let held = client.and_then(|client| self.clients.get(&client)).copied().unwrap_or_default();
        if is_reached(held.connections, limits.connections_per_address_max) {
            return Err(LimitReached::Address);
        }
        if half_open && is_reached(held.half_open, limits.half_open_per_address_max) {
            return Err(LimitReached::AddressHalfOpen);
        }
        Ok(())
    }

    fn add(&mut self, ticket: &AdmissionTicket) {
        let Some(client) = ticket.client else { return };
        let held = self.clients.entry(client).or_default();
        held.connections += 1;
        held.half_open += usize::from(ticket.half_open);
    }

    fn take(&mut self, ticket: &AdmissionTicket) {
        let Some(client) = ticket.client else { return };
        if let Some(held) = self.clients.get_mut(&client) {
            held.connections -= 1;
            held.half_open -= usize::from(ticket.half_open);
            if held.connections == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

/// Whether there are as many as may be; 0 is any number.
fn is_reached(count: usize, most: usize) -> bool {
    most > 0 && count >= most
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(text: &str) -> ClientKey {
        ClientKey::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn what_is_taken_for_one_client() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, other, same) in table {
            assert_eq!(client(one) == client(other), same, "{one} {other}");
        }
    }

    #[test]
    fn an_address_has_so_many_and_others_have_their_own() {
        let limits =
            Limits { connections_per_address_max: 2, half_open_max: 0, ..Limits::default() };
        let mut admission = Admission::default();
        let (one, other) = (Some(client("192.0.2.1")), Some(client("192.0.2.2")));
        let first = admission.enter(one);
        admission.enter(one);
        assert_eq!(admission.check(one, &limits), Err(LimitReached::Address));
        assert_eq!(admission.check(other, &limits), Ok(()));
        assert_eq!(admission.check(None, &limits), Ok(()), "not ticket");
        admission.leave(first);
        assert_eq!(admission.check(one, &limits), Ok(()));
        let none = Limits { connections_per_address_max: 0, ..limits };
        for _ in 0..100 {
            assert_eq!(admission.check(one, &none), Ok(()));
            admission.enter(one);
        }
    }

    #[test]
    fn who_is_behind_a_proxy_is_counted_when_it_is_known() {
        let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
        let mut admission = Admission::default();
        let client = Some(client("192.0.2.1"));
        let mut first = admission.enter(None);
        assert_eq!(admission.recount(&mut first, client, &limits), Ok(()));
        assert_eq!(admission.recount(&mut first, client, &limits), Ok(()), "it is the same");
        let mut second = admission.enter(None);
        assert_eq!(admission.recount(&mut second, client, &limits), Err(LimitReached::Address));
        admission.leave(second);
        assert_eq!(admission.check(client, &limits), Err(LimitReached::Address));
        admission.leave(first);
        assert!(admission.clients.is_empty() && admission.half_open == 0);
    }

    #[test]
    fn who_has_asked_makes_room_for_others() {
        let limits = Limits { half_open_max: 2, ..Limits::default() };
        let mut admission = Admission::default();
        let mut first = admission.enter(None);
        let second = admission.enter(None);
        assert_eq!(admission.check(None, &limits), Err(LimitReached::HalfOpen));
        admission.has_asked(&mut first);
        admission.has_asked(&mut first);
        assert_eq!(admission.check(None, &limits), Ok(()));
        admission.enter(None);
        assert_eq!(admission.check(None, &limits), Err(LimitReached::HalfOpen));
        admission.leave(first);
        assert_eq!(
            admission.check(None, &limits),
            Err(LimitReached::HalfOpen),
            "it was ticket out"
        );
        admission.leave(second);
        assert_eq!(admission.check(None, &limits), Ok(()));
    }

    #[test]
    fn an_address_has_so_many_that_have_not_asked() {
        let limits = Limits { half_open_per_address_max: 2, ..Limits::default() };
        let mut admission = Admission::default();
        let (one, other) = (Some(client("192.0.2.1")), Some(client("192.0.2.2")));
        let mut first = admission.enter(one);
        let second = admission.enter(one);
        assert_eq!(admission.check(one, &limits), Err(LimitReached::AddressHalfOpen));
        assert_eq!(
            (admission.check(other, &limits), admission.check(None, &limits)),
            (Ok(()), Ok(()))
        );
        let mut third = admission.enter(None);
        assert_eq!(admission.recount(&mut third, one, &limits), Err(LimitReached::AddressHalfOpen));
        admission.has_asked(&mut first);
        assert_eq!(admission.check(one, &limits), Ok(()));
        assert_eq!(admission.recount(&mut third, one, &limits), Ok(()));
        assert_eq!(admission.check(one, &limits), Err(LimitReached::AddressHalfOpen));
        for ticket in [first, second, third] {
            admission.leave(ticket);
        }
        assert!(admission.clients.is_empty() && admission.half_open == 0);
    }

    #[test]
    fn accepting_has_a_rate() {
        let limits = Limits { accepts_per_second_max: 10, ..Limits::default() };
        let mut admission = Admission::default();
        for _ in 0..10 {
            assert_eq!(admission.accepted(&limits, 5000), None);
        }
        assert_eq!(admission.accepted(&limits, 5000), Some(100));
        assert_eq!(admission.accepted(&limits, 7000), None);
    }

    proptest! {
        /// Whatever comes and goes, the counts are those of who is there.
        #[test]
        fn nothing_is_counted_twice_or_left_behind(steps in prop::collection::vec((0..6u8, 0..4u8, 0..8usize), 0..200)) {
            let limits = Limits {
                connections_per_address_max: 3,
                half_open_per_address_max: 2,
                half_open_max: 5,
                ..Limits::default()
            };
            let mut admission = Admission::default();
            let mut there: Vec<AdmissionTicket> = Vec::new();
            for (what, number, place) in steps {
                let client = (number > 0).then_some(ClientKey::V4([192, 0, 2, number]));
                let place = place % there.len().max(1);
                match (what, there.get_mut(place)) {
                    (0, _) if admission.check(client, &limits).is_ok() => there.push(admission.enter(client)),
                    (1, _) => there.push(admission.reject()),
                    (2, Some(ticket)) => admission.has_asked(ticket),
                    (3, Some(ticket)) if !ticket.rejected => {
                        let _ = admission.recount(ticket, client, &limits);
                    }
                    (4, Some(_)) => admission.leave(there.swap_remove(place)),
                    (5, Some(ticket)) => {
                        let _ = admission.asks_again(ticket, &limits);
                    }
                    (_, _) => {}
                }
                let count = |is: &dyn Fn(&AdmissionTicket) -> bool| there.iter().filter(|it| is(it)).count();
                prop_assert_eq!(admission.half_open, count(&|it| it.half_open));
                prop_assert_eq!(admission.rejected, count(&|it| it.rejected));
                prop_assert!(admission.half_open <= limits.half_open_max);
                for (client, held) in &admission.clients {
                    prop_assert_eq!(held.connections, count(&|it| it.client == Some(*client)));
                    prop_assert_eq!(held.half_open, count(&|it| it.client == Some(*client) && it.half_open));
                    prop_assert!((1..=limits.connections_per_address_max).contains(&held.connections));
                    prop_assert!(held.half_open <= limits.half_open_per_address_max);
                }
            }
            for ticket in there {
                admission.leave(ticket);
            }
            prop_assert!(admission.clients.is_empty());
            prop_assert_eq!((admission.half_open, admission.rejected), (0, 0));
        }
    }
}
