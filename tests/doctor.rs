//! `wsmaster doctor` on this machine: it finds what is there to be found, changes nothing, and says so also to programs.

mod support;

#[path = "support/authority.rs"]
mod authority;
#[path = "doctor/certificates.rs"]
mod certificates;

use std::{collections::BTreeSet, fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;
use support::{Output, Server, Setup, run};

/// What is looked at whatever the machine and the configuration are.
const ALWAYS: [&str; 8] =
    ["configuration", "user", "pid directory", "descriptors", "cpus", "address", "kernel", "clock"];

/// Asks in a directory of a test's own, with a PID file there.
fn doctor(directory: &Path, args: &[&str]) -> Output {
    let pid_file = directory.join("run/w.pid").to_string_lossy().into_owned();
    let mut all = vec!["doctor", "--pid-file", &pid_file];
    all.extend(args);
    run(&all)
}

fn place() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The finding of this name.
#[track_caller]
fn finding(output: &Output, check: &str) -> Value {
    let findings = output.json()["findings"].as_array().expect("a list").clone();
    let found = findings.into_iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("{check} was not looked at: {output}"))
}

#[track_caller]
fn assert_problem(output: &Output, check: &str, words: &str) {
    let finding = finding(output, check);
    assert_eq!(finding["level"], "problem", "{finding}");
    assert!(finding.to_string().contains(words), "{words:?} is not in {finding}");
    assert!(finding["remedy"].is_string(), "{finding}");
    assert_eq!((output.code, &output.json()["ok"]), (1, &Value::from(false)), "{output}");
}

#[test]
fn a_free_port_and_a_new_directory_are_no_problem() {
    let place = place();
    let output = doctor(place.path(), &["--json", "--listen", "127.0.0.1:0"]).expect_code(0);
    assert_eq!(output.json()["ok"], true);
    let findings = output.json()["findings"].as_array().expect("a list").clone();
    let checks: BTreeSet<&str> =
        findings.iter().filter_map(|found| found["check"].as_str()).collect();
    assert_eq!(checks.len(), findings.len(), "each has a name of its own");
    for check in ALWAYS {
        assert!(checks.contains(check), "{check}: {output}");
    }
    for finding in &findings {
        let is_ok = finding["level"] == "ok";
        assert_eq!(finding["remedy"].is_null(), is_ok, "{finding}");
        assert!(finding["found"] != "" && finding["meaning"] != "", "{finding}");
    }
    assert_eq!(finding(&output, "pid directory")["meaning"], "is made at the start");
    assert_eq!(fs::read_dir(place.path()).expect("ours").count(), 0, "it makes nothing");
}

#[test]
fn people_read_a_page_without_colours_in_a_pipe() {
    let place = place();
    let output = doctor(place.path(), &["--listen", "127.0.0.1:0"]).expect_code(0);
    assert!(!output.stdout.contains('\u{1b}'));
    assert!(output.stdout.lines().last().is_some_and(|line| line.ends_with("problems: 0")));
    let kernel = output.stdout.lines().find(|line| line.contains("  kernel"));
    assert!(kernel.is_some_and(|line| line.starts_with("ok       kernel")), "{output}");
}

#[test]
fn believing_every_client_is_warned_of() {
    let place = place();
    let file = place.path().join("w.toml");
    fs::write(&file, "[server]\ntrusted_proxies = \"0.0.0.0/0\"\n").expect("ours");
    let file = file.to_string_lossy().into_owned();
    let arguments = ["--json", "-c", &file, "--listen", "127.0.0.1:0"];
    let output = doctor(place.path(), &arguments).expect_code(0);
    let finding = finding(&output, "proxies");
    assert_eq!(finding["level"], "warning", "{finding}");
    assert!(finding["meaning"].as_str().is_some_and(|text| text.contains("everybody is believed")));
}

#[test]
fn a_wrong_configuration_is_a_problem_and_the_rest_is_looked_at_all_the_same() {
    let place = place();
    let file = place.path().join("w.toml");
    fs::write(&file, "[server]\nport = 70000\nnice = 99\n").expect("ours");
    let output = doctor(place.path(), &["--json", "-c", &file.to_string_lossy()]);
    assert_problem(&output, "configuration", "server.port: expected an integer");
    assert!(finding(&output, "configuration")["found"].to_string().contains("and 1 more"));
    assert_eq!(finding(&output, "kernel")["level"], "ok");
}

#[test]
fn an_address_is_free_or_ours_or_somebody_elses() {
    let place = place();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    let output = doctor(place.path(), &["--json", "--listen", &address]);
    assert_problem(&output, "address", "another program uses it");
    let output = doctor(place.path(), &["--json", "--listen", "192.0.2.1:9501"]);
    assert_problem(&output, "address", "cannot be listened on");

    let server = Server::start(Setup::default());
    let address = server.addr().to_string();
    let output = server.cli(&["doctor", "--json", "--listen", &address]).expect_code(0);
    let meaning = finding(&output, "address")["meaning"].to_string();
    assert!(meaning.contains(&format!("running server (pid {})", server.pid())), "{meaning}");
    // With another PID file it is somebody else's.
    let output = doctor(place.path(), &["--json", "--listen", &address]);
    assert_problem(&output, "address", "another program uses it");
}

#[test]
fn every_listener_is_looked_at() {
    let place = place();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address");
    let file = place.path().join("w.toml");
    let text = format!(
        "[server]\nport = 0\n[[listener]]\nname = \"two\"\naddress = \"{address}\"\n\
         [[listener]]\nname = \"three\"\naddress = \"unix:/nonexistent/w.sock\"\n"
    );
    fs::write(&file, text).expect("ours");
    let output = doctor(place.path(), &["--json", "-c", &file.to_string_lossy()]);
    let json = output.json();
    let findings = json["findings"].as_array().expect("a list");
    let of =
        |check: &str| findings.iter().filter(|found| found["check"] == check).collect::<Vec<_>>();
    let addresses: Vec<&Value> = of("address").iter().map(|found| &found["level"]).collect();
    assert_eq!(addresses, ["ok", "problem"], "{output}");
    assert_eq!(of("address")[1]["found"], address.to_string());
    assert_problem(&output, "socket directory", "/nonexistent");
}

#[test]
fn users_and_directories_that_are_not_there() {
    let place = place();
    let base = ["--json", "--listen", "127.0.0.1:0"];
    let with = |more: &[&str]| doctor(place.path(), &[&base[..], more].concat());
    assert_problem(&with(&["--user", "nobody-of-this-name"]), "user", "nobody-of-this-name");
    assert_problem(&with(&["--log-file", "/nonexistent/w.log"]), "log directory", "mkdir -p");
    assert_problem(&with(&["--log-file", "/etc/passwd/w.log"]), "log directory", "is not");
    let open = place.path().join("open");
    fs::create_dir(&open).expect("ours");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("ours");
    let log = open.join("w.log").to_string_lossy().into_owned();
    let output = with(&["--log-file", &log]).expect_code(0);
    assert_eq!(finding(&output, "log directory")["level"], "warning");
}

#[test]
fn more_than_the_limit_of_descriptors_is_told() {
    let place = place();
    let file = place.path().join("w.toml");
    fs::write(&file, "[server]\nworkers = 1\n[limits]\nconnections_max = 10000000\n")
        .expect("ours");
    let output = doctor(place.path(), &["--json", "-c", &file.to_string_lossy()]);
    let finding = finding(&output, "descriptors");
    // A machine whose hard limit is higher than that is not known.
    assert_eq!(finding["level"], "warning", "{finding}");
    assert!(finding["remedy"].to_string().contains("LimitNOFILE="), "{finding}");
}
