//! What the processes of a server are put into, as the kernel shows it: the mask of their files, their root, their
//! descriptors, CPUs and rank, their users and capabilities. And what is said when it is not permitted.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "surroundings/privileges.rs"]
mod privileges;

use std::{fs, path::Path};

use kernel::{is_root, stat_field, status_line};
use support::{Client, Output, PATIENCE, Server, Setup, Signal, children_of, eventually};

/// A program that is ready and waits.
const PROGRAM: &str = r#"
[[process]]
name = "p"
command = "bash"
args = ["-c", '''read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4; exec sleep 1000''']
"#;

/// The server of a configuration, with two workers and [`PROGRAM`].
fn server(settings: &str) -> Server {
    let config = format!("[server]\n{settings}\n{PROGRAM}");
    Server::start(Setup::default().workers(2).config_toml(&config))
}

/// The host of the program, and the program.
#[track_caller]
fn side(server: &Server) -> [u32; 2] {
    let status = server.wait_until("the program to be ready", PATIENCE, |status| {
        status["processes"][0]["state"] == "ready"
    });
    let host = status["processes"][0]["pid"].as_u64().expect("it lives") as u32;
    eventually("the program", PATIENCE, || Some([host, *children_of(host).first()?]))
}

/// Master, workers, host and program.
#[track_caller]
fn all(server: &Server) -> Vec<u32> {
    let mut all = vec![server.pid()];
    all.extend(server.worker_pids());
    all.extend(side(server));
    all
}

fn nice(pid: u32) -> i64 {
    stat_field(pid, 19)
}

fn read(pid: u32, entry: &str) -> String {
    let path = Path::new("/proc").join(pid.to_string()).join(entry);
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn descriptor_limits(pid: u32) -> Vec<String> {
    let limits = read(pid, "limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.unwrap_or_default().split_whitespace().take(2).map(str::to_owned).collect()
}

#[test]
fn the_mask_of_files_is_for_all() {
    let server = server("umask = \"027\"\nlog_file = \"w.log\"");
    for pid in all(&server) {
        assert_eq!(status_line(pid, "Umask"), "0027", "{pid}");
    }
}

#[test]
fn the_limit_of_descriptors_is_for_all() {
    let server = server("rlimit_nofile = 1000");
    for pid in all(&server) {
        assert_eq!(descriptor_limits(pid), ["1000", "1000"], "{pid}");
    }
    drop(server);
    let own = descriptor_limits(std::process::id());
    let server = self::server("");
    assert_eq!(descriptor_limits(server.worker_pid(0)), [own[1].clone(), own[1].clone()]);
}

#[test]
fn the_nice_value_is_for_workers_and_side_processes() {
    let server = server("nice = 7");
    let own = nice(std::process::id());
    assert_eq!(nice(server.pid()), own);
    let killed = server.kill_worker(1, Signal::Kill);
    server.wait_replaced(1, killed);
    for pid in server.worker_pids().into_iter().chain(side(&server)) {
        assert_eq!(nice(pid), 7, "{pid}");
    }
}

#[test]
fn each_worker_has_a_cpu_or_all_have_a_list() {
    let own = status_line(std::process::id(), "Cpus_allowed_list");
    let cpus = |pid: u32| status_line(pid, "Cpus_allowed_list");
    let server = server("cpu_affinity = \"auto\"");
    let workers = server.worker_pids();
    let [one, other] = [cpus(workers[0]), cpus(workers[1])];
    assert!(one.parse::<u16>().is_ok() && other.parse::<u16>().is_ok(), "{one} {other}");
    assert_eq!(one != other, own.contains(['-', ',']), "{own}: {one} {other}");
    for pid in side(&server).into_iter().chain([server.pid()]) {
        assert_eq!(cpus(pid), own, "{pid}");
    }
    drop(server);
    let server = self::server(&format!("cpu_affinity = \"{one}\""));
    for pid in server.worker_pids() {
        assert_eq!(cpus(pid), one);
    }
}

#[test]
fn the_master_goes_last_when_memory_runs_out() {
    let own: i32 = read(std::process::id(), "oom_score_adj").parse().expect("a number");
    let higher = (own + 200).min(1000);
    let server = server(&format!("oom_score_adj = {higher}"));
    let adj = |pid| read(pid, "oom_score_adj").parse::<i32>().expect("a number");
    assert_eq!(adj(server.pid()), own);
    for pid in server.worker_pids().into_iter().chain(side(&server)) {
        assert_eq!(adj(pid), higher, "{pid}");
    }
    drop(server);
    // CAP_SYS_RESOURCE (capabilities(7)).
    let capabilities = status_line(std::process::id(), "CapEff");
    if u64::from_str_radix(&capabilities, 16).unwrap_or(0) >> 24 & 1 == 0 || own < -700 {
        eprintln!("skipped: a lower value is not possible here");
        return;
    }
    let server = self::server("oom_score_adj = -800");
    assert_eq!(adj(server.pid()), -900, "below its children");
    for pid in server.worker_pids().into_iter().chain(side(&server)) {
        assert_eq!(adj(pid), -800, "{pid}");
    }
}

#[test]
fn workers_are_in_the_chroot_and_serve() {
    if !is_root() {
        eprintln!("skipped: a chroot needs root");
        return;
    }
    let jail = tempfile::tempdir().expect("a directory");
    let jail_path = fs::canonicalize(jail.path()).expect("it is there");
    let settings =
        format!("chroot = \"{}\"\nuser = \"nobody\"\nlog_file = \"w.log\"", jail_path.display());
    let server = server(&settings);
    let root = |pid: u32| fs::read_link(format!("/proc/{pid}/root")).expect("root may");
    let cwd = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).expect("root may");
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    for pid in server.worker_pids() {
        assert_eq!((root(pid), cwd(pid)), (jail_path.clone(), jail_path.clone()), "{pid}");
    }
    for pid in side(&server).into_iter().chain([server.pid()]) {
        assert_eq!(root(pid), Path::new("/"), "{pid}");
    }
    Client::connect(&server).expect_alive();
    server.reload().expect_code(0);
    fs::rename(server.directory().join("w.log"), server.directory().join("old")).expect("ours");
    server.cli(&["logs", "reopen"]).expect_code(0);
    Client::connect(&server).expect_alive();
    assert_eq!(fs::read_dir(jail.path()).expect("it is there").count(), 0);
}

#[test]
fn a_chroot_without_a_user_is_warned_of() {
    if !is_root() {
        eprintln!("skipped: a chroot needs root");
        return;
    }
    let setup = Setup::default().config_toml("[server]\nchroot = \"/\"\n");
    Server::start(setup).wait_log("server.chroot holds nobody who is root");
}

/// A start that is refused in one line, which names the setting and what to do.
#[track_caller]
fn refused(setup: Setup, setting: &str, words: &[&str]) -> Output {
    let output = setup.config_toml(&format!("[server]\n{setting}\n")).start_refused();
    let key = setting.split(" = ").next().expect("a key");
    let line = output.stderr.lines().find(|line| line.contains(&format!("server.{key}")));
    let line = line.unwrap_or_else(|| panic!("nothing about {key}: {output}"));
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
    output.expect_code(1)
}

#[test]
fn what_is_not_there_is_refused() {
    refused(Setup::default(), "cpu_affinity = \"1000-1001\"", &["CPU 1000-1001 is not there"]);
    refused(Setup::default(), "chroot = \"/nonexistent\"", &["/nonexistent", "name a directory"]);
    refused(Setup::default(), "chroot = \"/etc/passwd\"", &["name a directory"]);
    refused(Setup::default(), "rlimit_nofile = 1073741816", &["LimitNOFILE=", "fs.nr_open"]);
}

#[test]
fn what_is_not_permitted_is_refused() {
    if !is_root() {
        eprintln!("skipped: only root can give these capabilities up");
        return;
    }
    let setup = Setup::default()
        .through(&["setpriv", "--bounding-set=-sys_nice,-sys_resource,-sys_chroot"]);
    refused(setup.clone(), "nice = -5", &["server.nice = -5: Permission denied", "LimitNICE="]);
    refused(setup.clone(), "oom_score_adj = -500", &["Permission denied", "OOMScoreAdjust="]);
    refused(setup.clone(), "rlimit_nofile = 900000", &["not permitted", "it may have"]);
    refused(
        setup.clone(),
        "chroot = \"/tmp\"\nuser = \"nobody\"",
        &["/tmp: Operation not permitted"],
    );
    // And what is permitted to anybody is.
    let setup = setup.config_toml("[server]\nnice = 3\noom_score_adj = 900\nrlimit_nofile = 512\n");
    Client::connect(&Server::start(setup)).expect_alive();
}

#[test]
fn a_reload_says_that_they_are_for_the_next_start() {
    let server = Server::start(Setup::default().config_toml(""));
    let before = nice(server.worker_pid(0));
    server.rewrite_config("[server]\nnice = 17\numask = \"077\"\n");
    let output = server.reload().expect_code(0);
    for key in ["server.nice", "server.umask"] {
        assert!(output.stdout.contains(&format!("{key} has changed")), "{output}");
    }
    assert_eq!(nice(server.worker_pid(0)), before);
}
