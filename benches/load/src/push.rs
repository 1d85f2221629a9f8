//! Scenario `push`: a side process of the server pushes numbered texts to every connection, in rounds. Counts what arrives.
//!
//! The server is `examples/pusher.rs`. One more connection than those that listen asks for the rounds: each listener gets a burst of
//! texts, and the next round is asked for when all have received all of it, or when its time has come if that is later. A text
//! has the time in it at which it was written, so that the time from there to here can be told; both ends are on one machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::arguments::{Push, Server};
use crate::client::{Client, Watcher};
use crate::error::{LoadError, Result};
use crate::fleet::{Fleet, STALL_TIMEOUT, TURN};
use crate::frame::{self, Opcode};
use crate::latency::Latencies;
use crate::measure::{Load, measure};
use crate::reader::Part;
use crate::report::Report;
use crate::text::Partial;

/// Digits of the number and of the time, which begin a text, each with a blank behind it.
const NUMBER_DIGITS: usize = 10;
const TIME_DIGITS: usize = 16;
/// The shortest text: both of them.
pub(crate) const TEXT_BYTES_MIN: u64 = (NUMBER_DIGITS + TIME_DIGITS + 2) as u64;

/// Runs the scenario.
pub(crate) fn run(server: &Server, arguments: &Push) -> Result<Report> {
    let Push { connections, bytes, burst, every, .. } = *arguments;
    let mut fleet = Fleet::new(server)?;
    let mut hall = Hall::new(connections as usize, bytes as usize, burst.into(), every);
    // The one that asks is the last to come, so that the listeners' ids count from 0.
    fleet.open(connections as usize + 1, &mut hall)?;
    fleet.stay_awake();
    let joined = |hall: &Hall| hall.joined > connections as usize;
    hall.wait_for(&mut fleet, "the pongs", joined)?;
    hall.ask(&mut fleet, "list")?;
    let expected = format!("{connections} connections");
    hall.wait_for(&mut fleet, "the list of connections", |hall| !hall.answer.is_empty())?;
    if hall.answer != expected {
        let what = format!("the server says {:?}, expected {expected:?}", hall.answer);
        return Err(LoadError::Message { client: connections as usize, what });
    }
    let measured = measure(&mut fleet, &mut hall, &arguments.window, &server.pids)?;
    hall.wait_for(&mut fleet, "the last texts", Hall::all_received)?;
    let what = ("messages", measured.done);
    let microseconds = |share| hall.latencies.percentile(share).as_secs_f64() * 1e6;
    Ok(Report::new("push")
        .count("connections", connections.into())
        .count("bytes", bytes)
        .count("burst", burst.into())
        .cost(what, "messages_per_cpu_second", measured.elapsed, measured.cpu)
        .number("push_p50_us", microseconds(0.5))
        .number("push_p99_us", microseconds(0.99)))
}

#[derive(Debug)]
struct Hall {
    listeners: Vec<Listener>,
    /// What the one that asks hears in parts.
    requester: Partial,
    /// Its latest answer.
    answer: String,
    /// Connections that have answered a ping: the kernel acknowledges what a peer hears that has spoken in another rhythm
    /// than what one hears that never spoke.
    joined: usize,
    text_bytes: usize,
    burst: u64,
    /// Between the beginnings of two rounds; zero: as soon as the one before is over.
    every: Duration,
    next_round: Instant,
    /// Texts that each listener was promised.
    promised: u64,
    received: u64,
    latencies: Latencies,
}

#[derive(Debug, Default, Clone)]
struct Listener {
    partial: Partial,
    received: u64,
}

impl Hall {
    fn new(listeners: usize, text_bytes: usize, burst: u64, every: Duration) -> Self {
        Self {
            listeners: vec![Listener::default(); listeners],
            requester: Partial::default(),
            answer: String::new(),
            joined: 0,
            text_bytes,
            burst,
            every,
            next_round: Instant::now(),
            promised: 0,
            received: 0,
            latencies: Latencies::new(),
        }
    }

    fn ask(&self, fleet: &mut Fleet, words: &str) -> Result<()> {
        let requester = self.listeners.len();
        fleet.send(requester, &frame::single(Opcode::Text, words.as_bytes(), requester as u32))
    }

    fn wait_for(
        &mut self,
        fleet: &mut Fleet,
        waiting_for: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        if fleet.turn_until(STALL_TIMEOUT, self, done)? {
            return Ok(());
        }
        Err(LoadError::Stalled { waiting_for: waiting_for.to_owned(), after: STALL_TIMEOUT })
    }

    fn all_received(&self) -> bool {
        self.received >= self.promised * self.listeners.len() as u64
    }
}

impl Watcher for Hall {
    fn opened(&mut self, client: &mut Client) -> Result<()> {
        client.send(&frame::single(Opcode::Ping, b"", client.id() as u32))
    }

    fn pong(&mut self, _client: usize) {
        self.joined += 1;
    }

    fn data(&mut self, client: usize, part: Part<'_>) -> Result<()> {
        let wrong = |what| LoadError::Message { client, what };
        let Some(listener) = self.listeners.get_mut(client) else {
            if let Some(text) = self.requester.add(part).map_err(wrong)? {
                self.answer = String::from_utf8_lossy(&text).into_owned();
            }
            return Ok(());
        };
        let Some(text) = listener.partial.add(part).map_err(wrong)? else { return Ok(()) };
        let (number, written_us) = read(&text, self.text_bytes).map_err(wrong)?;
        if number != listener.received + 1 || number > self.promised {
            let due = listener.received + 1;
            return Err(wrong(format!("text {number} came where {due} was due")));
        }
        listener.received = number;
        self.received += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.latencies.add(now.saturating_sub(Duration::from_micros(written_us)));
        Ok(())
    }
}

impl Load for Hall {
    fn push(&mut self, fleet: &mut Fleet) -> Result<Duration> {
        let now = Instant::now();
        if self.all_received() && now >= self.next_round {
            // What was missed is not made up for.
            self.next_round = now + self.every;
            self.promised += self.burst;
            self.ask(fleet, &format!("round {} {}", self.burst, self.text_bytes))?;
        }
        Ok(TURN)
    }

    fn window_begins(&mut self) {
        self.latencies = Latencies::new();
    }

    fn done(&self) -> u64 {
        self.received
    }
}

/// The number and the time of a text, which must be whole: `text_bytes` long, with dots to its end.
///
/// # Errors
/// It is no such text.
fn read(text: &[u8], text_bytes: usize) -> std::result::Result<(u64, u64), String> {
    let parts = || {
        let (number, rest) = text.split_at_checked(NUMBER_DIGITS)?;
        let (time, rest) = rest.strip_prefix(b" ")?.split_at_checked(TIME_DIGITS)?;
        let dots = rest.strip_prefix(b" ")?;
        let whole = text.len() == text_bytes && dots.iter().all(|byte| *byte == b'.');
        Some((decimal(number)?, decimal(time)?)).filter(|_| whole)
    };
    parts().ok_or_else(|| {
        let shown = text.get(..80).unwrap_or(text);
        format!("not what was pushed: {}", String::from_utf8_lossy(shown))
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_and_everything_else_refused() {
        let text = b"0000000007 1760000000123456 ....";
        assert_eq!(read(text, 32), Ok((7, 1_760_000_000_123_456)));
        assert_eq!(read(&text[..28], 28), Ok((7, 1_760_000_000_123_456)));
        for (wrong, bytes) in [
            (&b"0000000007 1760000000123456 ...."[..], 33),
            (b"0000000007 1760000000123456 ..,.", 32),
            (b"000000000x 1760000000123456 ....", 32),
            (b"0000000007-1760000000123456 ....", 32),
            (b"0000000007", 10),
            (b"", 0),
        ] {
            assert!(read(wrong, bytes).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
