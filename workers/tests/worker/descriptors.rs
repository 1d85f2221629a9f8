//! Out of descriptors: connections wait in the kernel, those that are open are served on, and nobody spins.
//!
//! The server runs in a process of its own, this test program again, since the limit is the whole process's.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Command, Stdio},
};

use wsmaster_workers::ipc::shared_state::Counter;

use crate::support::{Client, Server, client::handshake, limits};

const DESCRIPTORS: u32 = 40;

/// The other process: says where it listens, serves until its input ends, and says what it has counted.
#[test]
#[ignore = "started by the test below, with few descriptors"]
fn serve_with_few_descriptors() {
    let server = Server::start(1, limits());
    eprintln!("listening on {}", server.address(0));
    std::io::stdin().read_to_end(&mut Vec::new()).expect("an input");
    eprintln!("pauses {}", server.count(Counter::AcceptPauses));
    eprintln!("turns {}", server.count(Counter::Turns));
}

#[test]
fn connections_wait_until_there_are_descriptors_again() {
    let script = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
    let program = std::env::current_exe().expect("this program");
    let mut serving = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .args(["--exact", "descriptors::serve_with_few_descriptors", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut said = BufReader::new(serving.stderr.take().expect("piped")).lines();
    let mut expect = |what: &str| -> String {
        let line =
            said.find_map(|line| line.ok()?.split_once(what).map(|(_, rest)| rest.to_owned()));
        line.expect("it says so")
    };
    let address: SocketAddr = expect("listening on ").parse().expect("an address");

    let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send(handshake("/open-greet"));
    }
    let mut served = clients.remove(0);
    served.expect_upgraded();
    served.expect_text("welcome");
    std::thread::sleep(std::time::Duration::from_millis(300));
    served.send_text("served on");
    served.expect_text("served on");
    // Each that leaves makes room for one that waits.
    for mut client in clients {
        client.expect_upgraded();
        client.expect_text("welcome");
    }

    drop(serving.stdin.take());
    let pauses: u64 = expect("pauses ").parse().expect("a number");
    let turns: u64 = expect("turns ").parse().expect("a number");
    assert!(pauses >= 3, "it paused {pauses} times");
    assert!(turns < 1000, "it spun: {turns} turns");
    assert!(serving.wait().expect("a child").success());
}
