//! What an application hears of the server's life: starts, ends, deaths and reloads, in the workers and in a side process.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;

use place::Place;
use serde_json::{Value, json};
use support::{PATIENCE, Signal, eventually, signal};

/// The server of examples/life.rs: each process writes down what it hears.
struct Chronicle(Place);

impl Chronicle {
    #[track_caller]
    fn start(workers: usize) -> Self {
        let place = Place::start("life", workers, |_, _| {});
        place.pid("chronicler");
        Self(place)
    }

    /// The lines of a process.
    fn lines(&self, name: &str) -> Vec<String> {
        let file = self.0.directory().join(format!("{name}.life"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a line that begins like this, and tells which one it is.
    #[track_caller]
    fn expect(&self, name: &str, begin: &str) -> usize {
        eventually(format!("{begin:?} of {name} among {:?}", self.lines(name)), PATIENCE, || {
            self.lines(name).iter().position(|line| line.starts_with(begin))
        })
    }

    #[track_caller]
    fn worker(&self, slot: usize) -> Value {
        self.0.status()["workers"][slot].clone()
    }

    #[track_caller]
    fn worker_pid(&self, slot: usize) -> u32 {
        let pid = self.worker(slot)["pid"].as_u64().expect("it lives");
        u32::try_from(pid).expect("a pid")
    }
}

#[test]
fn everybody_hears_of_a_start_and_a_death() {
    let chronicle = Chronicle::start(2);
    for name in ["worker-0", "worker-1", "chronicler"] {
        chronicle.expect(name, "ServerStart");
    }
    for slot in [0, 1] {
        assert_eq!(chronicle.lines(&format!("worker-{slot}"))[0], "start", "before anything else");
    }
    for (how, expected) in [("signal", "Signal(9)"), ("exit", "Code(3)"), ("exit 0", "Code(0)")] {
        let pid = chronicle.worker_pid(1);
        match how {
            "signal" => assert!(signal(pid, Signal::Kill)),
            _ => {
                let mut client = chronicle.0.echoed_by_worker(1);
                client.send_text(if how == "exit" { "exit 3" } else { "exit 0" });
            }
        }
        // An end that nobody asked for is an error, whatever its code.
        let error = format!("WorkerError {{ slot: Slot(1), pid: {pid}, how: {expected} }}");
        for name in ["worker-0", "chronicler"] {
            chronicle.expect(name, &error);
        }
        let successor = eventually("its successor", PATIENCE, || {
            let worker = chronicle.worker(1);
            worker["pid"]
                .as_u64()
                .filter(|now| *now != u64::from(pid) && worker["state"] == "ready")
        });
        let start = format!("WorkerStart {{ slot: Slot(1), pid: {successor} }}");
        for name in ["worker-0", "worker-1", "chronicler"] {
            chronicle.expect(name, &start);
        }
    }
    assert_eq!(chronicle.0.status()["master"]["news_missed"], 0);
}

#[test]
fn a_reload_is_heard_of_before_any_worker_leaves_and_the_leaving_one_has_the_last_word() {
    let chronicle = Chronicle::start(2);
    let pids = [chronicle.worker_pid(0), chronicle.worker_pid(1)];
    let mut client = chronicle.0.echoed_by_worker(1);
    let master = chronicle.0.status()["master"]["pid"].as_u64().expect("a pid");
    assert!(kernel::send(u32::try_from(master).expect("a pid"), "HUP"));
    // What the application says when it has to leave comes before the close.
    client.expect_text("goodbye: Reload");
    client.expect_close(1001);
    for (slot, pid) in pids.iter().enumerate() {
        let name = format!("worker-{slot}");
        let begins = chronicle.expect(&name, "ReloadStart");
        let leaves = chronicle.expect(&name, "leave: Reload");
        let stops = chronicle.expect(&name, "stop: Reload, with 0 clients");
        assert!(begins < leaves && leaves < stops, "{:?}", chronicle.lines(&name));
        let stop = format!("WorkerStop {{ slot: Slot({slot}), pid: {pid}, reason: Reload }}");
        chronicle.expect("chronicler", &stop);
    }
    let ends = chronicle.expect("chronicler", "ReloadEnd { complete: true }");
    assert!(chronicle.expect("chronicler", "ReloadStart") < ends);
    assert_eq!(
        chronicle.lines("chronicler").iter().filter(|line| line.starts_with("Reload")).count(),
        2
    );
}

#[test]
fn workers_know_why_they_leave() {
    let mut chronicle = Chronicle::start(2);
    let pid = chronicle.worker_pid(0);
    assert!(signal(pid, Signal::Term));
    chronicle.expect("worker-0", "stop: Asked, with 0 clients");
    chronicle.expect(
        "chronicler",
        &format!("WorkerStop {{ slot: Slot(0), pid: {pid}, reason: Asked }}"),
    );
    eventually("the successor", PATIENCE, || {
        let worker = chronicle.worker(0);
        (worker["state"] == "ready" && worker["replacements"] == 1).then_some(())
    });
    chronicle.0.stop().expect_code(0);
    for name in ["worker-0", "worker-1"] {
        let lines = chronicle.lines(name);
        assert_eq!(lines.last().map(String::as_str), Some("stop: ServerStop, with 0 clients"));
        assert!(lines.contains(&"leave: ServerStop".to_owned()), "{lines:?}");
    }
}

/// A worker that hears nothing for a while is not waited for, and hears it all then.
#[test]
fn news_wait_for_a_worker_that_does_not_listen_just_now() {
    let chronicle = Chronicle::start(2);
    let deaf = chronicle.worker_pid(0);
    chronicle.expect("worker-0", "ServerStart");
    assert!(signal(deaf, Signal::Stop));
    let pid = chronicle.worker_pid(1);
    assert!(signal(pid, Signal::Kill));
    let error = format!("WorkerError {{ slot: Slot(1), pid: {pid}, how: Signal(9) }}");
    chronicle.expect("chronicler", &error);
    assert!(!chronicle.lines("worker-0").contains(&error));
    assert!(signal(deaf, Signal::Cont));
    chronicle.expect("worker-0", &error);
    assert_eq!(chronicle.worker(0)["restarts"], json!(0));
}
