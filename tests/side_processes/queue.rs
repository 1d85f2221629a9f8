//! examples/queue.rs end to end: files become messages for all connections of a user, whatever happens to the process that
//! sees to it.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{
    place::{Place, worker_of},
    support::{Client, PATIENCE, Signal, eventually, signal},
};

/// The example, with its spool.
struct Queue {
    place: Place,
}

impl Queue {
    #[track_caller]
    fn start(workers: usize) -> Self {
        let place = Place::start("queue", workers, |command, directory| {
            let spool = directory.join("spool");
            fs::create_dir(&spool).expect("the directory is ours");
            command.arg(spool);
        });
        Self { place }
    }

    fn directory(&self, user: u64) -> PathBuf {
        self.place.directory().join("spool").join(user.to_string())
    }

    /// Writes a message for a user as the example says.
    #[track_caller]
    fn put(&self, user: u64, name: &str, message: &Value) {
        self.put_bytes(user, name, message.to_string().as_bytes());
    }

    #[track_caller]
    fn put_bytes(&self, user: u64, name: &str, bytes: &[u8]) {
        let directory = self.directory(user);
        fs::create_dir_all(&directory).expect("the spool is there");
        let unfinished = directory.join(format!("{name}.tmp"));
        fs::write(&unfinished, bytes).expect("the directory is ours");
        fs::rename(&unfinished, directory.join(format!("{name}.json"))).expect("just written");
    }

    /// The names of the files of a user that wait.
    fn waiting(&self, user: u64) -> Vec<String> {
        let entries = fs::read_dir(self.directory(user)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        names.sort_unstable();
        names
    }

    #[track_caller]
    fn expect_empty(&self, user: u64) {
        eventually(format!("the messages of {user} to be removed"), PATIENCE, || {
            self.waiting(user).is_empty().then_some(())
        });
    }

    /// A connection of a user on a given worker.
    #[track_caller]
    fn connect(&self, user: u64, slot: u16) -> Client {
        let mut client = eventually(format!("a connection to worker {slot}"), PATIENCE, || {
            let mut client = Client::open(self.place.addr(), "/");
            // As one who has no messages, so that none goes to a connection that is not kept.
            let id = bind(&mut client, NOBODY);
            if worker_of(id) != slot {
                client.close();
                return None;
            }
            Some(client)
        });
        bind(&mut client, user);
        client
    }
}

/// A user without messages.
const NOBODY: u64 = 1;

/// Makes a client's connection one of the user's, whoever's it was. Its id.
#[track_caller]
fn bind(client: &mut Client, user: u64) -> u64 {
    client.send_json(&json!({"event": "CONNECT", "data": {"user_id": user}}));
    let answer = client.expect_json(PATIENCE);
    assert_eq!(
        (&answer["event"], &answer["data"]["user_id"]),
        (&json!("CONNECTED"), &json!(user)),
        "{answer}"
    );
    answer["data"]["connection_id"].as_u64().expect("an id")
}

fn message(number: usize) -> Value {
    json!({"event": "RESPONSE_EVENT", "data": {"number": number}})
}

#[test]
fn queued_messages_reach_all_connections_of_their_user_and_nobody_else() {
    let queue = Queue::start(3);
    // What waits from before is delivered when the user comes.
    queue.put(500, "0", &message(0));
    let mut first = queue.connect(500, 0);
    assert_eq!(first.expect_json(PATIENCE), message(0));
    queue.expect_empty(500);

    let mut second = queue.connect(500, 1);
    let mut other = queue.connect(600, 2);
    let mut nobody = Client::open(queue.place.addr(), "/");
    // The words of the workers have come once a message has reached both.
    for number in 1..=3 {
        queue.put(500, &number.to_string(), &message(number));
    }
    queue.put(600, "1", &message(600));
    queue.put(700, "1", &message(700));
    for client in [&mut first, &mut second] {
        for number in 1..=3 {
            assert_eq!(client.expect_json(PATIENCE), message(number));
        }
    }
    assert_eq!(other.expect_json(PATIENCE), message(600));
    queue.expect_empty(500);
    queue.expect_empty(600);
    assert_eq!(queue.waiting(700), ["1.json"], "nobody has taken it");

    nobody.send_text("what is this?");
    assert_eq!(nobody.expect_json(PATIENCE)["event"], "ERROR");
    for client in [&mut first, &mut second, &mut other, &mut nobody] {
        client.expect_silence(Duration::from_millis(100));
    }

    // What is no message is put aside and holds nobody up.
    queue.put_bytes(500, "1", b"{no JSON");
    queue.put_bytes(500, "2", &vec![b' '; 1024 * 1024]);
    queue.put(500, "3", &message(4));
    assert_eq!(first.expect_json(PATIENCE), message(4));
    eventually("the rejected to be all that is left", PATIENCE, || {
        (queue.waiting(500) == ["1.rejected", "2.rejected"]).then_some(())
    });
    assert_eq!(second.expect_json(PATIENCE), message(4));

    // A closed connection is nobody's, and a message waits for the next one.
    first.close();
    second.close();
    queue.put(500, "5", &message(5));
    other.expect_silence(Duration::from_millis(300));
    assert!(queue.waiting(500).contains(&"5.json".to_owned()));
    let mut third = queue.connect(500, 2);
    assert_eq!(third.expect_json(PATIENCE), message(5));
}

#[test]
fn a_death_of_the_queue_loses_no_message_and_no_binding() {
    const MESSAGES: usize = 300;
    let queue = Queue::start(3);
    let mut clients = [queue.connect(500, 0), queue.connect(500, 1), queue.connect(600, 2)];
    let users = [500, 500, 600];
    queue.put(500, "0000", &message(0));
    queue.put(600, "0000", &message(0));
    for client in &mut clients {
        assert_eq!(client.expect_json(PATIENCE), message(0));
    }
    let mut killed = 0;
    for number in 1..MESSAGES {
        for user in [500, 600] {
            queue.put(user, &format!("{number:04}"), &message(number));
        }
        if number % 100 == 50 {
            // The status may have the one that was killed before for a moment yet.
            let pid = eventually("another queue", 2 * PATIENCE, || {
                Some(queue.place.pid("queue")).filter(|pid| *pid != killed)
            });
            assert!(signal(pid, Signal::Kill));
            killed = pid;
        }
    }
    for (client, user) in clients.iter_mut().zip(users) {
        let mut next = 1;
        while next < MESSAGES {
            let got = client.expect_json(2 * PATIENCE);
            let number = got["data"]["number"].as_u64().expect("a number") as usize;
            // One may come again: it was delivered, and the queue died before it removed the file.
            assert!(number == next || number + 1 == next, "{user}: {got} after {}", next - 1);
            next = number + 1;
        }
    }
    queue.expect_empty(500);
    queue.expect_empty(600);
    assert_eq!(queue.place.process("queue")["restarts"], 3);
}

#[test]
fn an_idle_queue_uses_no_time() {
    const WATCHED: Duration = Duration::from_secs(2);
    let queue = Queue::start(1);
    let mut client = queue.connect(500, 0);
    let pid = queue.place.pid("queue");
    let before_ms = super::support::cpu_ms(pid);
    client.expect_silence(WATCHED);
    let used_ms = super::support::cpu_ms(pid) - before_ms;
    assert!(used_ms <= 100, "{used_ms} ms of CPU in {WATCHED:?}");
}
