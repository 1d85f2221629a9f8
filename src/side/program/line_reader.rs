//! A pipe that a program writes to, read line by line: commands, or what it prints.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use super::line_splitter::{LineSplitter, TooLong};

/// Our end of it, which does not block.
pub(super) struct LineReader {
    file: Option<File>,
    lines: LineSplitter,
    readable: bool,
}

/// What one read has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// So many bytes, in lines or parts of one.
    Bytes(usize),
    /// Bytes, and a line that is too long, which is forgotten.
    TooLong(usize),
    /// Nothing now.
    Nothing,
    /// The program has closed its end. The pipe is closed here too.
    End,
}

impl LineReader {
    pub(super) fn new(end: OwnedFd, line_bytes_max: usize) -> Self {
        Self {
            file: Some(File::from(end)),
            lines: LineSplitter::new(line_bytes_max),
            readable: true,
        }
    }

    /// There may be something to read.
    pub(super) fn wake(&mut self) {
        self.readable = self.file.is_some();
    }

    /// Whether there may be something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads once, and calls `each` with every line that is complete.
    pub(super) fn read(&mut self, buffer: &mut [u8], each: impl FnMut(&[u8])) -> Taken {
        let Some(file) = self.file.as_mut().filter(|_| self.readable) else {
            return Taken::Nothing;
        };
        let count = loop {
            match file.read(buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.readable = false;
                    return Taken::Nothing;
                }
            }
        };
        if count == 0 {
            self.readable = false;
            self.file = None;
            return Taken::End;
        }
        match self.lines.take(&buffer[..count], each) {
            Ok(()) => Taken::Bytes(count),
            Err(TooLong) => Taken::TooLong(count),
        }
    }

    /// What stands after the last end of a line.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.lines.rest()
    }
}
