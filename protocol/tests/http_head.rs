//! What `parse_head` takes, refuses and waits for, as one numbered table with the rule in each name.

use HttpError as E;
use Want::{Complete, Partial, Refused};
use wsmaster_protocol::http::{HeadStep, HttpError, HttpLimits, TARGET_BYTES_MAX, parse_head};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Complete,
    Partial,
    Refused(HttpError),
}

type Case = (u16, &'static str, &'static [u8], Want);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The request line.
    (1, "RFC 9112 3: the plainest request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (2, "RFC 9112 2.2: one empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (3, "RFC 9112 2.2: two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (4, "RFC 9112 2.2: empty line of a bare LF first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::LineEnd)),
    (5, "RFC 9112 2.2: bare CR first", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (6, "RFC 9112 2.2: white space before the request line", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (7, "RFC 9112 3: no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (8, "RFC 9112 3: empty target", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (9, "RFC 9112 3: two spaces before the target", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (10, "RFC 9112 3: two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (11, "RFC 9112 3: tab as separator", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (12, "RFC 9112 3: space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (13, "RFC 9112 3: space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (14, "RFC 1945 5.1: a simple request of HTTP/0.9", b"GET /\r\n\r\n", Refused(E::RequestLine)),
    (15, "RFC 9110 9.1: method is not a token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (16, "RFC 9110 9.1: no method", b"/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (17, "RFC 9110 9.1: an unknown method is the router's", b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (18, "RFC 9110 9.1: methods have case, `get` is unknown", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (19, "RFC 9110 9.3.6: CONNECT with its own form", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::MethodNotImplemented)),
    (20, "RFC 9110 9.3.6: CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::MethodNotImplemented)),
    (21, "RFC 9110 9.3.8: TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::MethodNotImplemented)),
    (22, "a TLS hello on the plain port is refused at its first byte", b"\x16\x03\x01\x02\x00", Refused(E::RequestLine)),
    // The version.
    (23, "RFC 9112 2.3: HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", Complete),
    (24, "RFC 9113 3.4: the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(E::Version)),
    (25, "RFC 9110 15.6.6: HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(E::Version)),
    (26, "RFC 9110 15.6.6: HTTP/0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refused(E::Version)),
    (27, "RFC 9112 2.3: the version has case", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (28, "RFC 9112 2.3: one digit for the minor version", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (29, "RFC 9112 2.3: not a version", b"GET / ICY/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (30, "RFC 9112 2.3: no minor version", b"GET / HTTP/1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    // The target.
    (31, "RFC 9112 3.2.1: path and query", b"GET /a/b?c=d&e HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (32, "RFC 9112 3.2.1: not a path", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (33, "RFC 9112 3.2.1: only a query", b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (34, "RFC 9112 3.2.2: absolute", b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (35, "RFC 9112 3.2.2: absolute without a path", b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (36, "RFC 9110 4.2.3: the scheme has no case", b"GET HTTPS://a:8443/b HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (37, "RFC 9112 3.2.2: another scheme", b"GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (38, "RFC 9110 4.2.1: absolute with an empty host", b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::HostMalformed)),
    (39, "RFC 9110 4.2.4: absolute with a user", b"GET http://u:p@a/b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::HostMalformed)),
    (40, "RFC 9112 3.2.2: absolute needs Host as well", b"GET http://a/b HTTP/1.1\r\n\r\n", Refused(E::HostMissing)),
    (41, "RFC 9112 3.2.3: authority form without CONNECT", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (42, "RFC 9112 3.2.4: `*` with OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (43, "RFC 9112 3.2.4: `*` with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (44, "RFC 9112 3.2.4: more than `*`", b"OPTIONS */a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (45, "RFC 3986 3.5: a fragment is not sent", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::Target)),
    (46, "RFC 3986 2: UTF-8 has to be escaped", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), Refused(E::Target)),
    (47, "RFC 3986 2: a byte from 0x80 up", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (48, "RFC 3986 2: NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::ControlCharacter)),
    (49, "RFC 3986 2: DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::ControlCharacter)),
    (50, "RFC 3986 2: tab in the target", b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::RequestLine)),
    (51, "browsers send `|` and `{` unescaped", b"GET /a?b={c|d} HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (52, "RFC 9112 3.2.1: a path may begin with two slashes", b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    // Line ends and control characters.
    (53, "RFC 9112 2.2: request line ends with bare LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n", Refused(E::LineEnd)),
    (54, "RFC 9112 2.2: header ends with bare LF", b"GET / HTTP/1.1\r\nHost: a\n\r\n", Refused(E::LineEnd)),
    (55, "RFC 9112 2.2: empty line is a bare LF", b"GET / HTTP/1.1\r\nHost: a\r\n\n", Refused(E::LineEnd)),
    (56, "RFC 9112 2.2: bare LF is refused before the head ends", b"GET / HTTP/1.1\n", Refused(E::LineEnd)),
    (57, "RFC 9112 2.2: bare CR in a header value", b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", Refused(E::LineEnd)),
    (58, "RFC 9112 2.2: CR CR LF", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refused(E::LineEnd)),
    (59, "RFC 9112 2.2: bare CR in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::LineEnd)),
    (60, "RFC 9110 5.5: NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refused(E::ControlCharacter)),
    (61, "RFC 9110 5.5: escape in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n", Refused(E::ControlCharacter)),
    (62, "RFC 9110 5.5: vertical tab before a value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\x0ba\r\n\r\n", Refused(E::ControlCharacter)),
    (63, "RFC 9110 5.5: tab in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n", Complete),
    (64, "RFC 9110 5.5: bytes from 0x80 up in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n", Complete),
    // Header names.
    (65, "RFC 9112 5.1: space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refused(E::HeaderName)),
    (66, "RFC 9112 5.1: tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", Refused(E::HeaderName)),
    (67, "RFC 9112 5.1: space in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", Refused(E::HeaderName)),
    (68, "RFC 9112 5.1: no colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Refused(E::HeaderName)),
    (69, "RFC 9112 5.1: empty name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Refused(E::HeaderName)),
    (70, "RFC 9112 5.1: name with a byte from 0x80 up", b"GET / HTTP/1.1\r\nHost: a\r\nX\xff: b\r\n\r\n", Refused(E::HeaderName)),
    (71, "RFC 9112 2.2: white space before the first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(E::HeaderName)),
    (72, "RFC 9112 5.2: folded with a space", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", Refused(E::HeaderName)),
    (73, "RFC 9112 5.2: folded with a tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", Refused(E::HeaderName)),
    (74, "RFC 9112 5.1: no space after the colon", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", Complete),
    (75, "RFC 9112 5.1: empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", Complete),
    // Host.
    (76, "RFC 9112 3.2: no Host in HTTP/1.1", b"GET / HTTP/1.1\r\nX: a\r\n\r\n", Refused(E::HostMissing)),
    (77, "RFC 9112 3.2: no header at all in HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n", Refused(E::HostMissing)),
    (78, "RFC 9112 3.2: two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(E::HostRepeated)),
    (79, "RFC 9112 3.2: the same Host twice, in another case", b"GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", Refused(E::HostRepeated)),
    (80, "RFC 9112 3.2: two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Refused(E::HostRepeated)),
    (81, "RFC 9112 3.2: empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Complete),
    (82, "RFC 9110 7.2: name and port", b"GET / HTTP/1.1\r\nHost: a-b.example:65535\r\n\r\n", Complete),
    (83, "RFC 9110 7.2: IPv6 and port", b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", Complete),
    (84, "RFC 9112 3.2: slash in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(E::HostMalformed)),
    (85, "RFC 9112 3.2: user in Host", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refused(E::HostMalformed)),
    (86, "RFC 9112 3.2: space in Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(E::HostMalformed)),
    (87, "RFC 9112 3.2: a byte from 0x80 up in Host", b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", Refused(E::HostMalformed)),
    (88, "RFC 9112 3.2: port is not a number", b"GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", Refused(E::HostMalformed)),
    (89, "RFC 9112 3.2: port over 65535", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Refused(E::HostMalformed)),
    (90, "RFC 9112 3.2: port without a host", b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", Refused(E::HostMalformed)),
    (91, "RFC 9112 3.2: IPv6 without its end", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused(E::HostMalformed)),
    (92, "RFC 9112 3.2: IPv6 without brackets", b"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", Refused(E::HostMalformed)),
    (93, "RFC 3986 3.2.2: broken escape in Host", b"GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", Refused(E::HostMalformed)),
    // The body's length.
    (94, "RFC 9112 6.2: Content-Length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", Complete),
    (95, "RFC 9112 6.2: the largest number", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", Complete),
    (96, "RFC 9110 8.6: one more overflows", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", Refused(E::ContentLength)),
    (97, "RFC 9110 8.6: plus sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", Refused(E::ContentLength)),
    (98, "RFC 9110 8.6: minus sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", Refused(E::ContentLength)),
    (99, "RFC 9110 8.6: hexadecimal", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", Refused(E::ContentLength)),
    (100, "RFC 9110 8.6: empty", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refused(E::ContentLength)),
    (101, "RFC 9110 8.6: digits with a space between", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", Refused(E::ContentLength)),
    (102, "RFC 9112 6.3: list of equal lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", Refused(E::ContentLength)),
    (103, "RFC 9112 6.3: twice the same", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Refused(E::ContentLength)),
    (104, "RFC 9112 6.3: two that differ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", Refused(E::ContentLength)),
    (105, "RFC 9112 6.3: with Transfer-Encoding", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(E::FramingConflict)),
    (106, "RFC 9112 6.3: with Transfer-Encoding before it", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", Refused(E::FramingConflict)),
    // Transfer codings.
    (107, "RFC 9112 7.1: chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Complete),
    (108, "RFC 9112 7: codings have no case", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Complete),
    (109, "RFC 9112 6.1: in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(E::TransferEncoding)),
    (110, "RFC 9112 6.1: unknown before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Refused(E::TransferCodingUnknown)),
    (111, "RFC 9112 6.1: the same in two headers", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(E::TransferCodingUnknown)),
    (112, "RFC 9112 6.3: chunked is not the last", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Refused(E::TransferEncoding)),
    (113, "RFC 9112 6.3: without chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", Refused(E::TransferEncoding)),
    (114, "RFC 9112 7: identity is no coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", Refused(E::TransferEncoding)),
    (115, "RFC 9112 6.1: chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Refused(E::TransferEncoding)),
    (116, "RFC 9112 6.1: chunked in two headers", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(E::TransferEncoding)),
    (117, "RFC 9112 7.1: chunked has no parameters", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", Refused(E::TransferEncoding)),
    (118, "RFC 9112 7: a name that only contains it", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Refused(E::TransferEncoding)),
    (119, "RFC 9112 7: quoted", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", Refused(E::TransferEncoding)),
    (120, "RFC 9112 7: empty", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", Refused(E::TransferEncoding)),
    (121, "RFC 9112 7: empty element", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n", Refused(E::TransferEncoding)),
    (122, "RFC 9112 7: empty element behind", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", Refused(E::TransferEncoding)),
    (123, "RFC 9112 7: white space of Latin-1 is none", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n", Refused(E::TransferEncoding)),
    // Expect.
    (124, "RFC 9110 10.1.1: 100-continue", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n", Complete),
    (125, "RFC 9110 10.1.1: another expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Refused(E::Expectation)),
    (126, "RFC 9110 10.1.1: another one beside it", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", Refused(E::Expectation)),
    // Not yet complete.
    (127, "nothing arrived", b"", Partial),
    (128, "half of the empty line before a request", b"\r", Partial),
    (129, "the empty line before a request", b"\r\n", Partial),
    (130, "half a method", b"GE", Partial),
    (131, "half a version", b"GET / HTTP/1.", Partial),
    (132, "a CR whose LF may follow", b"GET / HTTP/1.1\r", Partial),
    (133, "a request line", b"GET / HTTP/1.1\r\n", Partial),
    (134, "all but the last byte", b"GET / HTTP/1.1\r\nHost: a\r\n\r", Partial),
    (135, "RFC 9112 2.2: the empty line before is not the one behind", b"\r\nGET / HTTP/1.1\r\n", Partial),
    (136, "RFC 6455 3: absolute with a scheme of WebSocket", b"GET ws://a:9501/b HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (137, "RFC 6455 3: the same over TLS, without a path", b"GET WSS://a HTTP/1.1\r\nHost: a\r\n\r\n", Complete),
    (138, "RFC 6455 3: without a host", b"GET ws:///b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(E::HostMalformed)),
];

const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 16 * 1024, headers_max: 100, body_bytes_max: 0 };

fn outcome(input: &[u8], limits: &HttpLimits) -> Want {
    match parse_head(input, limits, &mut 0) {
        HeadStep::Partial => Partial,
        HeadStep::Complete { .. } => Complete,
        HeadStep::Refused(error) => Refused(error),
    }
}

#[test]
fn the_table_holds() {
    let wrong: Vec<_> = CASES
        .iter()
        .map(|&(number, rule, input, want)| (number, rule, want, outcome(input, &LIMITS)))
        .filter(|(_, _, want, got)| want != got)
        .collect();
    assert!(wrong.is_empty(), "(number, rule, wanted, got): {wrong:#?}");
}

#[test]
fn the_table_is_numbered() {
    for (index, (number, rule, ..)) in CASES.iter().enumerate() {
        assert_eq!(usize::from(*number), index + 1, "{rule}");
    }
}

/// Each byte alone: what is refused at once has to be refused late too, and what is complete must not be complete earlier.
#[test]
fn the_table_holds_byte_by_byte() {
    for &(number, rule, input, want) in CASES {
        let mut scanned = 0;
        let mut got = Partial;
        for end in 1..=input.len() {
            got = match parse_head(&input[..end], &LIMITS, &mut scanned) {
                HeadStep::Partial => Partial,
                HeadStep::Complete { .. } => Complete,
                HeadStep::Refused(error) => Refused(error),
            };
            if got != Partial {
                break;
            }
        }
        assert_eq!(got, want, "{number} {rule}");
    }
}

#[test]
fn every_refusal_has_its_status_and_says_nothing_of_the_input() {
    let table = [
        (E::RequestLine, 400),
        (E::LineEnd, 400),
        (E::ControlCharacter, 400),
        (E::HeaderName, 400),
        (E::Target, 400),
        (E::HostMissing, 400),
        (E::HostRepeated, 400),
        (E::HostMalformed, 400),
        (E::ContentLength, 400),
        (E::FramingConflict, 400),
        (E::TransferEncoding, 400),
        (E::Chunk, 400),
        (E::Timeout, 408),
        (E::BodyTooLarge, 413),
        (E::TargetTooLong, 414),
        (E::Expectation, 417),
        (E::HeadTooLarge, 431),
        (E::TooManyHeaders, 431),
        (E::MethodNotImplemented, 501),
        (E::TransferCodingUnknown, 501),
        (E::Version, 505),
    ];
    for (error, status) in table {
        assert_eq!(error.status(), status, "{error:?}");
        assert_eq!(error.response().status(), status, "{error:?}");
        assert!(!error.text().is_empty() && !error.text().contains('\n'), "{error:?}");
    }
}

fn with_headers(count: usize) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1)).into_bytes()
}

fn with_target(bytes: usize) -> Vec<u8> {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(bytes - 1)).into_bytes()
}

#[test]
fn headers_are_counted() {
    assert_eq!(outcome(&with_headers(100), &LIMITS), Complete);
    assert_eq!(outcome(&with_headers(101), &LIMITS), Refused(E::TooManyHeaders));
    assert_eq!(outcome(&with_headers(2_000), &LIMITS), Refused(E::TooManyHeaders));
}

/// RFC 9112 3: 414 where the target alone is too long, whether or not the head is over its own limit too.
#[test]
fn a_target_has_its_own_limit() {
    assert_eq!(outcome(&with_target(TARGET_BYTES_MAX), &LIMITS), Complete);
    assert_eq!(outcome(&with_target(TARGET_BYTES_MAX + 1), &LIMITS), Refused(E::TargetTooLong));
    assert_eq!(outcome(&with_target(100_000), &LIMITS), Refused(E::TargetTooLong));
}

#[test]
fn a_head_is_refused_when_the_limit_is_reached_without_its_end() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let exact = HttpLimits { head_bytes_max: head.len(), ..LIMITS };
    assert_eq!(outcome(head, &exact), Complete);
    assert_eq!(outcome(&[&head[..], b"and a body"].concat(), &exact), Complete);
    let short = HttpLimits { head_bytes_max: head.len() - 1, ..LIMITS };
    assert_eq!(outcome(&head[..head.len() - 2], &short), Partial);
    assert_eq!(outcome(&head[..head.len() - 1], &short), Refused(E::HeadTooLarge));
    assert_eq!(outcome(head, &short), Refused(E::HeadTooLarge));
    assert_eq!(outcome(&[b'A'; 20_000], &LIMITS), Refused(E::HeadTooLarge));
}

/// A head that arrives byte by byte is looked at once: a byte that was seen is not read again before the head ends.
#[test]
fn what_was_scanned_is_not_scanned_again() {
    let mut input = b"GET / HTTP/1.1\r\nHost: a\r\nX: y".to_vec();
    let mut scanned = 0;
    assert_eq!(parse_head(&input, &LIMITS, &mut scanned), HeadStep::Partial);
    assert_eq!(scanned, input.len());
    input[27] = 0;
    input.push(b'z');
    assert_eq!(parse_head(&input, &LIMITS, &mut scanned), HeadStep::Partial);
    let refused = HeadStep::Refused(E::ControlCharacter);
    assert_eq!(parse_head(&input, &LIMITS, &mut 0), refused, "the marker would have been found");
}

#[test]
fn the_hint_starts_again_with_each_request() {
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut scanned = 0;
    let HeadStep::Complete { head, head_len } = parse_head(two, &LIMITS, &mut scanned) else {
        panic!("the first request is complete");
    };
    assert_eq!((head.path(), head_len, scanned), ("/1", 28, 0));
    let HeadStep::Complete { head, head_len } = parse_head(&two[28..], &LIMITS, &mut scanned)
    else {
        panic!("the second request is complete");
    };
    assert_eq!((head.path(), head_len), ("/2", 28));
}
