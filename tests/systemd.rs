//! What systemd hears of a server that it has started, the sockets that it passes to it, and what it thinks of the units.

mod support;

#[path = "systemd/activation.rs"]
mod activation;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "systemd/unit.rs"]
mod unit;

use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

use support::{PATIENCE, Server, Setup};

/// The socket that systemd would have.
struct Notices {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Notices {
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, directory }
    }

    fn setup(&self) -> Setup {
        let path = self.directory.path().join("notify");
        Setup::default().env("NOTIFY_SOCKET", path.to_str().expect("a plain path"))
    }

    /// The next words, but for those that only say that the master is alive.
    #[track_caller]
    fn expect(&self, word: &str) -> String {
        loop {
            let words = self.next();
            if words != "WATCHDOG=1\n" {
                assert!(words.lines().any(|line| line == word), "{word:?} is not in {words:?}");
                return words;
            }
        }
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("words");
        let words = String::from_utf8(buffer[..count].to_vec()).expect("text");
        if words.ends_with('\n') { words } else { words + "\n" }
    }
}

#[test]
fn systemd_hears_of_the_servers_life() {
    let notices = Notices::open();
    let server = Server::start(notices.setup().workers(2));
    let ready = notices.expect("READY=1");
    assert!(
        ready.contains(&format!("STATUS=serving on {} with 2 workers", server.addr())),
        "{ready}"
    );
    server.reload().expect_code(0);
    assert!(notices.expect("RELOADING=1").contains("MONOTONIC_USEC="));
    notices.expect("READY=1");
    server.stop().expect_code(0);
    notices.expect("STOPPING=1");
}

#[test]
fn systemd_hears_that_the_master_lives() {
    let notices = Notices::open();
    let server = Server::start(notices.setup().env("WATCHDOG_USEC", "200000"));
    notices.expect("READY=1");
    for _ in 0..3 {
        assert_eq!(notices.next(), "WATCHDOG=1\n");
    }
    drop(server);
}

#[test]
fn a_systemd_that_does_not_read_is_not_waited_for_and_hears_all_later() {
    let notices = Notices::open();
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("a socket");
    let path = notices.directory.path().join("notify");
    let mut filled = 0;
    while filler.send_to(b"WATCHDOG=1\n", &path).is_ok() {
        filled += 1;
    }
    assert!(filled > 0);
    let server = Server::start(notices.setup().env("WATCHDOG_USEC", "200000"));
    server.reload().expect_code(0);
    // What was said meanwhile comes in its order.
    notices.expect("READY=1");
    notices.expect("RELOADING=1");
    notices.expect("READY=1");
    while filler.send_to(b"WATCHDOG=1\n", &path).is_ok() {}
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
}

#[test]
fn a_server_that_systemd_did_not_start_says_nothing() {
    let notices = Notices::open();
    let server = Server::start(Setup::default());
    notices.socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert!(notices.socket.recv(&mut [0; 16]).is_err());
    drop(server);
}

/// Where systemd is installed, it is asked about the units, with the program's real place put in.
#[test]
fn the_units_are_good_ones() {
    let program = env!("CARGO_BIN_EXE_wsmaster");
    let directory = tempfile::tempdir().expect("a directory");
    for (name, programs) in [("wsmaster.service", 3), ("wsmaster.socket", 0)] {
        let unit = std::fs::read_to_string(format!("packaging/{name}")).expect("the unit");
        assert_eq!(unit.matches("/usr/local/bin/wsmaster").count(), programs);
        let copy = unit.replace("/usr/local/bin/wsmaster", program);
        std::fs::write(directory.path().join(name), copy).expect("a copy");
    }
    let mut command = Command::new("systemd-analyze");
    command.arg("verify").args(["wsmaster.service", "wsmaster.socket"]).current_dir(&directory);
    let Ok(verdict) = command.output() else {
        eprintln!("SKIPPED the units: there is no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&verdict.stderr);
    let about_us: Vec<_> = said.lines().filter(|line| line.contains("wsmaster.")).collect();
    // The manual page is a file of whoever packages it.
    let faults: Vec<_> = about_us.iter().filter(|line| !line.contains("man wsmaster")).collect();
    assert!(faults.is_empty(), "{said}");
}
