//! Attacks on the log file and its directory (attack 26: symbolic links, hard links, swaps), and
//! a disk without room.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    kernel::{Errand, is_root, send},
    read,
    support::{Client, Output, PATIENCE, Server, Setup, eventually, run},
};

#[track_caller]
fn reopen(server: &Server) -> Output {
    server.cli(&["logs", "reopen"])
}

#[test]
fn attack_26_a_log_that_was_swapped_for_a_link_stays_in_use() {
    let server = Server::start(Setup::default().arg("--log-file").arg("w.log"));
    let (file, moved) = (server.directory().join("w.log"), server.directory().join("w.log.1"));
    let elsewhere = server.directory().join("elsewhere");
    fs::rename(&file, &moved).expect("ours");
    symlink(&elsewhere, &file).expect("new");
    let output = reopen(&server).expect_code(1);
    assert!(output.stderr.contains("cannot be opened again"), "{output}");
    assert!(send(server.pid(), "RTMIN"));
    eventually("the second warning", PATIENCE, || {
        (read(&moved).matches("cannot be opened again").count() == 2).then_some(())
    });
    assert!(!elsewhere.exists(), "nothing is written through a link");
    server.reload().expect_code(0);
    assert!(read(&moved).contains("reload: workers replaced: 1"));
    // Without the link it goes on by itself.
    fs::remove_file(&file).expect("ours");
    reopen(&server).expect_code(0);
    server.reload().expect_code(0);
    assert!(read(&file).contains("reload: workers replaced: 1"));
}

#[test]
fn attack_26_a_directory_that_was_swapped_for_a_link_is_not_followed() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("logs")).expect("new");
    fs::create_dir(at("elsewhere")).expect("new");
    // A link that was there at the start is the operator's, and good.
    symlink(at("logs"), at("link")).expect("new");
    let log = at("link").join("w.log").to_string_lossy().into_owned();
    let server = Server::start(Setup::default().arg("--log-file").arg(log));
    fs::rename(at("logs"), at("moved")).expect("ours");
    symlink(at("elsewhere"), at("logs")).expect("new");
    reopen(&server).expect_code(1);
    assert_eq!(fs::read_dir(at("elsewhere")).expect("it is there").count(), 0);
    Client::connect(&server).expect_alive();
    server.reload().expect_code(0);
    assert!(read(&at("moved").join("w.log")).contains("workers replaced: 1"));
    fs::remove_file(at("logs")).expect("ours");
    fs::create_dir(at("logs")).expect("new");
    reopen(&server).expect_code(0);
    server.reload().expect_code(0);
    assert!(read(&at("logs").join("w.log")).contains("workers replaced: 1"));
}

#[test]
fn attack_26_root_does_not_append_to_a_file_with_a_second_name() {
    if !is_root() {
        eprintln!("skipped: it is about root");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (precious, log) = (directory.path().join("precious"), directory.path().join("w.log"));
    fs::write(&precious, "precious").expect("ours");
    fs::hard_link(&precious, &log).expect("new");
    let log = log.to_string_lossy().into_owned();
    let output = Setup::default().arg("--log-file").arg(log).start_refused().expect_code(1);
    assert!(output.stderr.contains("second name"), "{output}");
    assert_eq!(read(&precious), "precious");
}

#[test]
fn a_server_without_a_log_file_says_so() {
    let server = Server::start(Setup::default());
    let output = reopen(&server).expect_code(1);
    assert!(output.stderr.contains("server.log_file is not set"), "{output}");
    drop(server);
    run(&["logs", "reopen", "--pid-file", "/nonexistent/w.pid"]).expect_code(3);
}

#[test]
fn a_file_that_may_grow_no_more_costs_lines_and_programs_know_nothing_of_it() {
    const LIMIT: usize = 4 << 20;
    // SIGXFSZ as proc(5) shows it.
    const FILE_SIZE_BIT: u64 = 1 << (25 - 1);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("w.log");
    fs::write(&log, "x\n".repeat(LIMIT / 2 - 500)).expect("ours");
    let program = "[[process]]\nname = \"looker\"\ncommand = \"bash\"\nargs = [\"-c\", \"\"\"\n\
                   grep SigIgn /proc/self/status > signals\n\
                   echo '{\"do\":\"ready\"}' >&4; cat <&3 >/dev/null\"\"\"]\n";
    let server = Server::start(
        Setup::default()
            .workers(2)
            .through(&["prlimit", &format!("--fsize={LIMIT}")])
            .config_toml(program)
            .arg("--log-file")
            .arg(log.to_string_lossy()),
    );
    eventually("the file to be full", PATIENCE, || {
        server.reload().expect_code(0);
        (server.status()["log"]["lines_lost"].as_u64() > Some(0)).then_some(())
    });
    server.reload().expect_code(0);
    Client::connect(&server).expect_alive();
    assert!(fs::metadata(&log).expect("it is there").len() <= LIMIT as u64);
    let signals = read(&server.directory().join("signals"));
    let ignored = signals.split_whitespace().nth(1).expect("a mask");
    let ignored = u64::from_str_radix(ignored, 16).expect("a number");
    assert_eq!(ignored & FILE_SIZE_BIT, 0, "{signals}");
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
}

/// A server whose log is on a disk of 64 KiB, in a mount namespace of its own that ends with it.
struct OnSmallDisk {
    errand: Errand,
}

impl OnSmallDisk {
    const SCRIPT: &str = "mkdir disk && mount -t tmpfs -o size=64k small disk && exec \"$@\"";

    fn start() -> Option<Self> {
        let can = Command::new("unshare").args(["-m", "true"]).output();
        if !is_root() || !can.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: a small disk is not possible here");
            return None;
        }
        let errand = Errand::start(|_| {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", Self::SCRIPT, "sh", env!("CARGO_BIN_EXE_wsmaster")]);
            command.args(["start", "-w", "2", "--listen", "127.0.0.1:0", "--pid-file", "w.pid"]);
            command.args(["--log-file", "disk/w.log"]);
            command
        });
        let server = Self { errand };
        eventually("the banner", PATIENCE, || {
            server.errand.stdout().contains("listening").then_some(())
        });
        Some(server)
    }

    /// A file of the disk, as the server sees it.
    fn at(&self, name: &str) -> PathBuf {
        let disk = self.errand.directory().join("disk");
        let root = Path::new("/proc").join(self.errand.pid().to_string()).join("root");
        root.join(disk.strip_prefix("/").expect("it is absolute")).join(name)
    }

    #[track_caller]
    fn cli(&self, command: &str) -> Output {
        let file = self.errand.directory().join("w.pid").to_string_lossy().into_owned();
        run(&[command, "--pid-file", &file])
    }

    #[track_caller]
    fn lines_lost(&self) -> u64 {
        let file = self.errand.directory().join("w.pid").to_string_lossy().into_owned();
        let status = run(&["status", "--json", "--pid-file", &file]).expect_code(0).json();
        status["log"]["lines_lost"].as_u64().expect("a number")
    }
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let Some(server) = OnSmallDisk::start() else { return };
    assert_eq!(server.lines_lost(), 0);
    // Only whole pages count on such a disk: what is left of the log's own page is filled too.
    let _ = fs::write(server.at("filler"), vec![0; 1 << 20]);
    eventually("lines to be lost", PATIENCE, || {
        server.cli("reload").expect_code(0);
        (server.lines_lost() > 0).then_some(())
    });
    server.cli("reload").expect_code(0);
    let lost = server.lines_lost();
    fs::remove_file(server.at("filler")).expect("ours");
    server.cli("reload").expect_code(0);
    server.cli("reload").expect_code(0);
    let log = read(&server.at("w.log"));
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("lines lost by the log")).collect();
    assert_eq!(told.len(), 1, "the master has lost lines, and says so once:\n{log}");
    assert!(told[0].contains(&format!("lost by the log: {lost} (")), "{lost}: {told:?}");
    assert_eq!(server.lines_lost(), lost);
    assert!(
        log.ends_with('\n')
            && log.lines().filter(|line| line.contains("workers replaced")).count() > 1
    );
    server.cli("stop").expect_code(0);
}
