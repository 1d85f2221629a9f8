//! What a worker knows of the listeners it serves: their names and rules. Owns data only; the sockets are the doors'.

use serde::{Deserialize, Serialize};
use wsmaster_ipc::sys::listener::Listener;
use wsmaster_protocol::{
    proxy::{forwarded::Header, trust::Trust},
    session::SessionLimits,
};

use crate::handshakes::HandshakeRules;

/// A listener to serve.
#[derive(Debug)]
pub struct Listening {
    /// The socket: this slot's own, or for a unix socket the one that all slots share.
    pub socket: Listener,
    /// What holds for its connections.
    pub rules: ListenerRules,
}

/// What holds for the connections of a listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListenerRules {
    /// Its number, which no other listener of this server has had.
    pub number: u16,
    /// Its name.
    pub name: Box<str>,
    /// Whether requests may become WebSockets.
    pub websocket: bool,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether its connections are encrypted.
    pub tls: bool,
    /// Whether its clients may agree on compression, where the limits have one.
    pub compression: bool,
    /// Bytes of a message, if not those of the limits.
    pub message_bytes_max: Option<usize>,
    /// What the application wants to know of it: bits of its own.
    pub tag: u32,
}

impl ListenerRules {
    /// Those of a listener about which nothing special is said.
    pub fn new(number: u16, name: &str) -> Self {
        Self {
            number,
            name: name.into(),
            websocket: true,
            proxy_protocol: false,
            tls: false,
            compression: true,
            message_bytes_max: None,
            tag: 0,
        }
    }
}

/// Which peers are believed when they tell of the clients behind them, and where they say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxies {
    /// Whom to believe.
    pub trust: Trust,
    /// The header that they set.
    pub header: Header,
}

impl Default for Proxies {
    fn default() -> Self {
        Self { trust: Trust::default(), header: Header::XForwardedFor }
    }
}

/// What is asked of all connections of a worker, whatever the application thinks of them.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) listeners: Listeners,
    pub(crate) proxies: Proxies,
    pub(crate) handshakes: HandshakeRules,
}

/// The listeners that a worker has connections of, or may get some of. None is ever taken out: its connections outlive it.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    known: Vec<(ListenerRules, SessionLimits)>,
}

impl Listeners {
    /// Takes the rules of a listener, or its new rules.
    pub(crate) fn learn(&mut self, rules: ListenerRules, limits: &SessionLimits) {
        let most = rules.message_bytes_max.unwrap_or(limits.message_bytes_max);
        let session = SessionLimits {
            message_bytes_max: most,
            frame_bytes_max: limits.frame_bytes_max.min(most),
            ..*limits
        };
        match self.known.iter_mut().find(|(known, _)| known.number == rules.number) {
            Some(known) => *known = (rules, session),
            None => self.known.push((rules, session)),
        }
    }

    /// The rules of a connection's listener.
    pub(crate) fn rules(&self, number: u16) -> Option<&ListenerRules> {
        self.known.iter().map(|(rules, _)| rules).find(|rules| rules.number == number)
    }

    /// What its messages may be, `otherwise` where it is not known.
    #[inline]
    pub(crate) fn session<'a>(
        &'a self,
        number: u16,
        otherwise: &'a SessionLimits,
    ) -> &'a SessionLimits {
        let known = self.known.iter().find(|(rules, _)| rules.number == number);
        known.map_or(otherwise, |(_, session)| session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_its_own_size_of_messages_and_the_latest_word_counts() {
        let limits =
            SessionLimits { frame_bytes_max: 500, message_bytes_max: 1000, fragments_max: 7 };
        let mut listeners = Listeners::default();
        let rules = ListenerRules::new(3, "three");
        listeners.learn(rules.clone(), &limits);
        assert_eq!(*listeners.session(3, &limits), limits);
        listeners.learn(ListenerRules { message_bytes_max: Some(200), ..rules }, &limits);
        let small = SessionLimits { frame_bytes_max: 200, message_bytes_max: 200, ..limits };
        assert_eq!(*listeners.session(3, &limits), small);
        assert_eq!(*listeners.session(4, &limits), limits);
        assert_eq!(listeners.rules(3).map(|rules| &*rules.name), Some("three"));
        assert!(listeners.rules(4).is_none());
    }
}
