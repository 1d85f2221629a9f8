//! The PID file: what stands in it may be old, false or rubbish, and what it leads to may be somebody else. Nobody else is
//! ever signalled, and what a server left behind is never in the way of a start. A file that no server has written is never
//! changed. Most of it is about attack 25: a PID file that leads a command of root's to somebody else.

mod support;

#[path = "support/kernel.rs"]
mod kernel;

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::Path,
};

use kernel::{Stranger, send};
use support::{Client, Output, PATIENCE, Server, Setup, eventually, is_alive, run, working_below};

/// What may stand in a file that nobody holds, besides the pid of a stranger.
const RUBBISH: [&[u8]; 9] = [
    b"",
    b"\n",
    b"0\n",
    b"-1\n",
    b"1\n",
    b"99999999999999999999\n",
    b"not a number\n",
    b"12 34\n",
    b"\xff\xfe\x00\x01\x80",
];

#[track_caller]
fn ask(command: &str, pid_file: &Path) -> Output {
    run(&[command, "--pid-file", &pid_file.to_string_lossy()])
}

#[track_caller]
fn start_with(pid_file: &Path, args: &[&str]) -> Output {
    let file = pid_file.to_string_lossy();
    run(&[&["start", "-d", "-w", "1", "--pid-file", &file], args].concat())
}

/// Starts a server in the background with this PID file, asks it how it is, and stops it.
#[track_caller]
fn start_and_stop(pid_file: &Path) {
    start_with(pid_file, &["--listen", "127.0.0.1:0"]).expect_code(0);
    ask("status", pid_file).expect_code(0);
    ask("stop", pid_file).expect_code(0);
    assert!(!pid_file.exists(), "it removes what is its own");
}

#[track_caller]
fn refused(pid_file: &Path) -> Output {
    let file = pid_file.to_string_lossy();
    let output = run(&["start", "-w", "1", "--listen", "127.0.0.1:0", "--pid-file", &file]);
    assert!(output.stderr.contains("--pid-file"), "it says what to do: {output}");
    output.expect_code(1)
}

#[test]
fn attack_25_a_stale_file_with_the_pid_of_a_stranger_harms_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    let mut stranger = Stranger::sleeping();
    fs::write(&file, format!("{}\n", stranger.pid())).expect("it is ours");
    for command in ["status", "reload", "stop"] {
        let output = ask(command, &file).expect_code(3);
        assert!(output.stderr.contains("not running"), "{output}");
        stranger.expect_unharmed();
    }
    start_and_stop(&file);
    stranger.expect_unharmed();

    // The same when the stranger has the file open, as an editor or a `tail` has.
    fs::write(&file, "").expect("it is ours");
    let mut reader = Stranger::holding(&file);
    fs::write(&file, format!("{}\n", reader.pid())).expect("it is ours");
    for command in ["status", "reload", "stop"] {
        ask(command, &file).expect_code(3);
        reader.expect_unharmed();
    }
    start_and_stop(&file);
    reader.expect_unharmed();
}

#[test]
fn rubbish_that_nobody_holds_is_no_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    for text in RUBBISH {
        fs::write(&file, text).expect("it is ours");
        for command in ["status", "reload", "stop"] {
            let output = ask(command, &file);
            assert_eq!(
                output.code,
                3,
                "{command} with {:?}: {output}",
                String::from_utf8_lossy(text)
            );
        }
    }
}

#[test]
fn what_a_crash_or_a_power_cut_left_is_no_obstacle() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    let left: [&[u8]; 6] = [b"", b"\n", b"1\n", b"12", b"99999999999999999999\n", b"12\0\0\0\0\0"];
    for text in left.into_iter().chain([&[0; 4096][..]]) {
        fs::write(&file, text).expect("it is ours");
        start_and_stop(&file);
    }
    // Larger than any machine's memory, and without a byte in it.
    let huge = fs::File::create(&file).and_then(|file| file.set_len(1 << 40));
    huge.expect("a file with a hole");
    ask("stop", &file).expect_code(3);
    start_and_stop(&file);
}

#[test]
fn a_file_that_no_server_has_written_is_never_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("server.toml");
    let contents: [&[u8]; 6] = [
        b"[server]\nport = 0\n",
        b"not a number\n",
        b"12 34\n",
        b"-1\n",
        b"\xff\xfe\x00\x01\x80",
        &[b'7'; 5000],
    ];
    for content in contents {
        fs::write(&file, content).expect("it is ours");
        let output = refused(&file);
        assert!(output.stderr.contains("is no pid file"), "{output}");
        assert_eq!(fs::read(&file).expect("it is there"), content, "{output}");
        start_with(&file, &["--listen", "127.0.0.1:0"]).expect_code(1);
        assert_eq!(fs::read(&file).expect("it is there"), content);
    }
    assert!(!directory.path().join("server.toml.control").exists());

    // The control socket beside a PID file takes the place of no file either.
    let file = directory.path().join("w.pid");
    let control = directory.path().join("w.pid.control");
    fs::write(&control, "a document").expect("it is ours");
    refused(&file);
    assert_eq!(fs::read_to_string(&control).expect("it is there"), "a document");
    assert!(!file.exists(), "what was taken is given back");
}

#[test]
fn attack_25_a_forged_number_in_the_file_of_a_running_server_is_not_believed() {
    let server = Server::start(Setup::default().workers(2));
    let mut client = Client::connect(&server);
    let file = server.pid_file();
    let original = fs::read(&file).expect("it runs");
    assert_eq!(original, format!("{}\n", server.pid()).into_bytes());

    let mut stranger = Stranger::sleeping();
    let mut reader = Stranger::holding(&file);
    let forgeries = [
        format!("{}\n", stranger.pid()).into_bytes(),
        // It has the file open, but not its lock.
        format!("{}\n", reader.pid()).into_bytes(),
        // Of the same server, but not its master.
        format!("{}\n", server.worker_pid(0)).into_bytes(),
        format!("{}\n", std::process::id()).into_bytes(),
    ];
    let rubbish = RUBBISH.iter().map(|text| text.to_vec());
    let huge = vec![b'7'; 100_000];
    for text in forgeries.into_iter().chain(rubbish).chain([huge]) {
        // Written over, not replaced: it stays the file that the master holds.
        fs::write(&file, &text).expect("it is ours");
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        for command in ["stop", "reload", "status"] {
            let output = ask(command, &file);
            assert_eq!(output.code, 1, "{command} with {shown:?}: {output}");
            assert!(output.stderr.contains("wsmaster.pid"), "{output}");
            stranger.expect_unharmed();
            reader.expect_unharmed();
            client.expect_alive();
        }
        // And nobody takes its place.
        let output = refused(&file);
        assert!(output.stderr.contains("is running already"), "{output}");
    }
    assert!(is_alive(server.pid()));
    fs::write(&file, original).expect("it is ours");
    assert_eq!(server.worker_pids().len(), 2);
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
}

#[test]
fn attack_25_what_is_no_file_of_ours_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);

    fs::create_dir(at("directory.pid")).expect("new");
    symlink(at("target"), at("link.pid")).expect("new");
    symlink(at("directory.pid"), at("link-to-directory.pid")).expect("new");
    let made = std::process::Command::new("mkfifo").arg(at("fifo.pid")).status();
    assert!(made.expect("mkfifo(1)").success());
    for name in ["directory.pid", "link.pid", "link-to-directory.pid", "fifo.pid"] {
        let output = refused(&at(name));
        assert!(output.stderr.contains(name), "{output}");
        for command in ["status", "reload", "stop"] {
            let output = ask(command, &at(name)).expect_code(1);
            assert!(output.stderr.contains(name), "{output}");
        }
    }
    assert!(!at("target").exists(), "nothing is made through a link");
    assert!(fs::symlink_metadata(at("link.pid")).is_ok_and(|facts| facts.is_symlink()));

    // No directory can be made there, not even by root.
    refused(Path::new("/proc/nowhere/w.pid"));
    fs::write(at("file"), "").expect("new");
    refused(&at("file").join("w.pid"));
    ask("stop", Path::new("/proc/nowhere/w.pid")).expect_code(3);
}

#[test]
fn attack_25_a_directory_in_which_others_could_replace_the_file_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = directory.path().join("open");
    for (mode, is_good) in [(0o777, false), (0o775, false), (0o1777, true), (0o755, true)] {
        fs::DirBuilder::new().mode(0o700).create(&open).expect("new");
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).expect("ours");
        let file = open.join("w.pid");
        if is_good {
            start_and_stop(&file);
        } else {
            let output = refused(&file);
            assert!(output.stderr.contains("writable by others"), "{mode:o}: {output}");
            assert!(!file.exists());
        }
        fs::remove_dir_all(&open).expect("ours");
    }
}

#[test]
fn a_path_too_long_for_a_socket_is_reached_through_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    // The name of a socket has 107 bytes at most (unix(7)).
    let file = directory.path().join("d".repeat(120)).join("w.pid");
    start_and_stop(&file);
    let control = file.with_file_name("w.pid.control");
    assert!(!control.exists());
    std::os::unix::net::UnixListener::bind(directory.path().join("s")).expect("a socket");
    fs::rename(directory.path().join("s"), &control).expect("one that is left behind");
    start_and_stop(&file);

    let file = directory.path().join("w".repeat(120));
    let output = refused(&file);
    assert!(output.stderr.contains("control socket"), "{output}");
    assert!(output.stderr.contains("is too long for a socket"), "{output}");
    assert!(!file.exists(), "what was taken is given back");
    assert!(working_below(directory.path()).is_empty());
}

#[test]
fn two_pid_files_with_one_stem_are_two_servers() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["ws.1", "ws.2", "ws"].map(|name| directory.path().join(name));
    for file in &files {
        start_with(file, &["--listen", "127.0.0.1:0"]).expect_code(0);
    }
    let reloads = |file: &Path| u32::from(ask("status", file).stdout.contains("; 1 reload"));
    ask("reload", &files[1]).expect_code(0);
    assert_eq!(files.each_ref().map(|file| reloads(file)), [0, 1, 0]);
    for file in &files {
        ask("stop", file).expect_code(0);
        ask("status", file).expect_code(3);
    }
    assert!(working_below(directory.path()).is_empty());
}

#[test]
fn a_listener_may_have_the_name_of_the_pid_file_with_another_ending() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("app.pid");
    let socket = directory.path().join("app.sock");
    let listen = format!("unix:{}", socket.display());
    start_with(&file, &["--listen", &listen]).expect_code(0);
    ask("reload", &file).expect_code(0);
    let mut client = std::os::unix::net::UnixStream::connect(&socket).expect("it is there");
    client.set_read_timeout(Some(PATIENCE)).expect("not zero");
    client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is taken");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("it is still the listener's");
    assert_eq!(&answer, b"HTTP/1.1 200");
    ask("stop", &file).expect_code(0);
    assert!(!socket.exists());

    // And the name of the control socket is refused to a listener in one line.
    let listen = format!("unix:{}.control", file.display());
    let output = start_with(&file, &["--listen", &listen]).expect_code(1);
    assert!(output.stderr.contains("listens there already"), "{output}");
    assert!(!file.exists() && !file.with_file_name("app.pid.control").exists(), "{output}");
}

#[test]
fn the_socket_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    let control = directory.path().join("w.pid.control");
    let other = std::os::unix::net::UnixListener::bind(&control).expect("a socket");
    let output = refused(&file);
    let who = format!("process {} listens there already", std::process::id());
    assert!(output.stderr.contains(&who), "{output}");
    std::os::unix::net::UnixStream::connect(&control).expect("it still listens");
    drop(other);
    start_and_stop(&file);
}

#[test]
fn something_else_in_the_place_of_the_control_socket_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    fs::write(directory.path().join("w.pid.control"), "precious").expect("ours");
    let output = refused(&file);
    assert!(output.stderr.contains("w.pid.control"), "{output}");
    assert_eq!(fs::read(directory.path().join("w.pid.control")).expect("still there"), b"precious");
    assert!(!file.exists(), "what was taken is given back");
}

#[test]
fn a_server_whose_file_was_taken_away_leaves_that_of_its_successor_alone() {
    let first = Server::start(Setup::default());
    let file = first.pid_file();
    let text = fs::read_to_string(&file).expect("it runs");
    fs::remove_file(&file).expect("ours");
    ask("stop", &file).expect_code(3);
    Client::connect(&first).expect_alive();

    // While it lives, nobody takes the place of its control socket.
    let start = ["start", "-d", "-w", "1", "--listen", "127.0.0.1:0"];
    let output = first.cli(&start).expect_code(1);
    let who = format!("process {} listens there already", text.trim());
    assert!(output.stderr.contains(&who), "{output}");
    Client::connect(&first).expect_alive();

    // Where that is gone too, another server takes its place; then the first one ends.
    fs::remove_file(file.with_file_name("wsmaster.pid.control")).expect("ours");
    first.cli(&start).expect_code(0);
    assert_ne!(fs::read_to_string(&file).expect("it runs"), text);
    first.signal(support::Signal::Term);
    assert_eq!(first.wait_exit(), 0);
    ask("status", &file).expect_code(0);
    ask("reload", &file).expect_code(0);
    ask("stop", &file).expect_code(0);
    assert!(!file.exists());
}

#[test]
fn whoever_looks_does_not_stand_in_the_way_of_a_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.pid");
    for _ in 0..10 {
        fs::write(&file, "1\n").expect("ours");
        // Several `status` at once, all of which find a file that nobody holds.
        let looks: Vec<_> = (0..4)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || {
                    (0..5).map(|_| ask("status", &file).code).collect::<Vec<_>>()
                })
            })
            .collect();
        start_and_stop(&file);
        for look in looks {
            let codes = look.join().expect("no panic");
            assert!(codes.iter().all(|code| matches!(code, 0 | 1 | 3)), "{codes:?}");
        }
    }
}

#[test]
fn a_master_that_was_killed_is_not_in_the_way() {
    let server = Server::start(Setup::default());
    assert!(send(server.pid(), "KILL"));
    eventually("the end of all", PATIENCE, || server.living().is_empty().then_some(()));
    assert!(server.pid_file().exists());
    assert!(server.directory().join("wsmaster.pid.control").exists());
    for command in ["status", "reload", "stop"] {
        ask(command, &server.pid_file()).expect_code(3);
    }
    start_and_stop(&server.pid_file());
    assert!(!server.directory().join("wsmaster.pid.control").exists());
}
