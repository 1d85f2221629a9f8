//! Bad clients, on a thread of their own. Each does one kind of harm at a steady pace; whoever is thrown out comes back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};
use serde_json::json;

use crate::{
    bomb::BOMB,
    line::{End, Line},
    wire::{CONTINUATION, FIN, PING, TEXT, frame},
};

/// The time between two looks at whose turn it is.
const TICK: Duration = Duration::from_millis(10);

/// What bad clients fill.
const LOUD: &str = "loud";

/// Bytes of a message of a shouter.
const SHOUT_BYTES: usize = 32 * 1024;

/// A kind of harm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Harm {
    /// Sends a request that never ends, byte by byte.
    SlowHandshake,
    /// Subscribes to what shouters say, and reads nothing.
    NonReader,
    /// Says much where others do not read.
    Shouter,
    /// Sends pings, as many as its socket takes.
    PingFlood,
    /// Sends a message in fragments of a byte, or of none, without an end.
    FragmentFlood,
    /// Sends a small message that is a huge one once it is inflated.
    InflateBomb,
    /// Sends headers without an end.
    HeaderBomb,
}

/// Bad clients at work.
#[derive(Debug)]
pub(crate) struct Mob {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How often the server ended a connection, for each kind of harm and each way.
    pub(crate) ends: BTreeMap<(Harm, End), usize>,
}

/// One bad client.
#[derive(Debug)]
struct Bandit {
    harm: Harm,
    number: usize,
    line: Option<Line>,
    /// What it has done on this connection.
    steps: usize,
    due: Instant,
}

impl Mob {
    /// Lets so many of each kind loose; each shouter speaks once in `shouts`.
    pub(crate) fn loose(addr: SocketAddr, kinds: &[(Harm, usize)], shouts: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let harms: Vec<Harm> =
            kinds.iter().flat_map(|(harm, count)| std::iter::repeat_n(*harm, *count)).collect();
        let thread = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || rage(addr, &harms, shouts, &stop))
        };
        Self { stop, thread }
    }

    /// Sends them home, and tells what became of them.
    #[track_caller]
    pub(crate) fn disperse(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("they do not panic")
    }
}

impl Report {
    /// How often the server ended a connection of this kind, however.
    pub(crate) fn ended(&self, harm: Harm) -> usize {
        self.ends.iter().filter(|((found, _), _)| *found == harm).map(|(_, count)| count).sum()
    }

    /// Fails unless the server has ended connections of this kind, and in one of these ways only.
    #[track_caller]
    pub(crate) fn expect_ends(&self, harm: Harm, expected: &[End]) {
        assert!(self.ended(harm) > 0, "nobody was stopped at {harm:?}: {self:?}");
        let other = self.ends.keys().find(|(found, end)| *found == harm && !expected.contains(end));
        assert_eq!(other, None, "{self:?}");
    }
}

fn rage(addr: SocketAddr, harms: &[Harm], shouts: Duration, stop: &AtomicBool) -> Report {
    // What bad clients do to a server is measured, and not what they do to the machine, which is another one than theirs.
    let _ = wsmaster_ipc::sys::schedule::set_nice(19);
    let mut poll = Poll::new().expect("epoll");
    let mut events = Events::with_capacity(1024);
    let mut report = Report::default();
    let begun = Instant::now();
    let mut bandits: Vec<Bandit> = harms
        .iter()
        .enumerate()
        .map(|(number, harm)| {
            // Not all in the same instant, which would be one stall and not a siege.
            let due = begun + harm.interval(shouts) * (number % 100) as u32 / 100;
            Bandit { harm: *harm, number, line: None, steps: 0, due }
        })
        .collect();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        for bandit in bandits.iter_mut().filter(|bandit| bandit.due <= now) {
            bandit.due = now + bandit.harm.interval(shouts);
            match &mut bandit.line {
                Some(_) => bandit.act(),
                None => {
                    // Out of ports or descriptors of our own: it tries again in its next turn.
                    let line = Line::connect(addr, poll.registry(), Token(bandit.number)).ok();
                    bandit.line = line;
                    bandit.begin();
                }
            }
        }
        match poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            result => result.expect("epoll"),
        }
        for event in &events {
            let bandit = &mut bandits[event.token().0];
            let Some(line) = &mut bandit.line else { continue };
            line.flush();
            // Whoever does not read learns of its end by a failing write only; it has nothing more to write.
            if bandit.harm == Harm::NonReader {
                continue;
            }
            line.receive();
            if let Some(end) = line.end() {
                *report.ends.entry((bandit.harm, end.clone())).or_default() += 1;
                bandit.line = None;
                bandit.steps = 0;
            }
        }
    }
    report
}

impl Harm {
    /// The time between two steps of one client.
    fn interval(self, shouts: Duration) -> Duration {
        match self {
            Self::SlowHandshake | Self::InflateBomb | Self::HeaderBomb | Self::FragmentFlood => {
                Duration::from_millis(250)
            }
            Self::NonReader => Duration::from_secs(1),
            Self::Shouter => shouts,
            Self::PingFlood => Duration::from_millis(50),
        }
    }
}

impl Bandit {
    /// The first words on a new connection.
    fn begin(&mut self) {
        let Some(line) = &mut self.line else { return };
        match self.harm {
            Harm::SlowHandshake | Harm::HeaderBomb => {}
            Harm::PingFlood | Harm::FragmentFlood => line.upgrade(),
            Harm::InflateBomb => line.upgrade_compressed(),
            // Only subscribers of a channel may speak there.
            Harm::NonReader | Harm::Shouter => {
                line.upgrade();
                let data = json!({"channel": LOUD});
                let request = json!({"action": "subscribe", "data": data}).to_string();
                line.send(&frame(FIN | TEXT, request.as_bytes()));
            }
        }
    }

    /// One step of its harm.
    fn act(&mut self) {
        let Some(line) = &mut self.line else { return };
        let is_ready = line.has_sent_all()
            && match self.harm {
                Harm::SlowHandshake | Harm::HeaderBomb => true,
                Harm::NonReader => false,
                Harm::Shouter | Harm::PingFlood | Harm::FragmentFlood => line.is_open(),
                Harm::InflateBomb => line.deflates() && self.steps == 0,
            };
        if !is_ready {
            return;
        }
        self.steps += 1;
        match self.harm {
            Harm::SlowHandshake => {
                let request = b"GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: ";
                line.send(&[request.get(self.steps - 1).copied().unwrap_or(b'x')]);
            }
            Harm::NonReader => {}
            Harm::Shouter => {
                let data = json!({"channel": LOUD, "message": "x".repeat(SHOUT_BYTES)});
                let request = json!({"action": "message", "data": data}).to_string();
                line.send(&frame(FIN | TEXT, request.as_bytes()));
            }
            Harm::PingFlood => line.send(&frame(FIN | PING, b"").repeat(2000)),
            Harm::FragmentFlood => {
                if self.steps == 1 {
                    line.send(&frame(TEXT, b"x"));
                }
                let payload: &[u8] = if self.number.is_multiple_of(2) { b"x" } else { b"" };
                line.send(&frame(CONTINUATION, payload).repeat(2000));
            }
            Harm::InflateBomb => {
                line.send(&BOMB);
            }
            Harm::HeaderBomb => {
                if self.steps == 1 {
                    line.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
                }
                line.send(&b"x: y\r\n".repeat(2000));
            }
        }
    }
}
