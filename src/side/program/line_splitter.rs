//! Bytes of a pipe into lines, with a bound. Pure.

/// Gathers lines from pieces.
#[derive(Debug)]
pub(super) struct LineSplitter {
    partial: Vec<u8>,
    line_bytes_max: usize,
}

/// A line is longer than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

impl LineSplitter {
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Self { partial: Vec::new(), line_bytes_max }
    }

    /// Takes bytes as they came and calls `each` with every line that is complete, without its end.
    ///
    /// # Errors
    /// A line is too long; what has come of it is forgotten.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), TooLong> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.partial.len() + line.len() > self.line_bytes_max {
                self.partial = Vec::new();
                return Err(TooLong);
            }
            if self.partial.is_empty() {
                each(without_return(line));
            } else {
                self.partial.extend_from_slice(line);
                each(without_return(&self.partial));
                self.partial.clear();
            }
            bytes = rest;
        }
        if self.partial.len() + bytes.len() > self.line_bytes_max {
            self.partial = Vec::new();
            return Err(TooLong);
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// What stands after the last line end, when nothing more comes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_make_the_same_lines() {
        let text = b"one\r\n\ntwo\nthree";
        for size in 1..=text.len() {
            let mut reader = LineSplitter::new(5);
            let mut lines = Vec::new();
            for piece in text.chunks(size) {
                reader.take(piece, |line| lines.push(line.to_vec())).unwrap();
            }
            assert_eq!(lines, [&b"one"[..], b"", b"two"], "pieces of {size}");
            assert_eq!(reader.rest(), b"three");
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_told_as_soon_as_it_is_there() {
        let mut reader = LineSplitter::new(5);
        assert_eq!(reader.take(b"123", |_| ()), Ok(()));
        assert_eq!(reader.take(b"456", |_| ()), Err(TooLong));
        assert_eq!(reader.take(b"1234567\n", |_| ()), Err(TooLong));
    }
}
