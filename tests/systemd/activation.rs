//! Socket activation, with a small program in the part of systemd: it opens sockets, says so in the environment, and becomes
//! the server.

use std::{collections::BTreeSet, net::TcpListener, os::fd::OwnedFd, process::Command};

use super::{
    kernel::{links, listening_sockets, socket_number},
    support::{Client, Output, Server, Setup, Signal},
};

/// `KIND COUNT PID PROGRAM ARGUMENTS...`: passes one descriptor for each word of KIND, and says that COUNT were passed to PID.
const SYSTEMD: &str = r#"
import os, socket, sys
kinds, count, pid = sys.argv[1:4]
port, passed, kept = 0, [], []
for kind in kinds.split():
    if kind == "file":
        passed.append(os.open("/dev/null", os.O_RDWR))
        continue
    family = {"unix": socket.AF_UNIX, "v6": socket.AF_INET6}.get(kind, socket.AF_INET)
    one = socket.socket(family, socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
    if kind == "unix":
        one.bind("passed.sock")
    else:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("::1" if kind == "v6" else "127.0.0.1", 0 if kind == "other" else port))
        port = port or one.getsockname()[1]
    if kind not in ("datagrams", "bound"):
        one.listen(128)
    passed.append(one.fileno())
    kept.append(one)
high = [os.dup2(fd, 50 + place) for place, fd in enumerate(passed)]
os.closerange(3, 50)
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place, inheritable=True)
os.closerange(50, 200)
os.environ["LISTEN_FDS"] = count
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
os.environ["LISTEN_FDNAMES"] = ":".join(["wsmaster.socket"] * len(passed))
os.execv(sys.argv[4], sys.argv[4:])
"#;

fn activated(kinds: &str, count: &str, pid: &str) -> Setup {
    Setup::default().through(&["python3", "-c", SYSTEMD, kinds, count, pid])
}

/// The listening sockets of a process.
fn listeners(pid: u32) -> BTreeSet<u64> {
    let all = listening_sockets();
    links(pid)
        .iter()
        .filter_map(|(_, link)| socket_number(link))
        .filter(|number| all.contains(number))
        .collect()
}

#[test]
fn one_socket_is_shared_by_all_workers() {
    let server = Server::start(activated("v4", "1", "own").workers(3));
    assert_eq!(listeners(server.pid()).len(), 1);
    for pid in server.worker_pids() {
        assert_eq!(listeners(pid), listeners(server.pid()), "there is no other");
    }
    server.wait_log("server.host and server.port are not used");
    let mut clients: Vec<Client> = (0..60).map(|_| Client::connect(&server)).collect();
    clients.iter_mut().for_each(Client::expect_alive);
    drop(clients);
    // Whoever is down is not missed, and comes back.
    let killed = server.kill_worker(0, Signal::Kill);
    for _ in 0..20 {
        Client::connect(&server).expect_alive();
    }
    server.wait_replaced(0, killed);
    server.reload().expect_code(0);
    for _ in 0..20 {
        Client::connect(&server).expect_alive();
    }
    assert_eq!(server.status()["log"]["lines_lost"], 0);
}

#[test]
fn as_many_sockets_as_workers_are_one_for_each() {
    let server = Server::start(activated("v4 v4 v4", "3", "own").workers(3));
    let mut each = BTreeSet::new();
    for pid in server.worker_pids() {
        let own = listeners(pid);
        assert_eq!(own.len(), 1);
        each.extend(own);
    }
    assert_eq!(each, listeners(server.pid()));
    assert_eq!(each.len(), 3);
    for _ in 0..30 {
        Client::connect(&server).expect_alive();
    }
    server.reload().expect_code(0);
    Client::connect(&server).expect_alive();
}

#[test]
fn a_socket_of_ipv6_is_as_good() {
    let server = Server::start(activated("v6", "1", "own"));
    assert!(server.addr().is_ipv6());
    Client::connect(&server).expect_alive();
}

#[test]
fn side_processes_do_not_have_them() {
    let config = r#"
[[process]]
name = "p"
command = "bash"
args = ["-c", '''read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4; exec sleep 1000''']
"#;
    let server = Server::start(activated("v4", "1", "own").config_toml(config));
    let workers = server.worker_pids();
    for pid in server.living() {
        let may = pid == server.pid() || workers.contains(&pid);
        assert!(may || listeners(pid).is_empty(), "{pid}: {:?}", links(pid));
    }
}

#[test]
fn connections_wait_in_the_socket_while_the_server_is_down() {
    // This test is the one who keeps the socket, and hands it over as the standard input.
    let kept = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = kept.local_addr().expect("an address");
    let directory = tempfile::tempdir().expect("a directory");
    let start = || {
        let mut command = Command::new("sh");
        command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
        command.args([env!("CARGO_BIN_EXE_wsmaster"), "start", "-w", "2", "--pid-file", "w.pid"]);
        let socket = OwnedFd::from(kept.try_clone().expect("a descriptor"));
        let null = std::process::Stdio::null;
        command.stdin(socket).stdout(null()).stderr(null()).current_dir(&directory);
        command.spawn().expect("a shell")
    };
    for _ in 0..2 {
        // Nobody serves yet, and nobody is refused.
        let waiting = std::thread::spawn(move || Client::open(address, "/").close());
        let mut server = start();
        waiting.join().expect("served as soon as there is a server");
        let pid = server.id().to_string();
        assert!(
            Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill(1)").success()
        );
        assert!(server.wait().expect("our child").success());
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let server = Server::start(activated("v4", "1", "1").workers(2));
    server.wait_log("sockets were passed to process 1 (LISTEN_PID), which is not this one");
    for pid in server.worker_pids() {
        assert_eq!(listeners(pid).len(), 1, "its own");
    }
    Client::connect(&server).expect_alive();
}

/// One line that names the descriptor.
#[track_caller]
fn refused(setup: Setup, words: &[&str]) -> Output {
    let output = setup.start_refused().expect_code(1);
    let is_problem = |line: &&str| !line.contains(" INFO ");
    let lines: Vec<&str> = output.stderr.lines().filter(is_problem).collect();
    assert_eq!(lines.len(), 1, "{output}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {output}");
    }
    output
}

#[test]
fn what_cannot_be_listened_on_is_refused_in_one_line() {
    let wsmaster = "wsmaster.socket";
    for (kinds, count, problem) in [
        ("file", "1", "descriptor 3 (wsmaster.socket), which systemd has passed, is not a socket"),
        ("bound", "1", "does not listen"),
        ("datagrams", "1", "is not a TCP socket"),
        ("unix", "1", "is not a socket of IPv4 or IPv6"),
        ("v4 bound", "2", "descriptor 4"),
    ] {
        refused(activated(kinds, count, "own"), &[problem, wsmaster, "ListenStream="]);
    }
    refused(activated("v4", "2", "own"), &["descriptor 4", "is not open"]);
    refused(activated("v4 other", "2", "own").workers(2), &["all must be on one address"]);
    refused(
        activated("v4 v4", "2", "own").workers(3),
        &["2 sockets for 3 workers", "ReusePort=yes"],
    );
    refused(activated("v4", "many", "own"), &["LISTEN_FDS is \"many\""]);
    refused(activated("v4", "1", "somebody"), &["LISTEN_PID is \"somebody\""]);
}
