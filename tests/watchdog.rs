//! Workers that hang, and machines that only stood still.

mod support;

use std::time::Duration;

use support::{Client, Server, Setup, Signal, eventually, is_alive, signal};

fn watched() -> Server {
    Server::start(Setup::default().workers(2).config_toml("[server]\nwatchdog = \"1s\"\n"))
}

#[test]
fn a_worker_that_hangs_is_killed_and_replaced_and_the_other_goes_on() {
    let server = watched();
    let mut other = Client::connect_to_worker(&server, 1);
    // To the watchdog a stopped process is one that makes no turns.
    let hung = server.worker_pid(0);
    server.kill_worker(0, Signal::Stop);
    server.wait_replaced(0, hung);
    assert!(server.log().contains(&format!("worker 0 (pid {hung}) hangs")), "{}", server.log());
    other.expect_alive();
    Client::connect_to_worker(&server, 0).expect_alive();
}

#[test]
fn a_group_that_was_stopped_as_a_whole_is_not_accused() {
    let server = watched();
    let mut client = Client::connect(&server);
    let pids = server.worker_pids();
    let all = || pids.iter().copied().chain([server.pid()]);
    // The master first, and last: at no time does it look at workers that stand still.
    for pid in [server.pid()].into_iter().chain(pids.iter().copied()) {
        signal(pid, Signal::Stop);
    }
    std::thread::sleep(Duration::from_secs(3));
    for pid in all() {
        signal(pid, Signal::Cont);
    }
    client.expect_alive();
    // Longer than it takes to condemn anybody.
    let waited = std::time::Instant::now();
    eventually("two limits to pass", Duration::from_secs(10), || {
        (waited.elapsed() > Duration::from_secs(2)).then_some(())
    });
    assert_eq!(server.worker_pids(), pids);
    assert!(all().all(is_alive) && !server.log().contains("hangs"), "{}", server.log());
}
