//! Lines of the standard input, read by a thread, since reading them may wait for a person.

use std::{
    io::{self, BufRead, Read},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use mio::Waker;

/// The longest line that is sent, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lines read ahead.
const LINES_MAX: usize = 4;

/// What the standard input gives.
#[derive(Debug)]
pub(super) enum Input {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Nothing comes any more.
    End,
    /// It cannot go on, and why.
    Broken(String),
}

/// Reads the standard input from now on, and wakes whoever waits for it.
pub(super) fn read(waker: Arc<Waker>) -> Receiver<Input> {
    let (tell, told) = sync_channel(LINES_MAX);
    thread::spawn(move || pass_on(&mut io::stdin().lock(), &tell, || drop(waker.wake())));
    told
}

fn pass_on(input: &mut impl BufRead, tell: &SyncSender<Input>, wake: impl Fn()) {
    loop {
        let mut line = Vec::new();
        let next = match input.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => Input::End,
            Ok(_) if line.len() > LINE_BYTES_MAX => {
                Input::Broken(format!("a line of the input has more than {LINE_BYTES_MAX} bytes"))
            }
            Ok(_) => {
                if line.ends_with(b"\n") {
                    line.pop();
                }
                Input::Line(line)
            }
            Err(error) => Input::Broken(format!("the input cannot be read: {error}")),
        };
        let goes_on = matches!(next, Input::Line(_));
        if tell.send(next).is_err() {
            return;
        }
        wake();
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_a_last_one_needs_none() {
        let (tell, told) = sync_channel(8);
        pass_on(&mut &b"one\n\ntwo\r\nthree"[..], &tell, || {});
        let lines: Vec<Input> = told.try_iter().collect();
        let text = |input: &Input| match input {
            Input::Line(line) => String::from_utf8_lossy(line).into_owned(),
            Input::End => "(end)".to_owned(),
            Input::Broken(why) => why.clone(),
        };
        let texts: Vec<String> = lines.iter().map(text).collect();
        assert_eq!(texts, ["one", "", "two\r", "three", "(end)"]);
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let (tell, told) = sync_channel(8);
        pass_on(&mut io::BufReader::new(io::repeat(b'x')), &tell, || {});
        assert!(matches!(told.try_iter().last(), Some(Input::Broken(_))));
    }
}
