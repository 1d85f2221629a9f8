//! The control socket, which stands beside the PID file for its owner alone: what does not speak its language, speaks too
//! long or not at all costs the master nothing.

mod support;

#[path = "support/kernel.rs"]
mod kernel;

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use support::{Client, PATIENCE, Server, Setup, Signal, cpu_ms, descriptors, eventually, signal};

fn socket(server: &Server) -> PathBuf {
    server.directory().join("wsmaster.pid.control")
}

#[track_caller]
fn call(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(socket(server)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// What comes back until the master hangs up.
#[track_caller]
fn answer(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is a way to hang up: the question was not read to its end.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn attack_27_it_is_for_its_owner_alone() {
    // Whatever the mask of files is.
    let server = Server::start(Setup::default().config_toml("[server]\numask = \"000\"\n"));
    let mode = fs::metadata(socket(&server)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn attack_27_another_user_is_refused_also_where_the_file_lets_him_in() {
    const CALL: &str = "import socket, sys\n\
                        call = socket.socket(socket.AF_UNIX)\n\
                        call.connect(sys.argv[1])\n\
                        call.send(b'{\"do\":\"status\"}\\n')\n\
                        sys.stdout.write(call.recv(65536).decode())";
    if !kernel::is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let server = Server::start(Setup::default());
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(socket(&server), fs::Permissions::from_mode(0o666)).expect("ours");
    let call = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--clear-groups", "/usr/bin/env", "python3", "-c", CALL]);
        // Others cannot enter where the tests are run.
        let output = command.arg(socket(&server)).current_dir("/").output().expect("setpriv(1)");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), stderr)
    };
    assert!(call("root").0.starts_with('{'), "{:?}", call("root"));
    let (answer, problem) = call("nobody");
    assert_eq!(answer, "", "{problem}");
    server.wait_log("called the control socket, and was refused");
}

#[test]
fn rubbish_is_hung_up_on() {
    let server = Server::start(Setup::default());
    let mut client = Client::connect(&server);
    let long = vec![b' '; 1 << 20];
    let deep = "[".repeat(4000) + "\n";
    let questions: [&[u8]; 9] = [
        b"\n",
        b"{}\n",
        b"null\n",
        b"{\"do\":\"explode\"}\n",
        b"{\"do\":7}\n",
        b"\xff\xfe\x00\n",
        b"GET / HTTP/1.1\r\n\r\n",
        &long,
        deep.as_bytes(),
    ];
    for question in questions {
        let mut stream = call(&server);
        // It may hang up before it has read all.
        let _ = stream.write_all(question);
        let shown = String::from_utf8_lossy(&question[..question.len().min(40)]).into_owned();
        assert_eq!(answer(stream), b"", "{shown:?}");
        client.expect_alive();
    }
    assert_eq!(server.status()["reloads"], 0);
}

#[test]
fn a_question_in_pieces_is_answered() {
    let server = Server::start(Setup::default());
    let mut stream = call(&server);
    for piece in [&b"{\"do\""[..], b":\"sta", b"tus\"}", b"\n"] {
        stream.write_all(piece).expect("connected");
        server.status();
    }
    let text = answer(stream);
    assert!(
        text.starts_with(b"{") && text.ends_with(b"}\n"),
        "{:?}",
        String::from_utf8_lossy(&text)
    );
}

#[test]
fn a_second_question_on_the_same_call_is_hung_up_on() {
    let server = Server::start(Setup::default());
    let pid = server.worker_pid(0);
    assert!(signal(pid, Signal::Stop));
    let mut stream = call(&server);
    stream.write_all(b"{\"do\":\"reload\"}\n").expect("connected");
    server.wait_until("the reload", PATIENCE, |status| status["activity"] == "reloading");
    stream.write_all(b"{\"do\":\"reload\"}\n").expect("connected");
    assert_eq!(answer(stream), b"");
    assert!(signal(pid, Signal::Cont));
    assert_eq!(server.wait_ready()["reloads"], 1);
}

#[test]
fn callers_who_say_nothing_are_hung_up_on() {
    let server = Server::start(Setup::default());
    let before = descriptors(server.pid());
    let silent: Vec<_> = (0..100).map(|_| call(&server)).collect();
    eventually("the first to be heard", PATIENCE, || {
        (descriptors(server.pid()) > before).then_some(())
    });
    let cpu_before_ms = cpu_ms(server.pid());
    eventually("all silent callers to be gone", 2 * PATIENCE, || {
        (descriptors(server.pid()) == before).then_some(())
    });
    let used_ms = cpu_ms(server.pid()) - cpu_before_ms;
    assert!(used_ms <= 250, "{used_ms} ms of CPU for 100 callers who said nothing");
    drop(silent);
    server.status();
}

#[test]
fn one_who_does_not_wait_for_the_end_of_a_reload_is_no_loss() {
    let server = Server::start(Setup::default());
    let pid = server.worker_pid(0);
    assert!(signal(pid, Signal::Stop));
    for _ in 0..3 {
        call(&server).write_all(b"{\"do\":\"reload\"}\n").expect("connected");
    }
    server.wait_until("the reload", PATIENCE, |status| status["activity"] == "reloading");
    assert!(signal(pid, Signal::Cont));
    server.wait_replaced(0, pid);
    server.wait_ready();
    Client::connect(&server).expect_silence(Duration::from_millis(50));
}
