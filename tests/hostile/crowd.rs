//! Good clients: they subscribe to rooms, speak at a steady pace, read all they get, and keep the time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};
use serde_json::json;

use crate::{
    line::Line,
    support::Deadline,
    wire::{FIN, PING, PONG, TEXT, frame},
};

/// Members that connect at one time.
const CONNECTING_MAX: usize = 256;

/// How long all members together may take to connect, or to hear what was said.
const PATIENCE: Duration = Duration::from_secs(60);

/// Good clients, each of which is in one room. A member is called by its number, from 0.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    members_of_a_room: usize,
    begun: Instant,
    deliveries: usize,
    expected: usize,
    latencies: Vec<Duration>,
}

#[derive(Debug)]
struct Member {
    line: Line,
    /// What it has done so far to be in its room.
    replies: usize,
    /// Messages it has sent.
    said: u64,
    /// For each speaker of its room, the number of the message that comes next.
    heard: Vec<u64>,
}

/// From the sending of messages to their deliveries, sorted.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Crowd {
    /// Connects so many clients and lets them subscribe.
    #[track_caller]
    pub(crate) fn gather(addr: SocketAddr, members: usize, members_of_a_room: usize) -> Self {
        // The usual limit is 1,024. Where it cannot be raised enough, connecting says so.
        let _ = wsmaster_ipc::sys::resource::raise_descriptor_limit();
        let mut crowd = Self {
            poll: Poll::new().expect("epoll"),
            events: Events::with_capacity(1024),
            members: Vec::with_capacity(members),
            members_of_a_room,
            begun: Instant::now(),
            deliveries: 0,
            expected: 0,
            latencies: Vec::new(),
        };
        while crowd.members.len() < members {
            let batch = CONNECTING_MAX.min(members - crowd.members.len());
            for _ in 0..batch {
                crowd.join(addr);
            }
            crowd.until("the clients to be in their rooms", |crowd| {
                crowd.members.iter().rev().take(batch).all(|member| member.replies == 1)
            });
        }
        crowd
    }

    /// Lets the first `speakers` of all members speak, each once in `every`, for so long, and waits until all is heard.
    #[track_caller]
    pub(crate) fn talk(&mut self, speakers: usize, every: Duration, time: Duration) -> Latencies {
        self.latencies.clear();
        let begun = Instant::now();
        let mut spoken = 0_u32;
        while begun.elapsed() < time {
            // They take turns, evenly spread over the interval.
            let due = begun + every * spoken / u32::try_from(speakers).expect("not so many");
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                self.say(spoken as usize % speakers);
                spoken += 1;
            }
            self.turn(wait);
        }
        self.until("all that was said to be heard", |crowd| crowd.deliveries >= crowd.expected);
        assert_eq!(self.deliveries, self.expected, "deliveries");
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        Latencies(latencies)
    }

    fn join(&mut self, addr: SocketAddr) {
        let number = self.members.len();
        let line = Line::connect(addr, self.poll.registry(), Token(number));
        let mut line = line.expect("the server accepts");
        line.upgrade();
        let channel = self.room(number);
        let request = json!({"action": "subscribe", "data": {"channel": channel}}).to_string();
        line.send(&frame(FIN | TEXT, request.as_bytes()));
        self.members.push(Member { line, replies: 0, said: 0, heard: Vec::new() });
    }

    fn say(&mut self, number: usize) {
        let channel = self.room(number);
        let micros = self.begun.elapsed().as_micros();
        let member = &mut self.members[number];
        let message = format!("m:{number}:{}:{micros}:", member.said);
        member.said += 1;
        let data = json!({"channel": channel, "message": message});
        let request = json!({"action": "message", "data": data}).to_string();
        member.line.send(&frame(FIN | TEXT, request.as_bytes()));
        let first = number - number % self.members_of_a_room;
        self.expected += self.members_of_a_room.min(self.members.len() - first);
    }

    fn room(&self, member: usize) -> String {
        format!("room.{}", member / self.members_of_a_room)
    }

    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let deadline = Deadline::after(PATIENCE);
        while !wanted(self) {
            let (deliveries, expected) = (self.deliveries, self.expected);
            assert!(
                !deadline.has_passed(),
                "waited {PATIENCE:?} for {what}: {deliveries} of {expected} deliveries"
            );
            self.turn(deadline.left());
        }
    }

    #[track_caller]
    fn turn(&mut self, within: Duration) {
        match self.poll.poll(&mut self.events, Some(within.min(Duration::from_millis(10)))) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return,
            result => result.expect("epoll"),
        }
        for event in &self.events {
            let number = event.token().0;
            let first = number - number % self.members_of_a_room;
            let member = &mut self.members[number];
            member.line.flush();
            let frames = member.line.receive();
            let now = self.begun.elapsed();
            for found in frames {
                if found.first == FIN | PING {
                    member.line.send(&frame(FIN | PONG, &found.payload));
                }
                // What the end of the connection means is said below.
                if found.first != FIN | TEXT {
                    continue;
                }
                let text = str::from_utf8(&found.payload).expect("a text");
                let Some(mark) = mark(text) else {
                    assert!(!text.contains("\"error\""), "member {number} was told {text}");
                    member.replies += usize::from(text.contains("\"subscribe\""));
                    continue;
                };
                let [speaker, said, micros] = mark;
                let speaker = speaker as usize - first;
                if member.heard.len() <= speaker {
                    member.heard.resize(speaker + 1, 0);
                }
                let next = &mut member.heard[speaker];
                assert_eq!(said, *next, "member {number} hears {text} out of order");
                *next += 1;
                self.deliveries += 1;
                self.latencies.push(now.saturating_sub(Duration::from_micros(micros)));
            }
            assert_eq!(member.line.end(), None, "member {number} was closed");
        }
    }
}

impl Latencies {
    /// The one that so many of a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// The speaker, the number and the time in a delivery; `None` for anything else.
fn mark(text: &str) -> Option<[u64; 3]> {
    let (_, rest) = text.split_once("\"m:")?;
    let mut numbers = rest.split(':').map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?])
}
