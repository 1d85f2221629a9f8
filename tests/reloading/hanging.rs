//! What a reload reads may hang, and may come once only: neither stops the master, nor changes what is in force.

use std::{
    fs,
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    kernel::{Errand, is_root},
    support::{Client, PATIENCE, Server, Setup, eventually, working_below},
};

const CONFIG: &str = "[server]\nreconnect_spread = \"100ms\"\n";

#[track_caller]
fn expect_refused(server: &Server, words: &str, within: Duration) {
    let mut client = Client::connect(server);
    let workers = server.worker_pids();
    let begun = Instant::now();
    let output = server.reload().expect_code(2);
    assert!(begun.elapsed() < within, "{:?}", begun.elapsed());
    assert!(output.stderr.contains(words), "{output}");
    assert_eq!(
        output.stderr.lines().count(),
        2,
        "one line, and that nothing was reloaded: {output}"
    );
    client.expect_alive();
    assert_eq!(server.worker_pids(), workers);
}

#[test]
fn a_configuration_that_has_become_a_pipe_is_refused() {
    let server = Server::start(Setup::default().workers(2).config_toml(CONFIG));
    let file = server.directory().join("wsmaster.toml");
    fs::remove_file(&file).expect("it is ours");
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo(1)").success());
    expect_refused(&server, "is no regular file any more", PATIENCE);
    fs::remove_file(&file).expect("it is ours");
    expect_refused(&server, "cannot be read: no such file", PATIENCE);
    fs::write(&file, vec![b'#'; 1 << 21]).expect("it is ours");
    expect_refused(&server, "is larger than 1048576 bytes", PATIENCE);
    // As large as it may be, which is more than one packet between processes holds.
    let large = format!("{CONFIG}#{}\n", "x".repeat((1 << 20) - CONFIG.len() - 2));
    fs::write(&file, large).expect("it is ours");
    server.reload().expect_code(0);
}

#[test]
fn a_configuration_that_came_out_of_a_pipe_stays_in_force() {
    let program = env!("CARGO_BIN_EXE_wsmaster");
    for words in ["start", "start -d", "restart -d"] {
        let mut start = Errand::start(|_| {
            let mut command = Command::new("bash");
            let toml = "[server]\\nworkers = 3\\nhost = \"127.0.0.1\"\\nport = 0\\n\
                        pid_file = \"w.pid\"\\nlog_file = \"w.log\"\\n";
            command.args(["-c", &format!("exec {program} {words} -c <(printf '{toml}')")]);
            command
        });
        let command = |words: &str| {
            let mut command = Command::new(program);
            command.args(words.split(' ')).args(["--pid-file", "w.pid"]);
            command.current_dir(start.directory()).output().expect("it is there")
        };
        let status = || {
            let output = command("status --json");
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            let workers = status["workers"].as_array()?.len();
            (status["activity"] == "supervising").then_some((workers, status["reloads"].as_u64()?))
        };
        let before = eventually(format!("the server of {words}"), PATIENCE, status);
        assert_eq!(before, (3, 0), "{words}");
        let reload = command("reload");
        assert_eq!(reload.status.code(), Some(0), "{words}: {reload:?}");
        assert_eq!(status(), Some((3, 1)), "{words}");
        let log = fs::read_to_string(start.directory().join("w.log")).expect("it has a log");
        assert!(log.contains("cannot be read again: it stays as it is"), "{log}");
        // With the defaults these would have changed.
        assert!(!log.contains("takes effect at the next start"), "{log}");
        assert_eq!(command("stop").status.code(), Some(0), "{words}");
        assert_eq!(eventually("the end", PATIENCE, || start.ended()), 0, "{words}");
        assert!(working_below(start.directory()).is_empty(), "{words}");
    }
}

#[test]
fn a_name_that_nobody_resolves_does_not_hold_the_master() {
    if !is_root() {
        return;
    }
    // Nobody reads what comes here.
    let Ok(_deaf) = UdpSocket::bind("127.0.0.77:53") else { return };
    let place = tempfile::tempdir().expect("a directory for the test");
    let resolver = place.path().join("resolv.conf");
    fs::write(&resolver, "nameserver 127.0.0.77\noptions timeout:30 attempts:5\n").expect("ours");
    let script = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", resolver.display());
    let launcher = ["unshare", "-m", "sh", "-c", &script, "sh"];
    let tried = Command::new(launcher[0]).args(&launcher[1..]).arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        return;
    }
    let setup = Setup::default().workers(2).config_toml(CONFIG).through(&launcher);
    let server = Server::start(setup);
    let listener = "[[listener]]\nname = \"far\"\naddress = \"far.example:0\"\n";
    server.rewrite_config(&format!("{CONFIG}{listener}"));
    expect_refused(&server, "cannot listen on far.example:0: not done within 5 s", 3 * PATIENCE);
    server.rewrite_config(&format!("{CONFIG}{}", listener.replace("far.example", "localhost")));
    server.reload().expect_code(0);
}
