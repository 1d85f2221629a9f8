//! Judgement: whom the server believes when it tells of the clients behind it. Pure; the configuration is all it needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wsmaster_protocol::proxy::{forwarded::Header, trust::Trust};

use super::finding::Finding;
use crate::config::{Config, ListenAddress, ListenerConfig, ListenerProtocol};

const CHECK: &str = "proxies";

/// Networks with fewer bits hold far more than anybody's proxies.
const IPV4_BITS_MIN: u8 = 8;
const IPV6_BITS_MIN: u8 = 16;

/// Nothing is said of a server that knows of no proxies.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let trust = &config.server.trusted_proxies;
    let listeners = config.all_listeners();
    if trust.is_empty() {
        return listeners.iter().filter_map(nobody_may_come).collect();
    }
    let wrong: Vec<Finding> = trust
        .networks()
        .filter_map(|(address, bits)| too_wide(address, bits))
        .chain(nobody_is_believed(trust, &listeners))
        .chain(unix_without_socket(trust, &listeners))
        .chain(listeners.iter().filter_map(|listener| socket_without_unix(trust, listener)))
        .chain(header_behind_preface(config, &listeners))
        .collect();
    if wrong.is_empty() {
        let header = header_name(config.server.forwarded_header);
        let tell = if listeners.iter().all(|listener| listener.proxy_protocol) {
            "the PROXY protocol tells who a client is".to_owned()
        } else {
            format!("{header} tells who a client is: the proxy has to replace it")
        };
        return vec![Finding::ok(CHECK, trust.to_string(), tell)];
    }
    wrong
}

fn header_name(header: Header) -> &'static str {
    match header {
        Header::XForwardedFor => "X-Forwarded-For",
        Header::XRealIp => "X-Real-IP",
        Header::Forwarded => "Forwarded",
    }
}

/// A listener that wants the PROXY protocol while nobody is trusted to speak it.
fn nobody_may_come(listener: &ListenerConfig) -> Option<Finding> {
    listener.proxy_protocol.then(|| {
        Finding::warning(
            CHECK,
            format!("proxy_protocol at {}, no trusted_proxies", listener.address),
            "every connection there is hung up on",
            "server.trusted_proxies = \"ADDRESS OF THE PROXY\"",
        )
    })
}

fn too_wide(address: IpAddr, bits: u8) -> Option<Finding> {
    let least = if address.is_ipv4() { IPV4_BITS_MIN } else { IPV6_BITS_MIN };
    (bits < least).then(|| {
        let whom = if bits == 0 { "everybody is" } else { "clients are" };
        Finding::warning(
            CHECK,
            format!("trusted_proxies has {address}/{bits}"),
            format!(
                "{whom} believed: a client chooses its own address, and whether it came over TLS"
            ),
            "list the addresses of the proxies themselves",
        )
    })
}

/// Addresses of others are trusted, and only this machine can come.
fn nobody_is_believed(trust: &Trust, listeners: &[ListenerConfig]) -> Option<Finding> {
    let can_be_believed = |listener: &ListenerConfig| match &listener.address {
        ListenAddress::Unix(_) => trust.includes_unix(),
        address @ ListenAddress::Tcp { .. } if !address.is_local() => {
            trust.networks().next().is_some()
        }
        ListenAddress::Tcp { host, .. } => {
            let v4 = || trust.includes_address(Ipv4Addr::LOCALHOST.into());
            let v6 = || trust.includes_address(Ipv6Addr::LOCALHOST.into());
            match host.parse() {
                Ok(IpAddr::V4(_)) => v4(),
                Ok(IpAddr::V6(_)) => v6(),
                Err(_) => v4() || v6(),
            }
        }
    };
    if listeners.iter().any(can_be_believed) {
        return None;
    }
    let at: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
    Some(Finding::warning(
        CHECK,
        format!("trusted_proxies = \"{trust}\", and it listens on {}", at.join(", ")),
        "no proxy that is trusted can come there: all clients look like the proxy",
        "a proxy on this machine is 127.0.0.1 or ::1, one on a unix socket is unix; for one elsewhere, listen on an \
         address that it can reach",
    ))
}

fn unix_without_socket(trust: &Trust, listeners: &[ListenerConfig]) -> Option<Finding> {
    let is_socket = |listener: &ListenerConfig| matches!(listener.address, ListenAddress::Unix(_));
    (trust.includes_unix() && !listeners.iter().any(is_socket)).then(|| {
        Finding::warning(
            CHECK,
            "trusted_proxies has unix",
            "there is no listener on a unix socket: it has no effect",
            "a [[listener]] with address = \"unix:/PATH\", or leave unix out",
        )
    })
}

/// A socket for clients, which only a proxy on this machine can be asking for.
fn socket_without_unix(trust: &Trust, listener: &ListenerConfig) -> Option<Finding> {
    let is_for_clients = matches!(listener.address, ListenAddress::Unix(_))
        && listener.protocol == ListenerProtocol::WebSocket;
    (is_for_clients && !trust.includes_unix()).then(|| {
        Finding::warning(
            CHECK,
            format!("{} is no trusted proxy's", listener.address),
            "what a proxy says there of its clients is ignored: they have no address",
            "add unix to server.trusted_proxies",
        )
    })
}

fn header_behind_preface(config: &Config, listeners: &[ListenerConfig]) -> Option<Finding> {
    let header = match config.server.forwarded_header {
        Header::XForwardedFor => return None,
        header @ (Header::XRealIp | Header::Forwarded) => header_name(header),
    };
    listeners.iter().all(|listener| listener.proxy_protocol).then(|| {
        Finding::warning(
            CHECK,
            format!("forwarded_header is {header}, and every listener has proxy_protocol"),
            "the PROXY protocol tells who a client is, and the header is ignored unless that address is a trusted proxy's \
             too",
            "leave one of the two out",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::config::Machine;

    #[test]
    fn what_is_believed_of_proxies() {
        let socket = "[[listener]]\nname = \"u\"\naddress = \"unix:/run/u.sock\"\n";
        let admin = format!("{socket}protocol = \"http\"\n");
        // The configuration, and what each finding has to say.
        type Case<'a> = (&'a str, &'a str, &'a [(Level, &'a str)]);
        let cases: &[Case<'_>] = &[
            ("", "", &[]),
            ("trusted_proxies = \"127.0.0.1\"", "", &[(Level::Ok, "X-Forwarded-For tells")]),
            ("trusted_proxies = \"127.0.0.1\"", &admin, &[(Level::Ok, "has to replace it")]),
            ("trusted_proxies = \"127.0.0.1, unix\"", socket, &[(Level::Ok, "")]),
            (
                "trusted_proxies = \"127.0.0.1\"\nproxy_protocol = true",
                "",
                &[(Level::Ok, "the PROXY protocol")],
            ),
            ("proxy_protocol = true", "", &[(Level::Warning, "hung up on")]),
            (
                "host = \"0.0.0.0\"\ntrusted_proxies = \"0.0.0.0/0, ::/0\"",
                "",
                &[(Level::Warning, "everybody is"), (Level::Warning, "::/0")],
            ),
            (
                "host = \"0.0.0.0\"\ntrusted_proxies = \"64.0.0.0/2, 10.0.0.0/8, fd00::/16\"",
                "",
                &[(Level::Warning, "64.0.0.0/2")],
            ),
            ("trusted_proxies = \"10.0.0.0/8\"", "", &[(Level::Warning, "127.0.0.1:9501")]),
            ("host = \"::1\"\ntrusted_proxies = \"127.0.0.1\"", "", &[(Level::Warning, "::1")]),
            ("host = \"localhost\"\ntrusted_proxies = \"::1\"", "", &[(Level::Ok, "")]),
            ("host = \"0.0.0.0\"\ntrusted_proxies = \"10.0.0.0/8\"", "", &[(Level::Ok, "")]),
            (
                "trusted_proxies = \"127.0.0.1, unix\"",
                "",
                &[(Level::Warning, "no listener on a unix socket")],
            ),
            ("trusted_proxies = \"127.0.0.1\"", socket, &[(Level::Warning, "have no address")]),
            (
                "trusted_proxies = \"127.0.0.1\"\nproxy_protocol = true\nforwarded_header = \"x-real-ip\"",
                "",
                &[(Level::Warning, "leave one of the two out")],
            ),
        ];
        let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
        for (server, rest, expected) in cases {
            let toml = format!("[server]\n{server}\n{rest}");
            let config = Config::from_toml(&toml, "x", &machine).expect(&toml);
            let findings = examine(&config);
            assert_eq!(findings.len(), expected.len(), "{toml}: {findings:?}");
            for (finding, (level, words)) in findings.iter().zip(*expected) {
                assert_eq!(finding.level, *level, "{toml}: {finding:?}");
                assert!(format!("{finding:?}").contains(words), "{words:?} is not in {finding:?}");
            }
        }
    }
}
