//! Readers that do not read. What they do not take costs them, and nobody else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    ROOM, STORM_PATIENCE, message,
    support::{Client, Deadline, End, PATIENCE, Server, Setup, Swarm},
};

const READERS: u64 = 8;
/// Messages that are under way to the readers at one time: far less than an outbox holds.
const BATCH: u64 = 16;
const MESSAGE_BYTES: usize = 8 * 1024;
/// Far more than a kernel keeps for one connection: 64 MiB.
const BATCHES_MAX: u64 = 512;

/// Time for the server's last words to be read: the readers of these tests begin late.
const CONFIG: &str = "[limits]\nclose_timeout = \"60s\"\n";

#[test]
fn a_frozen_reader_is_closed_with_1013_and_disturbs_nobody() {
    let mut storm = Storm::new(CONFIG);
    storm.until("both frozen readers are closed", |totals| totals["slow_closed"] == 2);
    for _ in 0..5 {
        storm.send_batch();
    }
    let Storm { server, readers, mut frozen, .. } = storm;
    for frozen in &mut frozen {
        frozen.until("the end of a frozen reader", PATIENCE, |swarm| swarm.ends().count() == 1);
        let end = End::Closed(1013, "the client reads too slowly".to_owned());
        assert_eq!(frozen.ends().next(), Some((0, &end)));
        // What had left for it before is whole, and of each sender a beginning without a gap.
        let heard = frozen.texts(0);
        assert!(!heard.is_empty(), "the kernel had room for some");
        let mut next: Vec<u64> = (0..READERS).collect();
        for text in heard {
            let number = number_of(text).expect("only deliveries are sent to it");
            let next = &mut next[(number % READERS) as usize];
            assert_eq!(number, *next, "a gap or a double");
            *next += READERS;
        }
    }
    assert_eq!(server.status()["totals"]["websockets"], READERS);
    readers.close();
}

#[test]
fn where_the_newest_is_dropped_a_frozen_reader_stays_and_every_loss_is_counted() {
    let mut storm = Storm::new(&format!("{CONFIG}slow_client = \"drop_newest\"\n"));
    storm.until("drops at both workers", |totals| {
        totals["dropped_outbox_full"].as_u64().is_some_and(|dropped| dropped > 4 * BATCH)
    });
    assert_eq!(storm.server.status()["totals"]["slow_closed"], 0);
    storm.thaw();

    // They read again, so they are readers like the others.
    storm.send_batch();
    for frozen in &mut storm.frozen {
        let before = frozen.received();
        let all = before + BATCH as usize;
        frozen.until("the new batch", PATIENCE, |swarm| swarm.received() >= all);
        let mut numbers: Vec<_> =
            frozen.texts(0)[before..].iter().filter_map(|text| number_of(text)).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(storm.sent - BATCH..storm.sent), "the new batch, whole");
    }
}

#[test]
fn where_the_oldest_are_dropped_a_frozen_reader_gets_the_newest_without_a_gap() {
    let mut storm = Storm::new(&format!("{CONFIG}slow_client = \"drop_oldest\"\n"));
    storm.until("drops at both workers", |totals| {
        totals["dropped_outbox_full"].as_u64().is_some_and(|dropped| dropped > 4 * BATCH)
    });
    let (kept, numbers) = storm.thaw();
    for numbers in numbers {
        // From several senders: what was dropped is a run of the middle, and the end is whole.
        let tail = storm.sent - 100..storm.sent;
        let last: Vec<u64> = numbers.iter().copied().filter(|it| tail.contains(it)).collect();
        assert_eq!(last.len(), 100, "the newest are all there");
        assert!(numbers.len() as u64 > 100 && (numbers.len() as u64) < storm.sent);
    }
    assert_eq!(storm.server.status()["totals"]["slow_closed"], 0);
    assert!(kept > 0);
}

#[test]
fn where_the_latest_is_kept_a_frozen_reader_gets_the_last_message_and_few_before_it() {
    let mut storm = Storm::new(&format!("{CONFIG}slow_client = \"keep_latest\"\n"));
    storm.until("drops at both workers", |totals| {
        totals["dropped_outbox_full"].as_u64().is_some_and(|dropped| dropped > 4 * BATCH)
    });
    let (_, numbers) = storm.thaw();
    for numbers in numbers {
        let newest = numbers.iter().max();
        assert_eq!(newest, Some(&(storm.sent - 1)), "the last one is there");
    }
    assert_eq!(storm.server.status()["totals"]["slow_closed"], 0);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_held_back_not_closed() {
    let server = Server::start(Setup::default().config_toml(CONFIG));
    let mut witness = Client::connect(&server);
    let mut requester = Swarm::connect(&server, 1);
    // Each answer is larger than its question, so the answers fill up first; then the questions stay unread.
    let question = json!({"action": "x".repeat(60), "id": "y".repeat(60)}).to_string();
    const QUESTIONS: usize = 40_000;
    for _ in 0..QUESTIONS {
        requester.send(0, question.clone());
    }
    witness.expect_alive();
    requester.until("all answers", STORM_PATIENCE, |swarm| swarm.received() >= QUESTIONS);
    assert_eq!(requester.received(), QUESTIONS);
    let totals = &server.status()["totals"];
    assert_eq!((&totals["slow_closed"], &totals["dropped_outbox_full"]), (&json!(0), &json!(0)));
    requester.close();
}

/// Readers on two workers who send more and more, and one on each worker who does not read.
struct Storm {
    server: Server,
    readers: Swarm,
    /// Swarms that nothing turns.
    frozen: [Swarm; 2],
    sent: u64,
}

impl Storm {
    #[track_caller]
    fn new(config: &str) -> Self {
        let server = Server::start(Setup::default().workers(2).config_toml(config));
        let mut frozen = [0, 1].map(|slot| one_on_worker(&server, slot));
        for frozen in &mut frozen {
            frozen.subscribe(ROOM);
        }
        let mut readers = Swarm::connect(&server, READERS as usize);
        readers.subscribe(ROOM);
        Self { server, readers, frozen, sent: 0 }
    }

    /// Sends some messages and waits until all readers have them, so that only the frozen ones fall behind.
    #[track_caller]
    fn send_batch(&mut self) {
        for number in self.sent..self.sent + BATCH {
            self.readers.send((number % READERS) as usize, message(ROOM, &numbered(number)));
        }
        let all = (BATCH * (READERS + 1)) as usize;
        self.readers.until("a batch", STORM_PATIENCE, |readers| readers.received() >= all);
        for member in 0..READERS as usize {
            let texts = self.readers.take_texts(member);
            let mut numbers: Vec<_> = texts.iter().filter_map(|text| number_of(text)).collect();
            // From several senders, each of which alone keeps its order.
            numbers.sort_unstable();
            let sent = self.sent..self.sent + BATCH;
            assert!(numbers.into_iter().eq(sent), "reader {member} has not all of a batch");
        }
        self.sent += BATCH;
    }

    /// Lets the frozen ones read all that was kept for them: how many messages, and their numbers. Each that was sent is
    /// kept or counted as dropped.
    #[track_caller]
    fn thaw(&mut self) -> (usize, Vec<Vec<u64>>) {
        let totals = self.server.status()["totals"].clone();
        let dropped = totals["dropped_outbox_full"].as_u64().expect("a count");
        let kept = (2 * self.sent - dropped) as usize;
        let [first, second] = &mut self.frozen;
        let deadline = Deadline::after(STORM_PATIENCE);
        while first.received() + second.received() < kept && !deadline.has_passed() {
            first.run_for(Duration::from_millis(10));
            second.run_for(Duration::from_millis(10));
        }
        for frozen in &mut self.frozen {
            frozen.expect_silence(Duration::from_millis(50));
        }
        let received = self.frozen.iter().map(Swarm::received).sum::<usize>();
        assert_eq!(received, kept, "all but the dropped");
        let numbers =
            |frozen: &Swarm| frozen.texts(0).iter().filter_map(|text| number_of(text)).collect();
        (kept, self.frozen.iter().map(numbers).collect())
    }

    /// Sends until the totals are as wanted.
    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        for _ in 0..BATCHES_MAX / 4 {
            for _ in 0..4 {
                self.send_batch();
            }
            if wanted(&self.server.status()["totals"]) {
                return;
            }
        }
        panic!("an outbox without a bound: {} messages, and not yet {what}", self.sent);
    }
}

/// A swarm of one, on the worker in `slot`.
#[track_caller]
fn one_on_worker(server: &Server, slot: u16) -> Swarm {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let swarm = Swarm::connect(server, 1);
        if swarm.welcome(0).worker == slot {
            return swarm;
        }
        swarm.close();
        assert!(!deadline.has_passed(), "no connection came to worker {slot}");
    }
}

fn numbered(number: u64) -> Value {
    json!({"number": number, "ballast": "x".repeat(MESSAGE_BYTES)})
}

/// The number in a delivery of [`numbered`]; `None` for anything else.
fn number_of(text: &str) -> Option<u64> {
    let delivery: Value = serde_json::from_str(text).ok()?;
    delivery["message"]["number"].as_u64()
}
