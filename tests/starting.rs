//! What a start says of what it finds: variables that are no settings, secrets that all can read, a clock that cannot be right.

mod support;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    process::{Command, Stdio},
};

use support::{PATIENCE, Server, Setup, Signal, eventually, run, signal};

#[test]
fn what_kubernetes_sets_for_a_service_of_this_name_is_no_setting() {
    let mut setup = Setup::default();
    for prefix in ["WSMASTER", "WSMASTER_SERVER", "WSMASTER_API"] {
        for (name, value) in [
            ("SERVICE_HOST", "10.3.0.7"),
            ("SERVICE_PORT", "9501"),
            ("SERVICE_PORT_HTTP", "9501"),
            ("PORT", "tcp://10.3.0.7:9501"),
            ("PORT_9501_TCP", "tcp://10.3.0.7:9501"),
            ("PORT_9501_TCP_PROTO", "tcp"),
            ("PORT_9501_TCP_PORT", "9501"),
            ("PORT_9501_TCP_ADDR", "10.3.0.7"),
        ] {
            setup = setup.env(&format!("{prefix}_{name}"), value);
        }
    }
    let server = Server::start(setup.clone());
    server.wait_log("of a Kubernetes service and set nothing here: WSMASTER_");
    server.reload().expect_code(0);
    drop(server);

    // A typing error beside them is told as ever.
    for (name, value, part) in [
        ("WSMASTER_SERVER_PROT", "9600", "did you mean WSMASTER_SERVER_PORT?"),
        ("WSMASTER_HOST", "tcp://10.3.0.7:9501", "unknown variable"),
    ] {
        let output = setup.clone().env(name, value).start_refused().expect_code(2);
        assert!(output.stderr.contains(part), "{output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    }
    let output = Setup::default().env("WSMASTER_SERVICE_PORT", "9600").start_refused();
    assert!(output.expect_code(2).stderr.contains("WSMASTER_SERVICE_PORT"));
}

#[test]
fn secrets_that_everybody_can_read_are_told_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.toml");
    let program = "[[process]]\nname = \"p\"\ncommand = \"cat\"\n";
    for (text, mode, told) in [
        ("[api]\nkey = \"0123456789abcdef\"\n".to_owned(), 0o644, Some("api.key")),
        ("[api]\nkey = \"0123456789abcdef\"\n".to_owned(), 0o640, None),
        ("[server]\nworkers = 1\n".to_owned(), 0o644, None),
        (
            format!("{program}env = {{ DB_PASSWORD = \"x\", LANG = \"C\" }}\n"),
            0o644,
            Some("process[0].env.DB_PASSWORD in "),
        ),
    ] {
        fs::write(&file, &text).expect("ours");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
        let path = file.to_string_lossy().into_owned();
        let pid_file = directory.path().join("w.pid").to_string_lossy().into_owned();
        let words = ["-c", &path, "--pid-file", &pid_file, "--listen", "127.0.0.1:0"];
        let output = run(&[&["doctor", "--json"], &words[..]].concat());
        let findings = output.json()["findings"].clone();
        let findings = findings.as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["check"] == "secrets");
        assert_eq!(found.is_some(), told.is_some(), "{text}{output}");
        if text.contains(program) {
            // That program is none of ours, and would not come up.
            continue;
        }
        let log_file = directory.path().join("w.log").to_string_lossy().into_owned();
        let start = ["start", "-d", "--log-file", &log_file];
        run(&[&start, &words[..]].concat()).expect_code(0);
        run(&["stop", "--pid-file", &pid_file]).expect_code(0);
        let log = fs::read_to_string(&log_file).expect("it has logged");
        fs::remove_file(&log_file).expect("ours");
        let line = log.lines().find(|line| line.contains("everybody on this machine can read"));
        assert_eq!(line.is_some(), told.is_some(), "{log}");
        assert!(line.is_none_or(|line| line.contains(told.unwrap_or_default())), "{log}");
        assert!(!log.contains("0123456789abcdef"), "{log}");
    }
}

/// As on a board without a battery, whose program is younger than its clock.
#[test]
fn a_clock_behind_the_program_is_told_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("wsmaster");
    // Other programs write it: a child that another test forks here meanwhile would have it open for writing until it executes
    // its own program, and what anybody has open so cannot be executed (ETXTBSY).
    let written =
        |command: &mut Command| command.arg(&program).status().is_ok_and(|it| it.success());
    assert!(written(Command::new("cp").arg(env!("CARGO_BIN_EXE_wsmaster"))));
    assert!(written(Command::new("touch").args(["-m", "-d", "tomorrow"])));
    let mut child = Command::new(&program)
        .args(["start", "-w", "1", "--listen", "127.0.0.1:0", "--pid-file", "w.pid"])
        .args(["--log-file", "w.log"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a copy");
    eventually("the warning", PATIENCE, || {
        let log = fs::read_to_string(directory.path().join("w.log")).ok()?;
        (log.contains("the clock stands before the time at which this program was installed")
            && log.contains("all workers serve"))
        .then_some(())
    });
    assert!(signal(child.id(), Signal::Term));
    assert_eq!(child.wait().expect("ours").code(), Some(0));
}

#[test]
fn a_directory_that_was_deleted_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    for name in ["log", "run", "here"] {
        fs::create_dir(path(name)).expect("ours");
    }
    let pid_file = path("run/w.pid");
    let log_file = path("log/w.log");
    let start = ["start", "-d", "--listen", "127.0.0.1:0", "--pid-file", &pid_file];
    run(&[&start[..], &["--log-file", &log_file]].concat()).expect_code(0);
    fs::remove_dir_all(path("log")).expect("ours");
    let output = run(&["logs", "reopen", "--pid-file", &pid_file]).expect_code(1);
    let missing = |name: &str| format!("there is no directory {}", path(name));
    assert!(output.stderr.contains(&missing("log")), "{output}");
    run(&["stop", "--pid-file", &pid_file]).expect_code(0);
    let output = run(&[&start[..], &["--log-file", &log_file]].concat()).expect_code(1);
    assert!(output.stderr.contains(&missing("log")), "{output}");
    fs::remove_dir_all(path("run")).expect("ours");
    let output = run(&["status", "--pid-file", &pid_file]).expect_code(3);
    assert!(output.stderr.contains(&missing("run")), "{output}");

    let script = format!(
        "cd {} && rmdir ../here && exec {} start --listen 127.0.0.1:0 --pid-file w.pid",
        path("here"),
        env!("CARGO_BIN_EXE_wsmaster")
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh(1)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the working directory was deleted"), "{stderr}");
}

#[test]
fn a_directory_whose_name_is_not_utf_8_is_one_like_others() {
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().join(OsStr::from_bytes(b"a\xffb"));
    fs::create_dir(&directory).expect("ours");
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsmaster"));
        command.args(words.split(' ')).args(["--pid-file", "w.pid"]).current_dir(&directory);
        let output = command.output().expect("it is there");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    };
    run("start -d --listen 127.0.0.1:0 --log-file w.log");
    let status: serde_json::Value = serde_json::from_str(&run("status --json")).expect("JSON");
    let file = status["log"]["file"].as_str().expect("a path");
    assert!(file.ends_with("a\u{fffd}b/w.log"), "{file}");
    run("reload");
    run("stop");
}
