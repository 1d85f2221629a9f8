//! Session tickets that every worker of a server can open (RFC 8446, 4.6.1; RFC 5077).
//!
//! The keys are made by the master and given to all workers. There are three at a time: tickets are sealed with the
//! middle one, and all three open them. A turn makes the next key the current one, so a worker that has not yet heard of a
//! turn can open the tickets of one that has. A key is forgotten after two turns, and with it the tickets that it sealed:
//! what is recorded today cannot be opened with what a process knows the day after tomorrow.

use std::{
    fmt,
    sync::{Arc, RwLock},
    time::Duration,
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

/// How long a ticket can be used at least; also the time between two turns of the keys.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(12 * 3600);

const NAME_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const KEY_BYTES: usize = NAME_BYTES + SECRET_BYTES;
const KEYS: usize = 3;
/// The place of the key that tickets are sealed with.
const CURRENT: usize = 1;
const TAG_BYTES: usize = 16;
/// A ticket that is longer is none of ours: what it holds is bounded by the chain of a client's certificate.
const TICKET_BYTES_MAX: usize = 64 * 1024;

/// The keys of a server's tickets: the last, the current and the next one.
#[derive(Clone)]
pub struct TicketKeys(Zeroizing<[u8; KEY_BYTES * KEYS]>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(not shown)")
    }
}

impl TicketKeys {
    /// Bytes of randomness that [`Self::new`] takes.
    pub const SEED_BYTES: usize = KEY_BYTES * KEYS;
    /// Bytes of randomness that [`Self::turned`] takes.
    pub const TURN_BYTES: usize = KEY_BYTES;

    /// Keys out of random bytes.
    pub fn new(random: [u8; Self::SEED_BYTES]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The keys after a turn: the oldest is gone, and there is a new next one.
    #[must_use]
    pub fn turned(&self, random: [u8; Self::TURN_BYTES]) -> Self {
        let mut keys = Zeroizing::new([0; KEY_BYTES * KEYS]);
        let (kept, new) = keys.split_at_mut(KEY_BYTES * (KEYS - 1));
        kept.copy_from_slice(&self.0[KEY_BYTES..]);
        new.copy_from_slice(&random);
        Self(keys)
    }

    /// As they are handed to a worker.
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    /// As a worker gets them. `None` for what is not [`Self::SEED_BYTES`] long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    fn keys(&self) -> [Option<Key>; KEYS] {
        std::array::from_fn(|place| {
            let (name, secret) = self.0[place * KEY_BYTES..][..KEY_BYTES].split_at(NAME_BYTES);
            let secret = UnboundKey::new(&AES_256_GCM, secret).ok()?;
            Some(Key { name: name.try_into().ok()?, secret: LessSafeKey::new(secret) })
        })
    }
}

struct Key {
    name: [u8; NAME_BYTES],
    secret: LessSafeKey,
}

/// Seals and opens the tickets of one worker. Clones share the keys.
#[derive(Clone)]
pub(super) struct Tickets {
    keys: Arc<RwLock<[Option<Key>; KEYS]>>,
    /// What a ticket is bound to besides its key: the rules about clients' certificates. A session that was made under
    /// other rules is not taken up, because its client is not asked for a certificate again.
    rules: [u8; 32],
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    pub(super) fn new(keys: &TicketKeys) -> Self {
        Self { keys: Arc::new(RwLock::new(keys.keys())), rules: [0; 32] }
    }

    /// The same keys, for sessions under these rules.
    pub(super) fn under(&self, rules: [u8; 32]) -> Self {
        Self { keys: self.keys.clone(), rules }
    }

    /// Takes over the keys after a turn.
    pub(super) fn turn(&self, keys: &TicketKeys) {
        if let Ok(mut mine) = self.keys.write() {
            *mine = keys.keys();
        }
    }

    fn bound_to(&self, key: &Key) -> Aad<[u8; NAME_BYTES + 32]> {
        let mut bound = [0; NAME_BYTES + 32];
        bound[..NAME_BYTES].copy_from_slice(&key.name);
        bound[NAME_BYTES..].copy_from_slice(&self.rules);
        Aad::from(bound)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME.as_secs() as u32
    }

    /// The name of the key, a nonce, and the sealed session. The nonce is random: the workers do not know each other's
    /// counters. One key seals far fewer than the 2^32 tickets that are safe with random nonces (NIST SP 800-38D, 8.3).
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read().ok()?;
        let key = keys.get(CURRENT)?.as_ref()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let tag = key.secret.seal_in_place_separate_tag(nonce, self.bound_to(key), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.read().ok()?;
        let key = keys.iter().flatten().find(|key| key.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let length = key.secret.open_in_place(nonce, self.bound_to(key), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> TicketKeys {
        TicketKeys::new(std::array::from_fn(|place| (place as u8).wrapping_add(byte)))
    }

    #[test]
    fn a_ticket_is_opened_by_every_worker_of_the_server_and_by_nobody_else() {
        let (one, other) = (Tickets::new(&keys(1)), Tickets::new(&keys(1)));
        let ticket = one.encrypt(b"a session").unwrap();
        assert_eq!(other.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(Tickets::new(&keys(2)).decrypt(&ticket), None);
        assert_ne!(one.encrypt(b"a session").unwrap(), ticket, "the nonce is new each time");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(other.decrypt(&changed), None, "byte {at}");
            assert_eq!(other.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_ticket_outlives_one_turn_whoever_has_heard_of_it_and_not_two() {
        let first = keys(1);
        let second = first.turned([77; TicketKeys::TURN_BYTES]);
        let third = second.turned([88; TicketKeys::TURN_BYTES]);
        let (behind, ahead) = (Tickets::new(&first), Tickets::new(&second));
        let (old, new) = (behind.encrypt(b"old").unwrap(), ahead.encrypt(b"new").unwrap());
        assert!(ahead.decrypt(&old).is_some());
        assert!(behind.decrypt(&new).is_some(), "the next key is known before it is used");
        ahead.turn(&third);
        assert!(ahead.decrypt(&old).is_none());
        assert!(ahead.decrypt(&new).is_some());
    }

    #[test]
    fn a_session_under_other_rules_about_clients_is_not_taken_up() {
        let open = Tickets::new(&keys(1));
        let strict = open.under([1; 32]);
        let ticket = open.encrypt(b"nobody was asked").unwrap();
        assert!(open.decrypt(&ticket).is_some());
        assert!(strict.decrypt(&ticket).is_none());
    }

    #[test]
    fn keys_are_never_shown_and_come_back_from_their_bytes() {
        let keys = keys(1);
        assert_eq!(format!("{keys:?}"), "TicketKeys(not shown)");
        assert_eq!(TicketKeys::from_bytes(keys.as_bytes()).unwrap().as_bytes(), keys.as_bytes());
        assert!(TicketKeys::from_bytes(&[0; 5]).is_none());
    }
}
