//! The PROXY protocol: the examples of its specification, each byte on its own, and what is no header.

use proptest::prelude::*;
use wsmaster_protocol::{
    peer::Peer,
    proxy::preface::{Client, Fault, Step, V1_BYTES_MAX, V2_BYTES_MAX, read},
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn peer(text: &str) -> Peer {
    Peer::from(text.parse::<std::net::SocketAddr>().expect("an address"))
}

fn from(text: &str, consumed: usize) -> Step {
    Step::Complete { consumed, client: Some(Client { peer: peer(text), secure: false }) }
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn tcp4() -> Vec<u8> {
    [[192, 0, 2, 1], [198, 51, 100, 7]].concat().into_iter().chain([0x12, 0x67, 0, 80]).collect()
}

#[test]
fn lines_of_version_1() {
    let longest_tcp6 = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 16));
    assert_eq!((longest_tcp6.len(), longest.len()), (104, V1_BYTES_MAX));
    let rows: Vec<(&str, Step)> = vec![
        // The longest lines of the specification, and its example.
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            from("255.255.255.255:65535", 56),
        ),
        (longest_tcp6, from("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 104)),
        ("PROXY UNKNOWN\r\n", Step::Complete { consumed: 15, client: None }),
        (
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
            Step::Complete { consumed: 59, client: None },
        ),
        (&longest, Step::Complete { consumed: 107, client: None }),
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            from("192.168.0.1:56324", 47),
        ),
        ("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", from("[2001:db8::1]:0", 32)),
        ("", Step::Partial),
        ("P", Step::Partial),
        ("PROXY TCP4 1.2.3.4", Step::Partial),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r", Step::Partial),
        ("PUT / HTTP/1.1", Step::Malformed(Fault::Start)),
        ("GET / HTTP/1.1", Step::Malformed(Fault::Start)),
        ("proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", Step::Malformed(Fault::Start)),
    ];
    for (text, step) in rows {
        assert_eq!(read(text.as_bytes()), step, "{text:?}");
    }
    for line in [
        "TCP4 1.2.3.4 1.2.3.4 1",
        "TCP4 1.2.3.4 1.2.3.4 1 1 1",
        "TCP4  1.2.3.4 1.2.3.4 1 1",
        "TCP4 1.2.3.4 1.2.3.4 1 1 ",
        "TCP4 1.2.3.4 1.2.3.4 01 1",
        "TCP4 1.2.3.4 1.2.3.4 +1 1",
        "TCP4 1.2.3.4 1.2.3.4 65536 1",
        "TCP4 1.2.3.4 1.2.3.4 1 -1",
        "TCP4 1.2.3.4 1.2.3.4 1 ",
        "TCP4 1.2.3 1.2.3.4 1 1",
        "TCP4 ::1 ::1 1 1",
        "TCP6 1.2.3.4 1.2.3.4 1 1",
        "TCP6 [::1] [::1] 1 1",
        "UDP4 1.2.3.4 1.2.3.4 1 1",
        "tcp4 1.2.3.4 1.2.3.4 1 1",
        "",
        "TCP4 \u{e9}",
    ] {
        let text = format!("PROXY {line}\r\n");
        assert_eq!(read(text.as_bytes()), Step::Malformed(Fault::Line), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(V1_BYTES_MAX - 14));
    assert_eq!(read(endless.as_bytes()), Step::Malformed(Fault::TooLong));
    assert_eq!(read(&endless.as_bytes()[..V1_BYTES_MAX - 1]), Step::Partial);
    assert_eq!(read(b"PROXY \xff\xff\r\n"), Step::Malformed(Fault::Line));
}

#[test]
fn headers_of_version_2() {
    let tcp6 = [
        &[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..],
        &[0; 16],
        &[0xff, 0xff, 0, 80],
    ]
    .concat();
    // The two bytes behind both addresses are the client's port.
    let mut tcp4_without_port = tcp4();
    tcp4_without_port[8..10].fill(0);
    let unix = Step::Complete {
        consumed: 16 + 216,
        client: Some(Client { peer: Peer::Unix, secure: false }),
    };
    let nobody = |consumed| Step::Complete { consumed, client: None };
    let malformed = Step::Malformed;
    let rows = [
        ("TCP4", v2(0x21, 0x11, &tcp4()), from("192.0.2.1:4711", 28)),
        ("TCP4, port 0", v2(0x21, 0x11, &tcp4_without_port), from("192.0.2.1:0", 28)),
        ("TCP6", v2(0x21, 0x21, &tcp6), from("[2001:db8::9]:65535", 52)),
        ("unix", v2(0x21, 0x31, &[b'/'; 216]), unix),
        ("local", v2(0x20, 0x00, b""), nobody(16)),
        ("local, with what is to be ignored", v2(0x20, 0x77, b"????"), nobody(20)),
        ("unspecified", v2(0x21, 0x00, b"whatever"), nobody(24)),
        (
            "an extension",
            v2(0x21, 0x11, &[&tcp4()[..], &[4, 0, 2, 7, 7]].concat()),
            from("192.0.2.1:4711", 33),
        ),
        ("version 1 in it", v2(0x11, 0x11, &tcp4()), malformed(Fault::Kind)),
        ("command 2", v2(0x22, 0x11, &tcp4()), malformed(Fault::Kind)),
        ("datagrams", v2(0x21, 0x12, &tcp4()), malformed(Fault::Kind)),
        ("family 4", v2(0x21, 0x41, &tcp4()), malformed(Fault::Kind)),
        ("addresses cut off", v2(0x21, 0x11, &tcp4()[..11]), malformed(Fault::Length)),
        ("addresses of six cut off", v2(0x21, 0x21, &tcp6[..35]), malformed(Fault::Length)),
        ("paths cut off", v2(0x21, 0x31, &[b'/'; 215]), malformed(Fault::Length)),
        (
            "half an extension's head",
            v2(0x21, 0x11, &[&tcp4()[..], &[4, 0]].concat()),
            malformed(Fault::Length),
        ),
        (
            "an extension that is too long",
            v2(0x21, 0x11, &[&tcp4()[..], &[4, 0, 9, 1]].concat()),
            malformed(Fault::Length),
        ),
    ];
    for (what, header, step) in rows {
        assert_eq!(read(&header), step, "{what}");
    }
    let filler = |length: usize| {
        let size = u16::try_from(length - 16 - 12 - 3).expect("short").to_be_bytes();
        v2(0x21, 0x11, &[&tcp4()[..], &[4], &size, &vec![0; length - 16 - 12 - 3]].concat())
    };
    assert_eq!(read(&filler(V2_BYTES_MAX)), from("192.0.2.1:4711", V2_BYTES_MAX));
    // The declared length is refused before anything of it has come.
    let declared = &filler(V2_BYTES_MAX + 1)[..16];
    assert_eq!(read(declared), Step::Malformed(Fault::TooLong));
    assert_eq!(read(b"\r\n\r\nGET"), Step::Malformed(Fault::Start));
}

#[test]
fn a_proxy_says_that_the_client_came_over_tls() {
    for (flags, secure) in [(0x01, true), (0x05, true), (0x00, false), (0x06, false)] {
        let ssl = [&tcp4()[..], &[0x20, 0, 5, flags, 0, 0, 0, 0]].concat();
        let client = Some(Client { peer: peer("192.0.2.1:4711"), secure });
        assert_eq!(read(&v2(0x21, 0x11, &ssl)), Step::Complete { consumed: 36, client });
    }
}

proptest! {
    #[test]
    fn nothing_is_decided_before_it_is_there_and_nothing_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        kind in 0..3,
    ) {
        let input = match kind {
            0 => bytes,
            1 => [b"PROXY ", &bytes[..]].concat(),
            _ => v2(0x21, 0x11, &bytes),
        };
        // As it comes, byte by byte: once there is an answer, it stays.
        let whole = read(&input);
        for end in 0..input.len() {
            match read(&input[..end]) {
                Step::Partial => {}
                decided => prop_assert_eq!(decided, whole, "after {} bytes", end),
            }
        }
        if let Step::Complete { consumed, .. } = whole {
            prop_assert!(consumed <= input.len());
        }
    }
}
