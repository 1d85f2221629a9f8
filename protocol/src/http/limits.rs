//! How much of a request is taken.

/// How much of a request is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a head: start line, headers and the empty line; also the bytes of a chunked body's trailers. Beyond: 431.
    pub head_bytes_max: usize,
    /// Header lines of a head. Beyond: 431.
    pub headers_max: usize,
    /// Bytes of a body after chunks are undone. Beyond: 413.
    pub body_bytes_max: usize,
}

impl Default for HttpLimits {
    /// 16 KiB of head, 100 headers, 1 MiB of body.
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, headers_max: 100, body_bytes_max: 1024 * 1024 }
    }
}
