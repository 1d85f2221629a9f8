//! Task processes of the real program: results come back to whoever asked, nothing that waits is lost, and whoever waits for
//! a task that cannot be answered is told.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use place::{Place, ask, text};
use support::{Client, KeepAlive, PATIENCE, Signal, eventually, is_alive, signal};

/// How long 10,000 tasks may take on a loaded machine.
const MANY: Duration = Duration::from_secs(60);

/// The harness with so many workers and task processes.
fn start(workers: usize, tasks: usize) -> Place {
    start_with(workers, tasks, &[])
}

fn start_with(workers: usize, tasks: usize, settings: &[(&str, &str)]) -> Place {
    let place = Place::start("task_harness", workers, |command, _| {
        command.env("TASKS", tasks.to_string()).envs(settings.iter().copied());
    });
    for number in 0..tasks {
        pid(&place, tasks, number);
    }
    place
}

fn name(tasks: usize, number: usize) -> String {
    if tasks == 1 { "task".to_owned() } else { format!("task/{number}") }
}

#[track_caller]
fn pid(place: &Place, tasks: usize, number: usize) -> u32 {
    place.pid(&name(tasks, number))
}

/// A number that the status has for all task processes together.
#[track_caller]
fn sum(place: &Place, counter: &str) -> u64 {
    let status = place.status();
    let processes = status["processes"].as_array().expect("a list");
    let tasks = processes.iter().filter(|process| process["role"] == "task");
    tasks.map(|process| process[counter].as_u64().expect("a number")).sum()
}

/// Waits until the task process is at a task.
#[track_caller]
fn expect_busy(place: &Place, name: &str) {
    eventually(format!("{name} to be at a task"), PATIENCE, || {
        place.process(name)["is_at_a_task"].as_bool().filter(|is| *is)
    });
}

#[test]
fn results_come_back_to_the_worker_that_asked() {
    let place = start(3, 2);
    for slot in 0..3 {
        let (mut client, id) = place.client_of_worker(slot);
        assert_eq!(ask(&mut client, "task echo hello", PATIENCE), "hello");
        assert_eq!(
            ask(&mut client, "task nonsense", PATIENCE),
            r#"Failed("what is \"nonsense\"?")"#
        );
        assert_eq!(ask(&mut client, "task panic", PATIENCE), r#"Failed("the task panicked")"#);
        for process in ["0", "1"] {
            assert_eq!(ask(&mut client, &format!("to {process} number"), PATIENCE), process);
        }
        assert_eq!(ask(&mut client, "to 2 number", PATIENCE), "NoTaskProcess");
        // The process reaches connections itself, and waits for what becomes of that.
        client.send_text(&format!("task push {id} from a task"));
        let mut heard = [text(&mut client, PATIENCE), text(&mut client, PATIENCE)];
        heard.sort();
        assert_eq!(heard, ["Delivered", "from a task"]);
        assert_eq!(
            ask(&mut client, "side echo one | echo two | nonsense", PATIENCE),
            r#"one | two | Failed("what is \"nonsense\"?")"#
        );
    }
    assert_eq!(sum(&place, "tasks_done"), 3 * 6);
    assert_eq!(sum(&place, "tasks_failed"), 3 * 3);
    assert_eq!(place.process("task/0")["role"], "task");
    assert_eq!(place.process("giver")["role"], "process");
}

#[test]
fn without_task_processes_that_is_the_answer() {
    let place = start(1, 0);
    let (mut client, _) = place.client();
    assert_eq!(ask(&mut client, "task echo hello", PATIENCE), "NoTaskProcess");
    assert_eq!(ask(&mut client, "side echo hello", PATIENCE), "NoTaskProcess");
}

#[test]
fn ten_thousand_tasks_and_none_is_lost() {
    let place = start(2, 3);
    let (mut client, _) = place.client();
    let begun = Instant::now();
    assert_eq!(ask(&mut client, "many 10000", MANY), "10000 done, 0 not");
    println!("10,000 tasks in {:?}", begun.elapsed());
    assert_eq!(sum(&place, "tasks_done"), 10_000);
    let done = |number| place.process(&name(3, number))["tasks_done"].as_u64().expect("a number");
    assert!((0..3).all(|number| done(number) > 100), "{:?}", [done(0), done(1), done(2)]);
    assert_eq!(place.status()["tasks"]["waiting"], 0);
}

#[test]
fn nobody_waits_behind_a_long_task_while_a_process_is_idle() {
    let place = start(1, 2);
    let (mut client, _) = place.client();
    client.send_text("task sleep 1500 long");
    for _ in 0..20 {
        assert_eq!(ask(&mut client, "task echo short", PATIENCE), "short");
    }
    client.expect_text("long");
}

#[test]
fn large_data_goes_there_and_back() {
    let place = start(1, 2);
    let (mut client, _) = place.client();
    for bytes in [0, 1, 32 * 1024 - 5, 32 * 1024, 5 * 1024 * 1024, 64 * 1024 * 1024] {
        let answer = ask(&mut client, &format!("big {bytes}"), MANY);
        assert_eq!(answer, format!("{bytes} bytes"));
    }
    let too_large = ask(&mut client, &format!("big {}", 256 * 1024 * 1024), MANY);
    assert_eq!(too_large, "TooLarge");
}

#[test]
fn one_task_dies_with_its_process_and_those_that_wait_are_done_by_the_successor() {
    let place = start(1, 1);
    let (mut client, _) = place.client();
    for _ in 0..5 {
        let killed = pid(&place, 1, 0);
        client.send_text("task sleep 60000 never");
        expect_busy(&place, "task");
        client.send_text("many 500");
        assert!(signal(killed, Signal::Kill));
        assert_eq!(text(&mut client, PATIENCE), "Died");
        // The delays of its restarts grow.
        assert_eq!(text(&mut client, MANY), "500 done, 0 not");
        assert_ne!(pid(&place, 1, 0), killed);
    }
    assert_eq!(place.process("task")["tasks_died"], 5);
    assert_eq!(place.process("task")["last_exit"], "signal 9 (SIGKILL)");
    // A side process is told as well, before its own patience is over.
    let doomed = pid(&place, 1, 0);
    let begun = Instant::now();
    client.send_text("side sleep 60000 never");
    expect_busy(&place, "task");
    assert!(signal(doomed, Signal::Kill));
    assert_eq!(text(&mut client, PATIENCE), "Died");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn kills_under_load_are_all_told_and_everything_else_is_done() {
    for _ in 0..4 {
        kill_under_load();
    }
}

/// One server, whose processes are killed before those that end soon after their start are started more slowly.
fn kill_under_load() {
    const TASKS: usize = 20_000;
    const KILLS: usize = 8;
    let place = start(1, 4);
    let (mut client, _) = place.client();
    client.send_text(&format!("many {TASKS}"));
    for number in 0..KILLS {
        assert!(signal(pid(&place, 4, number % 4), Signal::Kill));
    }
    let answer = text(&mut client, MANY);
    let numbers = answer.split(|letter: char| !letter.is_ascii_digit());
    let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let [done, not] = numbers[..] else { panic!("{answer}") };
    println!("{answer}");
    assert_eq!(done + not, TASKS as u64);
    // One that dies just behind its answer is counted too.
    let died = sum(&place, "tasks_died");
    assert!(not <= died && died <= KILLS as u64, "{answer}, {died} died");
}

#[test]
fn usr2_replaces_task_processes_and_what_waits_is_done() {
    let place = start(1, 2);
    let before: BTreeSet<u32> = (0..2).map(|number| pid(&place, 2, number)).collect();
    let (mut client, _) = place.client();
    // Each is at a task, and others wait, when the signal comes.
    for _ in 0..2 {
        client.send_text("task sleep 1200 finished");
    }
    for number in 0..2 {
        expect_busy(&place, &name(2, number));
    }
    client.send_text("many 1000");
    assert!(signal(place.master(), Signal::Usr2));
    for _ in 0..2 {
        assert_eq!(text(&mut client, PATIENCE), "finished");
    }
    assert_eq!(text(&mut client, MANY), "1000 done, 0 not");
    eventually("new processes", PATIENCE, || {
        let now: BTreeSet<u32> = (0..2).map(|number| pid(&place, 2, number)).collect();
        now.is_disjoint(&before).then_some(())
    });
    assert_eq!(sum(&place, "tasks_died"), 0);
    assert_eq!(place.process("task/0")["last_exit"], "exit code 0");
    // The worker was not concerned.
    assert_eq!(place.status()["workers"][0]["replacements"], 0);
}

#[test]
fn a_process_is_replaced_after_its_share() {
    let place = start_with(1, 1, &[("TASK_MAX_REQUEST", "100")]);
    let first = pid(&place, 1, 0);
    let (mut client, _) = place.client();
    assert_eq!(ask(&mut client, "many 99", MANY), "99 done, 0 not");
    assert_eq!(pid(&place, 1, 0), first);
    assert_eq!(ask(&mut client, "many 500", MANY), "500 done, 0 not");
    eventually("its successor", PATIENCE, || (pid(&place, 1, 0) != first).then_some(()));
    assert_eq!(place.process("task")["replacements"], 1);
    assert_eq!(place.process("task")["restarts"], 0);
}

#[test]
fn a_process_that_hangs_is_ended_and_whoever_waits_is_told() {
    let place = start_with(1, 1, &[("TASK_TIMEOUT_MS", "1000")]);
    let hangs = pid(&place, 1, 0);
    let (mut client, _) = place.client();
    let begun = Instant::now();
    client.send_text("task sleep 60000 never");
    assert_eq!(text(&mut client, PATIENCE), "Died");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(
        place.log().contains(&format!("task (pid {hangs}) is at one task for 1s, and is killed"))
    );
    // One that is idle for as long is not.
    let next = pid(&place, 1, 0);
    client.expect_silence(Duration::from_millis(1_500));
    assert_eq!(pid(&place, 1, 0), next);
}

#[test]
fn more_tasks_than_may_wait_are_refused() {
    let place = start(1, 1);
    let (mut client, _) = place.client();
    let stopped = pid(&place, 1, 0);
    assert!(signal(stopped, Signal::Stop));
    client.send_text("many 70000");
    // The answer comes when all are answered: those that were refused at once, the others later.
    client.expect_silence(Duration::from_millis(100));
    assert!(signal(stopped, Signal::Cont));
    // 65,536 tasks of one worker may be open at a time.
    assert_eq!(text(&mut client, MANY), "65536 done, 4464 not");
}

#[test]
fn a_worker_that_is_replaced_hears_what_became_of_its_task() {
    let place = start(1, 1);
    let (mut client, _) = place.client();
    let mut request = KeepAlive::open(place.addr());
    request.send("GET", "/sleep/1500", &[], b"");
    expect_busy(&place, "task");
    let before = place.worker_pid(0);
    place.reload();
    client.expect_close(1001);
    // Its successor reads the mailbox, and passes the answer on. The result of this task is empty.
    let answer = request.receive("GET");
    assert_eq!((answer.status, answer.text()), (200, ""));
    eventually("its successor", PATIENCE, || (place.worker_pid(0) != before).then_some(()));
    let (mut client, _) = place.client();
    assert_eq!(ask(&mut client, "task echo next", PATIENCE), "next");
    assert_eq!(sum(&place, "tasks_done"), 2);
}

#[test]
fn a_stop_waits_for_a_task_and_leaves_nothing() {
    let mut place = start(1, 2);
    let (mut client, _) = place.client();
    client.send_text("task sleep 500 done");
    let busy = eventually("a task to begin", PATIENCE, || {
        (0..2).find(|number| place.process(&name(2, *number))["is_at_a_task"] == true)
    });
    let busy = pid(&place, 2, busy);
    place.stop().expect_code(0);
    assert!(!is_alive(busy));
    assert!(!place.log().contains("died while it was at a task"), "{}", place.log());
    place.expect_nothing_left();
}

#[test]
fn timers_of_side_processes_come_in_order_once_or_again_and_not_when_cleared() {
    let place = start(1, 0);
    let (mut client, _) = place.client();
    let told = ask(&mut client, "timer 60", PATIENCE);
    let orders = ["again, once, again, again", "once, again, again, again"];
    let expected = orders.map(|order| format!("cleared true, {order}, cleared true, Elapsed"));
    assert!(expected.contains(&told), "{told}");
}

#[test]
fn the_example_factors_numbers() {
    let place = Place::start("tasks", 1, |command, _| {
        command.arg("2");
    });
    let mut client = Client::open(place.addr(), "/");
    for (number, expected) in [
        ("1001", "1001 = 7 * 11 * 13"),
        ("97", "97 = 97"),
        ("2", "2 = 2"),
        ("1", "1: only numbers from 2 on, of at most 18 digits, have factors here"),
        ("x", "x: invalid digit found in string"),
    ] {
        assert_eq!(ask(&mut client, number, PATIENCE), expected);
    }
    // It takes longer than a test waits: its process is killed meanwhile.
    client.send_text("999999999999999989");
    let busy = eventually("a process to be at it", PATIENCE, || {
        (0..2).find(|number| place.process(&name(2, *number))["is_at_a_task"] == true)
    });
    assert_eq!(ask(&mut client, "6", PATIENCE), "6 = 2 * 3");
    assert!(signal(pid(&place, 2, busy), Signal::Kill));
    client.expect_text("999999999999999989: try again");
}
