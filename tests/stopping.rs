//! The end of a server: every client is told, nothing is left, and those who do not listen are not waited for. And the
//! background, which a stop has to find again.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "stopping/restarting.rs"]
mod restarting;

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use kernel::{Errand, links, send, session, stat_field, terminal};
use support::{
    App, Client, Closing, End, PATIENCE, Server, Setup, Swarm, eventually, is_alive, run,
    working_below,
};

/// Clients that hear nothing: they are connected, and nobody reads what they get.
#[track_caller]
fn deaf(server: &Server, clients: usize) -> Vec<Client> {
    (0..clients).map(|_| Client::connect(server)).collect()
}

#[track_caller]
fn expect_nothing_left(server: &Server) {
    assert!(!server.pid_file().exists(), "the PID file is left");
    assert!(
        !server.directory().join("wsmaster.pid.control").exists(),
        "the control socket is left"
    );
    expect_free(server.addr());
    server.cli(&["status"]).expect_code(3);
}

#[track_caller]
fn expect_free(addr: SocketAddr) {
    let refused = TcpStream::connect(addr).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
    TcpListener::bind(addr).expect("the port is free");
}

#[test]
fn a_stop_tells_each_of_a_thousand_clients() {
    let server = Server::start(Setup::default().workers(4));
    let mut swarm = Swarm::connect(&server, 1000);
    let stop = server.cli_begin(&["stop"]);
    swarm.until("all closes", 3 * PATIENCE, |swarm| swarm.ends().count() == swarm.len());
    for (member, end) in swarm.ends() {
        assert!(matches!(end, End::Closed(1001, _)), "member {member}: {end:?}");
    }
    stop.wait().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    expect_nothing_left(&server);
    let log = server.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn clients_that_do_not_answer_are_waited_for_until_the_deadline() {
    let config = "[server]\nstop_timeout = \"4s\"\n[limits]\nclose_timeout = \"1s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let clients = deaf(&server, 20);
    let begun = Instant::now();
    server.stop().expect_code(0);
    let took = begun.elapsed();
    // Their time to answer is one second; nobody waits for the whole of the stop's.
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert_eq!(server.wait_exit(), 0);
    expect_nothing_left(&server);
    for mut client in clients {
        client.expect_close(1001);
    }
}

/// Whoever comes while a client keeps the server waiting goes elsewhere at once, instead of waiting for nobody.
#[test]
fn newcomers_are_refused_while_a_stop_waits_for_a_client() {
    // The client does not read, so it does not answer its close frame: the stop waits for longer than newcomers may.
    let config = "[server]\nstop_timeout = \"60s\"\n[limits]\nclose_timeout = \"40s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let mut client = Client::connect(&server);
    let stop = server.cli_begin(&["stop"]);
    eventually("the kernel to refuse newcomers", PATIENCE, || {
        let refused = TcpStream::connect(server.addr()).map_err(|error| error.kind());
        (refused.err() == Some(io::ErrorKind::ConnectionRefused)).then_some(())
    });
    assert!(is_alive(server.pid()), "the stop does not wait for the client");
    client.expect_close(1001);
    stop.wait().expect_code(0);
}

#[test]
fn a_worker_that_does_not_stop_is_killed_at_the_deadline() {
    let config = "[server]\nstop_timeout = \"1s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let pid = server.kill_worker(1, support::Signal::Stop);
    let output = server.stop();
    server.wait_log(&format!("worker 1 (pid {pid}) does not stop in time: SIGKILL"));
    output.expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    expect_nothing_left(&server);
}

#[test]
fn a_stop_that_waits_no_longer_says_so_and_a_second_one_hastens() {
    let config = "[server]\nstop_timeout = \"60s\"\n[limits]\nclose_timeout = \"40s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let mut clients = deaf(&server, 5);
    let output = server.cli(&["stop", "--timeout", "1s"]).expect_code(1);
    assert!(output.stderr.contains("still stopping after 1s"), "{output}");
    assert!(output.stderr.contains("run stop again"), "{output}");
    let paste = format!("(wsmaster stop --pid-file {})", server.pid_file().display());
    assert!(output.stderr.contains(&paste), "{output}");
    assert!(is_alive(server.pid()));
    let begun = Instant::now();
    server.stop().expect_code(0);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(server.wait_exit(), 0);
    expect_nothing_left(&server);
    // They were told at the first one.
    for client in &mut clients {
        client.expect_close(1001);
    }
}

#[test]
fn nothing_to_stop_is_said() {
    for command in ["stop", "status", "reload"] {
        let output = run(&[command, "--pid-file", "nowhere/wsmaster.pid"]).expect_code(3);
        assert!(output.stderr.contains("not running"), "{output}");
        assert!(output.stderr.contains("nowhere/wsmaster.pid"), "{output}");
    }
}

#[test]
fn a_server_whose_configuration_is_broken_by_now_can_be_stopped() {
    let server = Server::start(Setup::default().config_toml("[server]\n"));
    server.rewrite_config("[sever]\n");
    let config = server.directory().join("wsmaster.toml");
    server.cli(&["stop", "-c", &config.to_string_lossy()]).expect_code(0);
    assert_eq!(server.wait_exit(), 0);
}

#[test]
fn a_restart_takes_the_new_configuration() {
    let listen = "port = 0\n";
    let server = Server::start(
        Setup::default().workers(1).config_toml(&format!("[server]\n{listen}workers = 1\n")),
    );
    let config = server.directory().join("wsmaster.toml");
    let restart = ["restart", "-d", "-c", &config.to_string_lossy()];

    // A wrong configuration: the server that runs is not touched.
    server.rewrite_config("[server]\nworkers = \"many\"\n");
    let mut client = Client::connect(&server);
    server.cli(&restart).expect_code(2);
    client.expect_alive();

    server.rewrite_config(&format!("[server]\n{listen}workers = 3\n"));
    let running = server.cli_begin(&restart);
    client.expect_close(1001);
    running.wait().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    let status = server.status();
    assert_ne!(status["master"]["pid"], server.pid());
    assert_eq!(status["workers"].as_array().map(Vec::len), Some(3));

    // And once more, from one in the background.
    server.cli(&restart).expect_code(0);
    assert_ne!(server.status()["master"]["pid"], status["master"]["pid"]);
    server.stop().expect_code(0);

    // What does not run is no obstacle.
    server.cli(&restart).expect_code(0);
    server.stop().expect_code(0);
}

#[test]
fn a_server_in_the_background_has_left_the_terminal() {
    let server = Server::start(Setup::default().workers(2).arg("-d"));
    assert_eq!(server.wait_exit(), 0, "the command ends once the server serves");
    assert!(server.stdout().contains("listening"), "{server}");
    let own = session(std::process::id());
    // A successor is forked when the terminal has long been left, the first ones before.
    let first = server.worker_pids();
    let killed = server.kill_worker(0, support::Signal::Kill);
    let successor = server.wait_replaced(0, killed);
    for pid in [server.pid(), first[1], successor] {
        assert_ne!(session(pid), own, "a session of its own");
        assert_ne!(session(pid), i64::from(pid), "not as its leader, who could get a terminal");
        assert_eq!(terminal(pid), 0);
        for (number, link) in links(pid).into_iter().take_while(|(number, _)| *number <= 2) {
            assert_eq!(link, "/dev/null", "descriptor {number} of process {pid}");
        }
    }
    let parent = stat_field(server.pid(), 4);
    assert!(parent != i64::from(std::process::id()) && parent >= 0, "its parent is {parent}");
    Client::connect(&server).expect_alive();
    server.reload().expect_code(0);
    server.stop().expect_code(0);
    eventually("the end of the master", PATIENCE, || (!is_alive(server.pid())).then_some(()));
    expect_nothing_left(&server);
}

#[test]
fn a_start_in_the_background_that_fails_is_told_to_the_shell() {
    let server = Server::start(Setup::default());
    let address = server.addr().to_string();
    for (setup, code, part) in [
        (Setup::default().listen(&address), 1, address.as_str()),
        (Setup::default().listen("192.0.2.1:9501"), 1, "this machine has no such address"),
        (Setup::default().config_toml("[server]\nworkrs = 1\n"), 2, "workrs"),
        (Setup::default().arg("--log-file").arg("/proc/nowhere/log"), 1, "/proc/nowhere/log"),
        (Setup::default().listen(&address).arg("--log-level").arg("off"), 1, address.as_str()),
        (Setup::default().listen(&address).arg("--log-file").arg("log"), 1, address.as_str()),
    ] {
        let output = setup.app(App::Echo).arg("-d").start_refused();
        assert!(output.stderr.contains(part), "no {part:?}: {output}");
        assert!(!output.stdout.contains("listening"), "{output}");
        output.expect_code(code);
    }
}

/// The kill comes at some moment of the start; what the shell hears has to be right at each of them.
#[test]
fn a_start_in_the_background_that_is_killed_is_told_to_the_shell() {
    let own = session(std::process::id());
    let in_time = (0..40).any(|_| {
        let mut start = Errand::start(|_| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsmaster"));
            command.args(["start", "-d", "-w", "16", "--listen", "127.0.0.1:0"]);
            command.args(["--pid-file", "w.pid", "--log-file", "w.log"]);
            command
        });
        let code = eventually("the end of the command", PATIENCE, || {
            for pid in working_below(start.directory()) {
                if session(pid) != own {
                    send(pid, "KILL");
                }
            }
            start.ended()
        });
        let (stdout, stderr) = (start.stdout(), start.stderr());
        if code == 0 {
            assert!(stdout.contains("listening"), "{stdout}{stderr}");
            return false;
        }
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains("killed before it served") && stderr.contains("w.log"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        true
    });
    assert!(in_time, "no start was killed before it served");
}

#[test]
fn a_stop_does_not_wait_for_half_a_request() {
    let server = Server::start(Setup::default());
    let mut half = TcpStream::connect(server.addr()).expect("it listens");
    io::Write::write_all(&mut half, b"GET / HTTP/1.1\r\nHost: x\r\n").expect("connected");
    let mut client = Client::connect(&server);
    let begun = Instant::now();
    let stop = server.cli_begin(&["stop"]);
    assert!(matches!(client.expect_end(PATIENCE), Closing::Frame(1001, _)));
    stop.wait().expect_code(0);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(server.wait_exit(), 0);
    assert!(fs::metadata(server.pid_file()).is_err());
}
