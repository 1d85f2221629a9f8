//! What waits to be written to one socket. Pure: it takes frames and gives slices; its bound is its user's to ask for. HTTP
//! answers wait here too, before the first frame.
//!
//! An empty outbox holds nothing on the heap. A frame that many connections get is shared, not copied.

use std::{borrow::Cow, collections::VecDeque, io::IoSlice};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::shared_frames::SharedFrames;

/// A frame shorter than this is copied behind the one before it, so that both leave in one piece.
const COPY_BYTES_MAX: usize = 2048;
/// A piece that frames are copied into stops growing here.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// The lowest opcode of a control frame (RFC 6455, 5.5).
const CONTROL_OPCODE_MIN: u8 = 8;

/// Frames in the order in which they will be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    first: Option<Piece>,
    rest: VecDeque<Piece>,
    /// Bytes of `first` that are written already.
    written: usize,
    bytes: usize,
    /// Bytes of the pieces that are nobody else's, what is written of the first one included.
    own_bytes: usize,
}

/// What was thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dropped {
    /// Bytes, with the heads of the frames.
    pub bytes: usize,
    /// Messages.
    pub messages: u64,
}

/// Which frames may be thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    /// Messages and control frames.
    All,
    /// Messages alone: the peer waits for its pongs.
    Messages,
}

/// What waits, as another process goes on with it: with the borders of its frames, since whole ones may be dropped.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedOutbox<'a> {
    #[serde(borrow)]
    pieces: Vec<SavedPiece<'a>>,
    /// Bytes of the first piece that are written already.
    written: usize,
}

#[derive(Debug, Serialize, Deserialize)]
enum SavedPiece<'a> {
    #[serde(with = "serde_bytes", borrow)]
    Plain(Cow<'a, [u8]>),
    #[serde(with = "serde_bytes", borrow)]
    Own(Cow<'a, [u8]>),
    #[serde(with = "serde_bytes", borrow)]
    Shared(Cow<'a, [u8]>),
}

#[derive(Debug)]
enum Piece {
    /// HTTP: no run of frames, so it has no end but its own.
    Plain(Vec<u8>),
    /// Frames, from the beginning of one to the end of one.
    Own(Vec<u8>),
    /// One frame.
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) | Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Bytes that are nobody else's.
    fn own_bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Own(bytes) => bytes.len(),
            Self::Shared(_) => 0,
        }
    }

    /// Copies a small frame behind this one, if that saves a piece.
    fn absorb(&mut self, frame: &[u8]) -> bool {
        let length = self.bytes().len();
        if frame.len() >= COPY_BYTES_MAX || length + frame.len() > PIECE_BYTES_MAX {
            return false;
        }
        match self {
            Self::Plain(_) => return false,
            Self::Own(bytes) => bytes.extend_from_slice(frame),
            Self::Shared(_) if length >= COPY_BYTES_MAX => return false,
            Self::Shared(shared) => {
                let mut own = Vec::with_capacity(2 * (length + frame.len()));
                own.extend_from_slice(shared);
                own.extend_from_slice(frame);
                *self = Self::Own(own);
            }
        }
        true
    }
}

impl Outbox {
    /// What waits, for another process that goes on with the connection.
    pub(crate) fn save(&self) -> SavedOutbox<'_> {
        let pieces = self.first.iter().chain(&self.rest).map(|piece| match piece {
            Piece::Plain(bytes) => SavedPiece::Plain(Cow::Borrowed(bytes)),
            Piece::Own(bytes) => SavedPiece::Own(Cow::Borrowed(bytes)),
            Piece::Shared(bytes) => SavedPiece::Shared(Cow::Borrowed(bytes)),
        });
        SavedOutbox { pieces: pieces.collect(), written: self.written }
    }

    /// What another process has saved. `None` when it cannot be: more is written than there was.
    pub(crate) fn restore(saved: SavedOutbox<'_>, shared: &SharedFrames) -> Option<Self> {
        let mut outbox = Self::default();
        for piece in saved.pieces {
            let piece = match piece {
                SavedPiece::Plain(bytes) => Piece::Plain(bytes.into_owned()),
                SavedPiece::Own(bytes) => Piece::Own(bytes.into_owned()),
                SavedPiece::Shared(bytes) => Piece::Shared(shared.share(bytes.into_owned())),
            };
            if piece.bytes().is_empty() {
                return None;
            }
            outbox.bytes += piece.bytes().len();
            outbox.append(piece);
        }
        let first = outbox.first.as_ref().map_or(0, |piece| piece.bytes().len());
        if saved.written > 0 && saved.written >= first {
            return None;
        }
        outbox.bytes -= saved.written;
        outbox.written = saved.written;
        Some(outbox)
    }

    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that this outbox holds in memory by itself; shared frames are not among them.
    #[inline]
    pub(crate) fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// Appends bytes of HTTP by copying them. They leave whatever is dropped.
    pub(crate) fn push_plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        self.append(Piece::Plain(bytes.to_vec()));
    }

    /// Appends whole frames by copying them.
    pub(crate) fn push_copy(&mut self, frame: &[u8]) {
        if frame.is_empty() {
            return;
        }
        self.bytes += frame.len();
        if !self.absorb(frame) {
            self.append(Piece::Own(frame.to_vec()));
        }
    }

    /// Appends a frame that others get too.
    #[inline]
    pub(crate) fn push_shared(&mut self, frame: &Bytes) {
        if frame.is_empty() {
            return;
        }
        self.bytes += frame.len();
        if !self.absorb(frame) {
            self.append(Piece::Shared(frame.clone()));
        }
    }

    /// The slices to write next. How many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let pieces = self.first.iter().chain(&self.rest);
        let skip = std::iter::once(self.written).chain(std::iter::repeat(0));
        for ((slot, piece), skip) in slices.iter_mut().zip(pieces).zip(skip) {
            *slot = IoSlice::new(&piece.bytes()[skip..]);
            filled += 1;
        }
        filled
    }

    /// The socket took this many bytes.
    pub(crate) fn wrote(&mut self, mut count: usize) {
        debug_assert!(count <= self.bytes);
        self.bytes -= count.min(self.bytes);
        while let Some(first) = &self.first {
            let left = first.bytes().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.own_bytes -= first.own_bytes();
            self.first = self.rest.pop_front();
        }
        if self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }

    /// Drops the frames that have not begun to leave, so that a close frame can follow where a frame ends.
    pub(crate) fn drop_unsent(&mut self) -> Dropped {
        self.discard(usize::MAX, Which::All)
    }

    /// Drops messages that have not begun to leave, the oldest first, until `room_bytes` are free or none is left. Control
    /// frames stay.
    pub(crate) fn drop_oldest(&mut self, room_bytes: usize) -> Dropped {
        self.discard(room_bytes, Which::Messages)
    }

    fn discard(&mut self, room_bytes: usize, which: Which) -> Dropped {
        let mut written = std::mem::take(&mut self.written);
        let mut pieces = std::mem::take(&mut self.rest);
        if let Some(first) = self.first.take() {
            pieces.push_front(first);
        }
        (self.bytes, self.own_bytes) = (0, 0);
        let mut dropped = Dropped::default();
        for piece in pieces {
            let begun = std::mem::take(&mut written);
            let piece = match piece {
                Piece::Shared(frame) if begun == 0 && dropped.bytes < room_bytes => {
                    dropped.bytes += frame.len();
                    dropped.messages += 1;
                    continue;
                }
                Piece::Own(mut frames) => {
                    discard_frames(&mut frames, begun, room_bytes, which, &mut dropped);
                    Piece::Own(frames)
                }
                piece @ (Piece::Plain(_) | Piece::Shared(_)) => piece,
            };
            let left = piece.bytes().len() - begun;
            if left > 0 {
                self.bytes += left;
                self.written += begun;
                self.append(piece);
            }
        }
        dropped
    }

    /// All bytes that wait.
    #[cfg(test)]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes);
        for piece in self.first.iter().chain(&self.rest) {
            bytes.extend_from_slice(piece.bytes());
        }
        bytes.drain(..self.written);
        bytes
    }

    /// Bytes on the heap that are this outbox's alone.
    pub(crate) fn memory_bytes(&self) -> usize {
        let pieces = self.first.iter().chain(&self.rest);
        let own = pieces.map(|piece| match piece {
            Piece::Plain(bytes) | Piece::Own(bytes) => bytes.capacity(),
            Piece::Shared(_) => 0,
        });
        own.sum::<usize>() + self.rest.capacity() * size_of::<Piece>()
    }

    /// Copies a small frame behind the last one, if that saves a piece.
    fn absorb(&mut self, frame: &[u8]) -> bool {
        let Some(last) = self.rest.back_mut().or(self.first.as_mut()) else { return false };
        let before = last.own_bytes();
        let absorbed = last.absorb(frame);
        self.own_bytes += last.own_bytes() - before;
        absorbed
    }

    fn append(&mut self, piece: Piece) {
        self.own_bytes += piece.own_bytes();
        match self.first {
            None => self.first = Some(piece),
            Some(_) => self.rest.push_back(piece),
        }
    }
}

/// Takes frames out of a run of whole ones, of whose bytes `begun` are written, until `room_bytes` have been dropped.
fn discard_frames(
    frames: &mut Vec<u8>,
    begun: usize,
    room_bytes: usize,
    which: Which,
    dropped: &mut Dropped,
) {
    let mut at = 0;
    while at < begun {
        at = frame_end(frames, at);
    }
    let mut kept = at;
    while at < frames.len() && dropped.bytes < room_bytes {
        let end = frame_end(frames, at);
        let is_control = frames[at] & 0x0f >= CONTROL_OPCODE_MIN;
        match which {
            Which::Messages if is_control => {
                frames.copy_within(at..end, kept);
                kept += end - at;
            }
            Which::All | Which::Messages => {
                dropped.bytes += end - at;
                dropped.messages += u64::from(!is_control);
            }
        }
        at = end;
    }
    frames.drain(kept..at);
}

/// Where the frame ends that begins at `at`, in a run of whole frames of ours (unmasked, RFC 6455 5.2).
fn frame_end(frames: &[u8], at: usize) -> usize {
    let Some(head) = frames.get(at..at + 2) else { return frames.len() };
    let (start, length) = match head[1] & 0x7f {
        126 => match frames.get(at + 2..at + 4) {
            Some(bytes) => (at + 4, usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
            None => return frames.len(),
        },
        127 => match frames.get(at + 2..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => (at + 10, u64::from_be_bytes(*bytes) as usize),
            None => return frames.len(),
        },
        short => (at + 2, usize::from(short)),
    };
    start.saturating_add(length).min(frames.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wsmaster_protocol::frame::{MessageKind, encode_message};

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        encode_message(MessageKind::Binary, &vec![length as u8; length], &mut out);
        out
    }

    #[test]
    fn an_idle_outbox_holds_nothing() {
        let mut outbox = Outbox::default();
        for _ in 0..10 {
            outbox.push_copy(&frame(3000));
        }
        outbox.wrote(outbox.len());
        assert_eq!((outbox.len(), outbox.memory_bytes()), (0, 0));
    }

    #[test]
    fn a_frame_that_has_begun_to_leave_is_finished_and_the_rest_is_dropped() {
        for written in [1, 2, 50, 101] {
            let mut outbox = Outbox::default();
            for _ in 0..5 {
                outbox.push_copy(&frame(100));
            }
            outbox.wrote(102 + written);
            let dropped = outbox.drop_unsent();
            assert_eq!(outbox.len(), 102 - written, "after {written} bytes");
            assert_eq!(dropped.bytes + outbox.len(), 4 * 102 - written);
            assert_eq!(dropped.messages, 3);
        }
        let mut outbox = Outbox::default();
        outbox.push_shared(&frame(70_000).into());
        outbox.push_shared(&frame(70_000).into());
        let dropped = outbox.drop_unsent();
        assert_eq!(
            dropped,
            Dropped { bytes: 2 * 70_010, messages: 2 },
            "nothing had begun to leave"
        );
        assert!(outbox.is_empty());
    }

    #[test]
    fn http_before_the_frames_is_never_dropped() {
        let (answer, upgrade) = (vec![b'H'; 300], vec![b'U'; 200]);
        for written in [0, 1, 299, 300, 301, 499, 500, 501, 601, 602] {
            let mut outbox = Outbox::default();
            outbox.push_plain(&answer);
            outbox.push_plain(&upgrade);
            for _ in 0..3 {
                outbox.push_copy(&frame(100));
            }
            outbox.wrote(written);
            let before = outbox.to_bytes();
            let dropped = outbox.drop_unsent();
            let end = if written <= 500 { 500 } else { 602 };
            assert_eq!(outbox.to_bytes(), before[..end - written], "after {written} bytes");
            assert_eq!((outbox.len(), dropped.bytes), (end - written, 806 - end));
        }
    }

    /// What a peer reads: the second byte of each frame's payload, and the opcode of control frames.
    fn numbers(mut bytes: &[u8]) -> Vec<u8> {
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            let (frame, rest) = bytes.split_at(frame_end(bytes, 0));
            let is_control = frame[0] & 0x0f >= CONTROL_OPCODE_MIN;
            numbers.push(if is_control { 0xff } else { frame[frame.len() - 1] });
            bytes = rest;
        }
        numbers
    }

    #[test]
    fn the_oldest_messages_make_room_and_nothing_else() {
        // Frames of 102 bytes, a pong of 3 behind the second one, and a shared one at the end.
        let filled = || {
            let mut outbox = Outbox::default();
            for number in 0..5 {
                let mut frame = frame(100);
                frame[101] = number;
                outbox.push_copy(&frame);
                if number == 1 {
                    outbox.push_copy(&[0x8a, 1, b'p']);
                }
            }
            let mut large = frame(3000);
            *large.last_mut().unwrap() = 5;
            outbox.push_shared(&large.into());
            outbox
        };
        let all = 5 * 102 + 3 + 3004;
        for (room, left) in [
            (0, vec![0, 1, 0xff, 2, 3, 4, 5]),
            (1, vec![1, 0xff, 2, 3, 4, 5]),
            (102, vec![1, 0xff, 2, 3, 4, 5]),
            (103, vec![0xff, 2, 3, 4, 5]),
            (205, vec![0xff, 3, 4, 5]),
            (511, vec![0xff]),
            (usize::MAX, vec![0xff]),
        ] {
            let mut outbox = filled();
            let dropped = outbox.drop_oldest(room);
            assert_eq!(numbers(&outbox.to_bytes()), left, "room for {room}");
            assert_eq!(outbox.len() + dropped.bytes, all);
            assert_eq!(dropped.messages, 7 - left.len() as u64);
            assert!(dropped.bytes >= room.min(all - 3));
        }
        // The first one has begun to leave.
        let mut outbox = filled();
        outbox.wrote(1);
        let dropped = outbox.drop_oldest(100);
        assert_eq!(dropped, Dropped { bytes: 102, messages: 1 });
        outbox.wrote(101);
        assert_eq!(numbers(&outbox.to_bytes()), [0xff, 2, 3, 4, 5]);
    }

    proptest! {
        #[test]
        fn bytes_leave_as_they_came(
            steps in proptest::collection::vec((0..5000_usize, any::<bool>(), 0..9000_usize), 1..60),
        ) {
            let mut outbox = Outbox::default();
            let (mut expected, mut sent) = (Vec::new(), Vec::new());
            for (length, shared, written) in steps {
                let frame = frame(length);
                expected.extend_from_slice(&frame);
                if shared { outbox.push_shared(&frame.into()) } else { outbox.push_copy(&frame) }
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = outbox.slices(&mut slices);
                let taken: Vec<u8> =
                    slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(written).collect();
                outbox.wrote(taken.len());
                sent.extend(taken);
                prop_assert_eq!(outbox.len(), expected.len() - sent.len());
                let pieces = outbox.first.iter().chain(&outbox.rest);
                prop_assert_eq!(outbox.own_bytes(), pieces.map(Piece::own_bytes).sum::<usize>());
            }
            sent.extend(outbox.to_bytes());
            prop_assert_eq!(sent, expected);
        }
    }
}
