//! Which offers of permessage-deflate are taken, and what is answered: the rules of RFC 7692, section 7.1, one line each.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wsmaster_protocol::{
    deflate::{Agreement, Malformed, Policy, WindowBits, first_offer},
    handshake::{Refusal, check},
};

const PLAIN: Policy =
    Policy { server_takeover: false, client_takeover: false, window: WindowBits::MAX };
const FULL: Policy =
    Policy { server_takeover: true, client_takeover: true, window: WindowBits::MAX };

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("8 to 15")
}

fn small(policy: Policy, window: u8) -> Policy {
    Policy { window: bits(window), ..policy }
}

/// The value of the answer's header to these request headers; `None` when no offer is taken.
#[track_caller]
fn answer(headers: &[&str], policy: Policy) -> Option<String> {
    let offer = first_offer(headers.iter().map(|value| value.as_bytes())).expect("well-formed");
    offer.and_then(|offer| offer.answer(&policy, ROOM_BYTES)).map(|answer| answer.header)
}

/// Room for whatever is agreed on.
const ROOM_BYTES: usize = 64 * 1024;
const NOTHING_KEPT: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// What the client says has to be kept: it has not offered to do without.
const CLIENT_KEPT: &str = "permessage-deflate; server_no_context_takeover";
/// The same, and it can be asked for a small window.
const LITTLE_KEPT: &str =
    "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";

#[test]
fn what_is_offered_and_what_is_answered() {
    let table = [
        ("permessage-deflate", PLAIN, CLIENT_KEPT),
        ("PerMessage-Deflate", PLAIN, CLIENT_KEPT),
        ("permessage-deflate; client_max_window_bits", PLAIN, LITTLE_KEPT),
        ("permessage-deflate;client_max_window_bits=15", PLAIN, LITTLE_KEPT),
        ("permessage-deflate;client_max_window_bits=10", PLAIN, LITTLE_KEPT),
        (
            "permessage-deflate;client_max_window_bits=9",
            PLAIN,
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        ),
        (
            "permessage-deflate;client_max_window_bits",
            small(PLAIN, 9),
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        ),
        ("permessage-deflate; client_no_context_takeover", PLAIN, NOTHING_KEPT),
        (
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            PLAIN,
            NOTHING_KEPT,
        ),
        ("permessage-deflate", FULL, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", FULL, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=15", FULL, "permessage-deflate"),
        (
            "permessage-deflate; server_no_context_takeover",
            FULL,
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            FULL,
            "permessage-deflate; client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            FULL,
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            FULL,
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            small(FULL, 12),
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=14",
            small(FULL, 12),
            "permessage-deflate; server_max_window_bits=12",
        ),
        // A smaller window of the server's needs no word, and to some clients it would be one too many.
        ("permessage-deflate", small(FULL, 12), "permessage-deflate"),
        (
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            small(FULL, 9),
            NOTHING_KEPT,
        ),
        (
            "permessage-deflate; client_max_window_bits",
            small(FULL, 12),
            "permessage-deflate; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            small(FULL, 12),
            "permessage-deflate; client_max_window_bits=9",
        ),
        // The compressor knows no window of 256 bytes, so nothing may refer to an earlier message.
        (
            "permessage-deflate; server_max_window_bits=8",
            FULL,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=8",
        ),
        // A quoted value means what it says (RFC 6455, section 9.1).
        (
            "permessage-deflate; server_max_window_bits=\"1\\0\"",
            FULL,
            "permessage-deflate; server_max_window_bits=10",
        ),
        // Blanks and empty elements.
        (
            " ,, permessage-deflate ;\tserver_max_window_bits = \"11\" , ,",
            FULL,
            "permessage-deflate; server_max_window_bits=11",
        ),
        // The first one that can be taken.
        (
            "permessage-deflate; server_max_window_bits=9, permessage-deflate",
            FULL,
            "permessage-deflate; server_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=7, permessage-deflate",
            FULL,
            "permessage-deflate",
        ),
        ("x-webkit-deflate-frame; a=\"b,c;d\", permessage-deflate", FULL, "permessage-deflate"),
    ];
    for (offered, policy, expected) in table {
        assert_eq!(answer(&[offered], policy).as_deref(), Some(expected), "{offered}");
    }
    let two = ["permessage-bzip2", "permessage-deflate; server_no_context_takeover"];
    assert_eq!(
        answer(&two, FULL).as_deref(),
        Some("permessage-deflate; server_no_context_takeover")
    );
    assert_eq!(answer(&[], FULL), None);
}

#[test]
fn what_is_declined() {
    let parameters = [
        "server_max_window_bits",
        "server_max_window_bits=0",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=015",
        "server_max_window_bits=1",
        "server_max_window_bits=150",
        "server_max_window_bits=99999999999",
        "server_max_window_bits=\"\"",
        "server_max_window_bits=\"\\\\\"",
        "server_max_window_bits=ten",
        "server_max_window_bits=+9",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=0",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=99999999999",
        "client_max_window_bits=\"\"",
        "client_max_window_bits; client_max_window_bits=9",
        "client_max_window_bits=9; client_max_window_bits",
        "server_no_context_takeover=true",
        "server_no_context_takeover=\"\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover=1",
        "client_no_context_takeover; CLIENT_NO_CONTEXT_TAKEOVER",
        "mystery",
        "mystery=1",
        "server_no_context_takeover; mystery=\"x\"",
    ];
    for parameters in parameters {
        let offered = format!("permessage-deflate; {parameters}");
        assert_eq!(answer(&[&offered], FULL), None, "{offered}");
    }
    for other in ["permessage-deflat", "deflate", "x; permessage-deflate", "permessage-deflate2"] {
        assert_eq!(answer(&[other], FULL), None, "{other}");
    }
}

#[test]
fn what_follows_no_grammar_fails_the_handshake() {
    let table = [
        ";",
        "=",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate; =10",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"10\\",
        "permessage-deflate; server_max_window_bits=\"10\"x",
        "permessage-deflate; server_max_window_bits=10 10",
        "permessage-deflate client_max_window_bits",
        "\"permessage-deflate\"",
        "permessage/deflate",
        "a, b; c=d, {",
        "permess\u{e4}ge",
    ];
    for value in table {
        assert_eq!(first_offer([value.as_bytes()]), Err(Malformed), "{value}");
        let headers = [
            ("Host", "x"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Extensions", value),
        ];
        let headers = headers.map(|(name, value)| (name, value.as_bytes()));
        assert_eq!(check("GET", 1, headers), Err(Refusal::Extensions), "{value}");
    }
    assert_eq!(Refusal::Extensions.status(), 400);
}

#[test]
fn the_agreement_says_what_the_answer_says() {
    let offered = b"permessage-deflate; client_max_window_bits=11; server_max_window_bits=9";
    let offer = first_offer([&offered[..]]).expect("well-formed").expect("taken");
    let agreement =
        |policy: Policy| offer.answer(&policy, ROOM_BYTES).expect("there is room").agreement;
    let expected = Agreement {
        server_window: bits(9),
        client_window: bits(11),
        server_takeover: true,
        client_takeover: true,
    };
    assert_eq!(agreement(FULL), expected);
    assert_eq!(expected.context_bytes(), 512 + 2048);
    assert_eq!(agreement(PLAIN).context_bytes(), 1024);
    let window = agreement(small(FULL, 10)).server_window;
    assert_eq!(window, bits(9), "it is used although it is not spoken of");

    let offered = b"permessage-deflate; client_no_context_takeover; client_max_window_bits";
    let offer = first_offer([&offered[..]]).expect("well-formed").expect("taken");
    let agreement = offer.answer(&PLAIN, 0).expect("it needs no room").agreement;
    assert_eq!(agreement.context_bytes(), 0);
    assert_eq!(agreement.client_window, WindowBits::MAX, "it was not told to use less");
}

/// With less room less is agreed on, and nothing where the client would need what is not there.
#[test]
fn what_finds_no_room_is_not_agreed_on() {
    const KIB: usize = 1024;
    const FREE: &str = "permessage-deflate; client_no_context_takeover";
    const HINT: &str = "permessage-deflate; client_max_window_bits";
    const MUTE: &str = "permessage-deflate";
    let table = [
        (MUTE, FULL, 64 * KIB, Some("permessage-deflate")),
        (MUTE, FULL, 64 * KIB - 1, Some(CLIENT_KEPT)),
        (MUTE, FULL, 32 * KIB, Some(CLIENT_KEPT)),
        (MUTE, FULL, 32 * KIB - 1, None),
        (MUTE, PLAIN, 32 * KIB, Some(CLIENT_KEPT)),
        (MUTE, PLAIN, 32 * KIB - 1, None),
        (HINT, FULL, 64 * KIB, Some("permessage-deflate")),
        (HINT, FULL, 64 * KIB - 1, Some(LITTLE_KEPT)),
        (HINT, FULL, KIB, Some(LITTLE_KEPT)),
        (HINT, FULL, KIB - 1, None),
        (HINT, PLAIN, KIB, Some(LITTLE_KEPT)),
        (HINT, PLAIN, 0, None),
        (FREE, FULL, 32 * KIB, Some("permessage-deflate; client_no_context_takeover")),
        (FREE, FULL, 0, Some(NOTHING_KEPT)),
        (FREE, PLAIN, 0, Some(NOTHING_KEPT)),
    ];
    for (offered, policy, room_bytes, expected) in table {
        let offer = first_offer([offered.as_bytes()]).expect("well-formed").expect("taken");
        let answer = offer.answer(&policy, room_bytes);
        assert!(answer.as_ref().is_none_or(|it| it.agreement.context_bytes() <= room_bytes));
        let header = answer.map(|answer| answer.header);
        assert_eq!(header.as_deref(), expected, "{offered}, {room_bytes} bytes of room");
    }
}

/// 64 KiB of whatever a slow reader would stumble over, in time that does not grow with its square.
#[test]
fn long_headers_take_linear_time() {
    let length = 64 * 1024;
    let parts = [
        ",",
        " ",
        "\t",
        "\"",
        "\\",
        ";",
        "=",
        "a",
        "a;",
        "a,",
        "a;b=\"\\\"",
        "a;b=\"c\",",
        " ,",
        "a ",
        "permessage-deflate; server_max_window_bits=8,",
        "permessage-deflate; server_max_window_bits=8;",
        "permessage-deflate; mystery,",
    ];
    let started = Instant::now();
    for part in parts {
        let whole = part.repeat(length / part.len());
        let _ = first_offer([whole.as_bytes()]);
        let _ = first_offer([format!("a; b=\"{whole}").as_bytes()]);
        let _ = first_offer([format!("permessage-deflate; {whole}").as_bytes()]);
    }
    // Quadratic time would be some 4 * 10^9 steps for each of these.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = first_offer([&value[..]]);
    }

    /// Whatever is agreed on obeys both sides, and is told in the words of the RFC.
    #[test]
    fn nobody_is_promised_more_than_he_allows(
        server in proptest::option::of(8_u8..=15),
        client in proptest::option::of(proptest::option::of(8_u8..=15)),
        no_takeover in any::<(bool, bool)>(),
        policy in (any::<bool>(), any::<bool>(), 9_u8..=15),
        room_bytes in 0..=ROOM_BYTES,
    ) {
        let mut offered = "permessage-deflate".to_owned();
        if let Some(bits) = server { offered += &format!("; server_max_window_bits={bits}"); }
        match client {
            Some(Some(bits)) => offered += &format!("; client_max_window_bits={bits}"),
            Some(None) => offered += "; client_max_window_bits",
            None => {}
        }
        if no_takeover.0 { offered += "; server_no_context_takeover"; }
        if no_takeover.1 { offered += "; client_no_context_takeover"; }
        let policy = Policy {
            server_takeover: policy.0, client_takeover: policy.1, window: bits(policy.2),
        };
        let offer = first_offer([offered.as_bytes()]).expect("well-formed").expect("taken");
        let Some(answer) = offer.answer(&policy, room_bytes) else {
            prop_assert!(!no_takeover.1, "this client needs no room");
            return Ok(());
        };
        let agreed = answer.agreement;
        prop_assert!(agreed.context_bytes() <= room_bytes);
        prop_assert!(agreed.server_window.bits() <= server.unwrap_or(15).min(policy.window.bits()));
        prop_assert!(!agreed.server_takeover || policy.server_takeover && !no_takeover.0);
        // Who has not offered to do without his context keeps it.
        prop_assert_eq!(agreed.client_takeover, !no_takeover.1);
        let kept_max = if policy.client_takeover { policy.window } else { WindowBits::NARROW };
        prop_assert!(client.is_none() || no_takeover.1 || agreed.client_window <= kept_max);
        let says = |word: &str| answer.header.split("; ").any(|part| part == word);
        prop_assert_eq!(says("server_no_context_takeover"), !agreed.server_takeover);
        prop_assert_eq!(says("client_no_context_takeover"), no_takeover.1);
        let server_bits = format!("server_max_window_bits={}", agreed.server_window.bits());
        prop_assert_eq!(says(&server_bits), server.is_some());
        prop_assert_eq!(answer.header.contains("server_max_window_bits"), server.is_some());
        if agreed.client_window < WindowBits::MAX {
            let client_bits = format!("client_max_window_bits={}", agreed.client_window.bits());
            prop_assert!(client.is_some() && agreed.client_takeover && says(&client_bits));
        } else {
            prop_assert!(!answer.header.contains("client_max_window_bits"));
        }
    }
}
