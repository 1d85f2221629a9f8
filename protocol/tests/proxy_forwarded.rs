//! Whom a request really comes from: honest chains of proxies, and everything that a liar can write.

use std::net::SocketAddr;

use proptest::prelude::*;
use wsmaster_protocol::{
    peer::Peer,
    proxy::{
        forwarded::{HOPS_MAX, Header, origin},
        trust::{ENTRIES_MAX, Trust, TrustError},
    },
};

const PROXIES: &str = "10.0.0.0/8, 2001:db8:ffff::/48";

fn ask(peer: &str, headers: &[(&str, &str)], header: Header) -> (String, Option<bool>) {
    let peer = match peer {
        "unix" => Peer::Unix,
        peer => Peer::from(peer.parse::<SocketAddr>().expect("an address")),
    };
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let origin = origin(peer, headers, header, &PROXIES.parse().expect("a list"));
    (origin.peer.to_string(), origin.secure)
}

#[test]
fn the_rightmost_address_that_is_no_proxy_is_the_clients() {
    for (value, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1,10.0.0.2 ,\t10.0.0.3", "192.0.2.1"),
        // What the client itself has written stands on the left.
        ("8.8.8.8, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1, 10.0.0.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        // Proxies only: the farthest.
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("192.0.2.1:4711", "192.0.2.1:4711"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
        ("192.0.2.1, [2001:db8:ffff::1]:80", "192.0.2.1"),
        ("::ffff:192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        // Nobody that makes sense: the last one that is known.
        ("", "10.0.0.1:99"),
        (",", "10.0.0.1:99"),
        ("192.0.2.1,", "10.0.0.1:99"),
        ("unknown", "10.0.0.1:99"),
        ("192.0.2.1, unknown", "10.0.0.1:99"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, _hidden, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1:http", "10.0.0.1:99"),
        ("192.0.2.1:-1", "10.0.0.1:99"),
        ("192.0.2.1:999999", "10.0.0.1:99"),
        ("192.0.2.1:65536", "10.0.0.1:99"),
        ("192.0.2.256", "10.0.0.1:99"),
        ("0300.0.2.1", "10.0.0.1:99"),
        ("[192.0.2.1]", "10.0.0.1:99"),
        ("[2001:db8::7", "10.0.0.1:99"),
        ("[2001:db8::7]4711", "10.0.0.1:99"),
        ("fe80::1%eth0", "10.0.0.1:99"),
        ("\"192.0.2.1\"", "10.0.0.1:99"),
        ("' OR 1=1 --", "10.0.0.1:99"),
    ] {
        let found = ask("10.0.0.1:99", &[("X-Forwarded-For", value)], Header::XForwardedFor);
        assert_eq!(found, (client.to_owned(), None), "{value:?}");
    }
}

#[test]
fn several_lines_are_one_list_and_the_last_line_is_the_nearest() {
    let headers = [
        ("X-Forwarded-For", "8.8.8.8"),
        ("Via", "1.1 x"),
        ("x-forwarded-for", "192.0.2.1"),
        ("X-FORWARDED-FOR", "10.0.0.2"),
    ];
    assert_eq!(ask("10.0.0.1:99", &headers, Header::XForwardedFor).0, "192.0.2.1");
}

#[test]
fn who_is_not_trusted_is_not_believed_whatever_he_writes() {
    let headers = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=127.0.0.1;proto=https"),
    ];
    for header in [Header::XForwardedFor, Header::XRealIp, Header::Forwarded] {
        for peer in ["192.0.2.9:1", "11.0.0.1:1", "[2001:db8:fffe::1]:1", "unix"] {
            assert_eq!(ask(peer, &headers, header), (peer.to_owned(), None), "{header:?}");
        }
    }
}

#[test]
fn only_the_header_that_the_proxies_set_is_believed() {
    let headers = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Real-IP", "192.0.2.2"),
        ("Forwarded", "for=192.0.2.3"),
    ];
    for (header, client) in [
        (Header::XForwardedFor, "192.0.2.1"),
        (Header::XRealIp, "192.0.2.2"),
        (Header::Forwarded, "192.0.2.3"),
    ] {
        assert_eq!(ask("10.0.0.1:99", &headers, header).0, client);
        let others: Vec<_> =
            headers.into_iter().filter(|(_, value)| !value.ends_with(client)).collect();
        assert_eq!(ask("10.0.0.1:99", &others, header).0, "10.0.0.1:99", "{header:?}");
    }
}

/// A client may leave a quotation open, for the proxy to write into it.
#[test]
fn an_open_quotation_hides_nothing_that_a_proxy_has_added() {
    for added in ["for=192.0.2.1", "for=\"192.0.2.1:80\"", "by=_p;for=192.0.2.1;proto=https"] {
        for written in [
            "for=8.8.8.8;by=\"",
            "for=8.8.8.8;by=\"\\",
            "for=8.8.8.8;by=\"\\\"",
            "for=8.8.8.8;x=\"a\";by=\"",
            "\"",
        ] {
            let value = format!("{written}, {added}");
            let found = ask("10.0.0.1:99", &[("Forwarded", &value)], Header::Forwarded);
            assert_eq!(found, ("10.0.0.1:99".to_owned(), None), "{value}");
            let apart = [("Forwarded", written), ("Forwarded", added)];
            let found = ask("10.0.0.1:99", &apart, Header::Forwarded).0;
            assert!(found.starts_with("192.0.2.1"), "{value}: {found}");
        }
    }
}

#[test]
fn forwarded_as_rfc_7239_has_it() {
    for (value, client, secure) in [
        ("for=\"_gazonk\"", "10.0.0.1:99", None),
        ("For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711", None),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", Some(false)),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17", None),
        ("for=192.0.2.43,FOR=10.0.0.2;Proto=HTTPS", "192.0.2.43", Some(true)),
        // The word of the hop that the client came to.
        ("for=192.0.2.43;proto=https, for=10.0.0.2;proto=http", "192.0.2.43", Some(true)),
        ("for=192.0.2.43;proto=http, for=10.0.0.2;proto=https", "192.0.2.43", Some(false)),
        ("for=\"192.0.2.43:_port\"", "192.0.2.43", None),
        ("for=192.0.2.43;ext=\"a,b;for=8.8.8.8\"", "192.0.2.43", None),
        ("ext=\"\\\",for=8.8.8.8\";for=192.0.2.43", "192.0.2.43", None),
        // A quotation without an end swallows what follows, as it would for the proxy.
        ("for=192.0.2.1, for=\"192.0.2.43", "10.0.0.1:99", None),
        ("for=\"192.0\\.2.43\"", "10.0.0.1:99", None),
        // No port has such a name, and no value such quotes.
        ("for=\"192.0.2.43:_\"", "10.0.0.1:99", None),
        ("for=\"192.0.2.43:_a b\"", "10.0.0.1:99", None),
        ("for=\"192.0.2.43:_p\"V for=\"10.0.0.1:1\"", "10.0.0.1:99", None),
        ("by=203.0.113.43", "10.0.0.1:99", None),
        ("for = 192.0.2.43", "192.0.2.43", None),
        ("for=unknown;proto=https", "10.0.0.1:99", Some(true)),
        ("", "10.0.0.1:99", None),
    ] {
        let found = ask("10.0.0.1:99", &[("Forwarded", value)], Header::Forwarded);
        assert_eq!(found, (client.to_owned(), secure), "{value:?}");
    }
}

#[test]
fn the_scheme_is_the_word_of_the_nearest_proxy() {
    for (value, secure) in [
        ("https", true),
        ("http", false),
        ("WSS", true),
        ("http, https", true),
        ("https,http", false),
    ] {
        let headers = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", value)];
        let found = ask("10.0.0.1:99", &headers, Header::XForwardedFor);
        assert_eq!(found, ("192.0.2.1".to_owned(), Some(secure)), "{value}");
        assert_eq!(ask("10.0.0.1:99", &headers[1..], Header::XRealIp).1, Some(secure), "{value}");
    }
    let two = [("X-Real-IP", "127.0.0.1"), ("X-Real-IP", "192.0.2.1")];
    assert_eq!(ask("10.0.0.1:99", &two, Header::XRealIp).0, "192.0.2.1");
}

#[test]
fn a_thousand_hops_are_gone_through_as_far_as_there_may_be() {
    let chain = ["10.0.0.2"; 1000].join(", ");
    let found = ask("10.0.0.1:99", &[("X-Forwarded-For", &chain)], Header::XForwardedFor);
    assert_eq!(found.0, "10.0.0.2");
    let with_client = |hops| format!("192.0.2.1, {}", vec!["10.0.0.2"; hops].join(","));
    let ask = |hops| {
        ask("10.0.0.1:99", &[("X-Forwarded-For", &with_client(hops))], Header::XForwardedFor)
    };
    assert_eq!(ask(HOPS_MAX - 1).0, "192.0.2.1");
    assert_eq!(ask(HOPS_MAX).0, "10.0.0.2", "one too many");
}

#[test]
fn headers_that_are_no_text_hide_the_client() {
    let headers = [("X-Forwarded-For", &b"192.0.2.1"[..]), ("X-Forwarded-For", b"\xff")];
    let peer = Peer::from("10.0.0.1:99".parse::<SocketAddr>().expect("an address"));
    let trust = PROXIES.parse().expect("a list");
    let origin = origin(peer, headers.into_iter(), Header::XForwardedFor, &trust);
    assert_eq!(origin.peer, peer);
}

#[test]
fn lists_of_who_is_trusted() {
    let trusts = |list: &str, address: &str| {
        let peer = match address {
            "unix" => Peer::Unix,
            address => Peer::inet(address.parse().expect(address), None),
        };
        list.parse::<Trust>().expect(list).includes(peer)
    };
    for (list, inside, outside) in [
        ("", &[][..], &["127.0.0.1", "::1", "unix"][..]),
        (
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["9.255.255.255", "11.0.0.0"],
        ),
        ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "unix", "::1"]),
        ("0.0.0.0/0", &["8.8.8.8", "::ffff:8.8.8.8"], &["::1", "unix"]),
        ("::/0", &["::1"], &["8.8.8.8"]),
        ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::1"]),
        ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]),
        (" unix , 127.0.0.1/32 ", &["unix", "127.0.0.1"], &["127.0.0.2"]),
    ] {
        for address in inside {
            assert!(trusts(list, address), "{list:?} {address}");
        }
        for address in outside {
            assert!(!trusts(list, address), "{list:?} {address}");
        }
        let trust: Trust = list.parse().expect(list);
        assert_eq!(trust.to_string().parse(), Ok(trust), "{list:?}");
    }
    for wrong in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "localhost",
        ",",
        "10.0.0.1,",
        "/8",
        "UNIX",
    ] {
        assert!(matches!(wrong.parse::<Trust>(), Err(TrustError::Entry(_))), "{wrong:?}");
    }
    assert_eq!("10.0.0.1/8".parse::<Trust>(), Err(TrustError::Host("10.0.0.1/8".to_owned())));
    let many = vec!["10.0.0.1"; ENTRIES_MAX + 1].join(",");
    assert_eq!(many.parse::<Trust>(), Err(TrustError::TooMany));
}

proptest! {
    #[test]
    fn nothing_that_comes_in_a_header_panics(value in "\\PC{0,200}", other in "[-,;=\"\\\\:\\[\\]a-z0-9. ]{0,200}") {
        for value in [&value, &other] {
            for (name, header) in [
                ("x-forwarded-for", Header::XForwardedFor),
                ("x-real-ip", Header::XRealIp),
                ("forwarded", Header::Forwarded),
            ] {
                ask("10.0.0.1:99", &[(name, value), ("x-forwarded-proto", value)], header);
            }
            let _ = value.parse::<Trust>();
        }
    }
}
