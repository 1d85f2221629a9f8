//! What only root can do: a server whose workers are somebody else, and one that is the first process of a container.
//! Without root these tests say so and do nothing.

mod support;

#[path = "support/kernel.rs"]
mod kernel;

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    process::Command,
    time::Duration,
};

use kernel::{Errand, is_root, links, send, status_line, status_numbers};
use support::{
    Client, Output, PATIENCE, Server, Setup, Signal, children_of, eventually, in_time, is_alive,
    run,
};

/// The number of user and group "nobody" here.
fn nobody() -> (u32, u32) {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = accounts.lines().find(|line| line.starts_with("nobody:"));
    let fields: Vec<&str> = account.expect("every system has one").split(':').collect();
    (fields[2].parse().expect("a number"), fields[3].parse().expect("a number"))
}

/// Whether the test can be made; says so when it cannot.
fn can(what: &str, is_possible: bool) -> bool {
    if !is_possible {
        eprintln!("skipped: {what} is not possible here");
    }
    is_possible
}

#[test]
fn attack_24_workers_give_up_root_for_good() {
    if !can("another user", is_root()) {
        return;
    }
    let (uid, gid) = nobody();
    let server = Server::start(Setup::default().workers(2).arg("--user").arg("nobody"));
    let killed = server.kill_worker(1, Signal::Kill);
    server.wait_replaced(1, killed);
    for pid in server.worker_pids() {
        // Real, effective, saved and that of the file system.
        assert_eq!(status_numbers(pid, "Uid"), [uid; 4]);
        assert_eq!(status_numbers(pid, "Gid"), [gid; 4]);
        let others: Vec<u32> =
            status_numbers(pid, "Groups").into_iter().filter(|group| *group != gid).collect();
        assert!(others.is_empty(), "supplementary groups {others:?}");
        let capabilities = status_line(pid, "CapEff");
        assert!(capabilities.chars().all(|digit| digit == '0'), "capabilities {capabilities}");
    }
    assert_eq!(status_numbers(server.pid(), "Uid"), [0; 4], "the master stays who it is");
    Client::connect(&server).expect_alive();
    server.reload().expect_code(0);
    Client::connect(&server).expect_alive();

    // A change of user makes the kernel forget that they die with the master: it has to be asked again.
    server.kill_worker(0, Signal::Stop);
    server.signal(Signal::Kill);
    let gone = in_time(Duration::from_secs(1), || server.living().is_empty().then_some(()));
    assert_eq!(gone, Some(()), "left: {:?}", server.living());
}

#[test]
fn a_group_alone_and_somebody_who_is_not_there() {
    if !can("another user", is_root()) {
        return;
    }
    let (_, gid) = nobody();
    let group = gid.to_string();
    let server =
        Server::start(Setup::default().arg("--user").arg("nobody").arg("--group").arg("0"));
    assert_eq!(status_numbers(server.worker_pid(0), "Gid"), [0; 4]);
    assert_ne!(status_numbers(server.worker_pid(0), "Uid"), [0; 4]);
    drop(server);
    let server = Server::start(Setup::default().arg("--group").arg(&group));
    assert_eq!(status_numbers(server.worker_pid(0), "Gid"), [gid; 4]);
    drop(server);
    for flag in ["--user", "--group"] {
        let output = Setup::default().arg(flag).arg("nobody-of-this-name").start_refused();
        assert!(output.stderr.contains("nobody-of-this-name"), "{output}");
        output.expect_code(1);
    }
}

#[test]
fn attack_26_workers_of_another_user_are_given_the_log_and_cannot_name_it() {
    if !can("another user", is_root()) {
        return;
    }
    // A directory that only root may enter.
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("w.log");
    let path = file.to_string_lossy().into_owned();
    let setup = Setup::default().workers(2).arg("--user").arg("nobody").arg("--log-file");
    let server = Server::start(setup.arg(&path));
    let have = |name: &str| {
        let has = |pid: &u32| links(*pid).iter().any(|(_, link)| link == name);
        server.living().iter().all(has)
    };
    assert!(have(&path));
    assert_eq!(fs::metadata(&file).expect("it is there").uid(), 0, "it is not theirs to replace");
    fs::rename(&file, directory.path().join("w.log.1")).expect("ours");
    server.cli(&["logs", "reopen"]).expect_code(0);
    assert!(have(&path));
    assert_eq!(fs::metadata(&file).expect("it is there").uid(), 0);
}

/// A server that is process 1 of a container: with process numbers and a /proc of its own.
struct Contained {
    errand: Errand,
    /// The number of the master outside.
    master: u32,
    addr: SocketAddr,
}

const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

impl Contained {
    fn is_possible() -> bool {
        let tried = Command::new("unshare").args(UNSHARE).arg("true").output();
        can("a container", tried.is_ok_and(|output| output.status.success()))
    }

    #[track_caller]
    fn start(directory: tempfile::TempDir) -> Self {
        let errand = Errand::start_in(directory, |_| {
            let mut command = Command::new("unshare");
            command.args(UNSHARE).arg(env!("CARGO_BIN_EXE_wsmaster"));
            command.args(["start", "-w", "2", "--listen", "127.0.0.1:0", "--pid-file", "w.pid"]);
            command
        });
        let addr = eventually("the banner", PATIENCE, || {
            let banner = errand.stdout();
            let line = banner.lines().find(|line| line.trim_start().starts_with("listening"))?;
            line.split_once("http://")?.1.split_once('/')?.0.parse().ok()
        });
        let children = children_of(errand.pid());
        let [master] = children[..] else { panic!("the children of unshare: {children:?}") };
        Self { errand, master, addr }
    }

    /// What stands in its PID file.
    fn said_pid(&self) -> String {
        fs::read_to_string(self.errand.directory().join("w.pid")).unwrap_or_default()
    }

    /// A command inside the container.
    #[track_caller]
    fn inside(&self, command: &str) -> Output {
        let output = Command::new("nsenter")
            .args(["-t", &self.master.to_string(), "-p", "-m", env!("CARGO_BIN_EXE_wsmaster")])
            .args([command, "--pid-file"])
            .arg(self.errand.directory().join("w.pid"))
            .output()
            .expect("nsenter(1)");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// A command outside, about the same PID file.
    #[track_caller]
    fn outside(&self, command: &str) -> Output {
        run(&[command, "--pid-file", &self.errand.directory().join("w.pid").to_string_lossy()])
    }
}

#[test]
fn the_first_process_of_a_container() {
    if !can("a container", is_root()) || !Contained::is_possible() {
        return;
    }
    let mut server = Contained::start(tempfile::tempdir().expect("a directory"));
    assert_eq!(server.said_pid(), "1\n");
    Client::open(server.addr, "/").close();
    server.inside("status").expect_code(0);
    server.inside("reload").expect_code(0);

    // Outside, the number means the machine's first process: nobody believes it.
    for command in ["stop", "reload", "status"] {
        let output = server.outside(command).expect_code(1);
        assert!(output.stderr.contains("not by the process that it names"), "{output}");
    }
    Client::open(server.addr, "/").close();

    // Orphans of others come to the first process, which buries them.
    let orphan = Command::new("nsenter")
        .args(["-t", &server.master.to_string(), "-p", "-m", "sh", "-c", "sleep 0.1 & exit 0"])
        .status();
    assert!(orphan.expect("nsenter(1)").success());
    eventually("the orphan to be buried", PATIENCE, || {
        (zombies(server.master) == 0 && children_of(server.master).len() == 2).then_some(())
    });

    assert!(send(server.master, "TERM"));
    let code = eventually("the end", PATIENCE, || server.errand.ended());
    assert_eq!(code, 0, "{}", server.errand.stderr());
    assert!(!server.errand.directory().join("w.pid").exists());
    let refused = TcpStream::connect(server.addr).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
}

#[test]
fn a_container_that_was_killed_starts_again_with_what_it_left() {
    if !can("a container", is_root()) || !Contained::is_possible() {
        return;
    }
    let server = Contained::start(tempfile::tempdir().expect("a directory"));
    let workers = children_of(server.master);
    assert!(send(server.master, "KILL"));
    eventually("the end of all", PATIENCE, || {
        workers.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    TcpListener::bind(server.addr).expect("the port is free");
    assert_eq!(server.said_pid(), "1\n", "left behind");
    // In the new container, process 1 is alive, and it is the very server that starts.
    let mut server = Contained::start(server.errand.into_directory());
    assert_eq!(server.said_pid(), "1\n");
    server.inside("status").expect_code(0);
    // What stops it from inside waits for its end, with which it ends itself.
    server.inside("stop");
    assert_eq!(eventually("the end", PATIENCE, || server.errand.ended()), 0);
    assert!(!server.errand.directory().join("w.pid").exists());
}

/// Dead children that their parent has not buried.
fn zombies(parent: u32) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        status_numbers(*pid, "PPid") == [parent] && status_line(*pid, "State").starts_with('Z')
    })
    .count()
}
