//! Bodies of requests: what says where they end, and their chunks.

use super::{
    After::{Closed, Kept},
    Row,
};

/// A head that says chunked, and these bytes as the body.
macro_rules! chunked {
    ($body:literal) => {
        concat!("OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", $body)
            .as_bytes()
    };
}
/// Content-Length and Transfer-Encoding, and what can be smuggled between them (RFC 9112, 6.1, 6.3 and 11.2). The body of
/// an OPTIONS for the whole server is taken: 204 says that the request and its body were understood.
pub(super) const LENGTHS: &[Row] = &[
    ("a body", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 204, Kept),
    ("a body of a GET", b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 200, Kept),
    (
        "a request in a body",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\n\r\n  ",
        204,
        Kept,
    ),
    ("zeros before it", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello", 204, Kept),
    ("an empty length", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, Closed),
    ("a sign", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400, Closed),
    ("a negative length", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400, Closed),
    ("hexadecimal", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", 400, Closed),
    ("a fraction", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\nhello", 400, Closed),
    ("a blank inside", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello", 400, Closed),
    ("a list", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400, Closed),
    (
        "two lengths",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        400,
        Closed,
    ),
    (
        "the same length twice",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
        400,
        Closed,
    ),
    ("2 to the 64", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", 400, Closed),
    ("2 to the 64, less one", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", 413, Closed),
    ("a huge length", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413, Closed),
    ("one byte too long", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413, Closed),
    (
        "too long, and asks before",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
        413,
        Closed,
    ),
    (
        "CL.TE: both, the length first",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        400,
        Closed,
    ),
    (
        "TE.CL: both, the coding first",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nG\r\n0\r\n\r\n",
        400,
        Closed,
    ),
    (
        "both, the length zero",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        Closed,
    ),
    ("chunked in HTTP/1.0", b"OPTIONS * HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, Closed),
    ("TE.TE: a blank before the colon", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, Closed),
    ("TE.TE: another coding", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, Closed),
    ("TE.TE: a vertical tab", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, Closed),
    ("TE.TE: quotes", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, Closed),
    ("TE.TE: a folded line", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, Closed),
    (
        "TE.TE: two headers",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
        Closed,
    ),
    ("chunked twice", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, Closed),
    ("chunked, and something after it", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, Closed),
    ("chunked with a parameter", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400, Closed),
    ("identity", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, Closed),
    ("no coding", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400, Closed),
    ("gzip inside", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, Closed),
    ("chunked in capitals", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", 204, Kept),
];

/// Chunks (RFC 9112, 7.1). Each comes after a head that says chunked.
pub(super) const CHUNKS: &[Row] = &[
    ("chunks", chunked!("5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\nX: y\r\n\r\n"), 204, Kept),
    ("a request in a chunk", chunked!("12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n"), 204, Kept),
    ("zeros before the size", chunked!("0005\r\nhello\r\n000\r\n\r\n"), 204, Kept),
    ("a size in capitals", chunked!("A\r\n0123456789\r\n0\r\n\r\n"), 204, Kept),
    ("blanks around an extension", chunked!("5\t; a = b\r\nhello\r\n0\r\n\r\n"), 204, Kept),
    ("a quotation does not outlive its line", chunked!("5;a=\"\r\nhello\r\n0\r\n\r\n"), 204, Kept),
    ("no size", chunked!("\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a size that is no number", chunked!("five\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a size with a prefix", chunked!("0x5\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a size with a sign", chunked!("-5\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a blank before the size", chunked!(" 5\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a blank after the size", chunked!("5 \r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a size of 17 digits", chunked!("00000000000000005\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a size of 64 bits", chunked!("ffffffffffffffff\r\n"), 413, Closed),
    ("a size over the limit", chunked!("100001\r\n"), 413, Closed),
    ("sizes over the limit together", chunked!("1\r\na\r\n100000\r\n"), 413, Closed),
    ("LF alone after the size", chunked!("5\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("CR alone after the size", chunked!("5\rhello\r\n0\r\n\r\n"), 400, Closed),
    ("LF alone after the content", chunked!("5\r\nhello\n0\r\n\r\n"), 400, Closed),
    ("content beyond its size", chunked!("4\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("LF in an extension", chunked!("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("CR in an extension", chunked!("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a NUL in an extension", chunked!("5;\0\r\nhello\r\n0\r\n\r\n"), 400, Closed),
    ("a trailer without a colon", chunked!("0\r\nX\r\n\r\n"), 400, Closed),
    ("a folded trailer", chunked!("0\r\nX: y\r\n z\r\n\r\n"), 400, Closed),
    ("LF alone in the trailers", chunked!("0\r\nX: y\n\r\n"), 400, Closed),
    ("LF alone at the end", chunked!("0\r\n\n"), 400, Closed),
    ("a blank before the colon of a trailer", chunked!("0\r\nX : y\r\n\r\n"), 400, Closed),
    ("a NUL in a trailer", chunked!("0\r\nX: \0\r\n\r\n"), 400, Closed),
    ("CR alone in a trailer", chunked!("0\r\nX: a\rb\r\n\r\n"), 400, Closed),
    ("a coding in the trailers", chunked!("0\r\nTransfer-Encoding: chunked\r\n\r\n"), 204, Kept),
    ("a Host in the trailers", chunked!("0\r\nHost: b\r\n\r\n"), 204, Kept),
    ("a length in the trailers", chunked!("0\r\nContent-Length: 99\r\n\r\n"), 204, Kept),
];
