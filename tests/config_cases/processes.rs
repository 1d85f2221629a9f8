//! `[[process]]`: what is read from it, what is shown of it, and how many there may be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use wsmaster::config::{
    Config, INSTANCES_MAX, PROCESSES_MAX, ProcessConfig, Restart, default_toml,
};
use wsmaster::protocol::plugin::EventKind;

use super::{accepted, machine, refused};

/// With every key, in ways of writing that are not the shortest.
pub(super) const EVERYTHING: &str = r#"
[[process]]
name = "queue-1_a"
command = "php"
args = ["queue.php", "", "--level=2",
  'C:\"quoted"', "end\n[server]\t\\ \"", "é\u0085\u202e\u001b[0m"]
env = { DATABASE = "hunter2-one", "npm.config-x" = "", _ = "hunter2 = \"two\"" }
cwd = "/srv/queue/"
user = "www-data"
restart = "on_failure"
stop_timeout = "1500ms"
events = ["reload_end", "open", "message", "close", "worker_start", "worker_stop", "worker_error",
  "reload_start"]
instances = 64
tick = "10ms"
stdio = true
queue_bytes_max = "1GiB"
answer_timeout = "2m"
watchdog = "1m"

[server]
port = 9600

[[process]]
command = "./mail"
name = "mail"
tick = 0
restart = "never"
[process.env]
PATH = "/bin"
"#;

/// All defaults but what has none.
fn smallest() -> ProcessConfig {
    ProcessConfig {
        name: "queue".to_owned(),
        command: PathBuf::from("/usr/local/bin/queue"),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
        restart: Restart::Always,
        stop_timeout: Duration::from_secs(5),
        events: Vec::new(),
        instances: 1,
        tick: None,
        stdio: false,
        queue_bytes_max: 4 << 20,
        answer_timeout: Duration::from_secs(10),
        watchdog: None,
    }
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn variables<const N: usize>(variables: [(&str, &str); N]) -> BTreeMap<String, String> {
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn there_are_none_by_default() {
    assert_eq!(Config::defaults(&machine()).processes, []);
    assert_eq!(accepted("process = []").processes, []);
    assert!(!Config::defaults(&machine()).show().contains("process"));
}

#[test]
fn everything_is_read() {
    let config = accepted(EVERYTHING);
    let queue = ProcessConfig {
        name: "queue-1_a".to_owned(),
        command: PathBuf::from("php"),
        args: texts([
            "queue.php",
            "",
            "--level=2",
            "C:\\\"quoted\"",
            "end\n[server]\t\\ \"",
            "é\u{85}\u{202e}\u{1b}[0m",
        ]),
        env: variables([
            ("DATABASE", "hunter2-one"),
            ("npm.config-x", ""),
            ("_", "hunter2 = \"two\""),
        ]),
        cwd: Some(PathBuf::from("/srv/queue/")),
        user: Some("www-data".to_owned()),
        restart: Restart::OnFailure,
        stop_timeout: Duration::from_millis(1_500),
        events: vec![
            EventKind::ReloadEnd,
            EventKind::Open,
            EventKind::Message,
            EventKind::Close,
            EventKind::WorkerStart,
            EventKind::WorkerStop,
            EventKind::WorkerError,
            EventKind::ReloadStart,
        ],
        instances: 64,
        tick: Some(Duration::from_millis(10)),
        stdio: true,
        queue_bytes_max: 1 << 30,
        answer_timeout: Duration::from_secs(120),
        watchdog: Some(Duration::from_secs(60)),
    };
    let mail = ProcessConfig {
        name: "mail".to_owned(),
        command: PathBuf::from("./mail"),
        env: variables([("PATH", "/bin")]),
        restart: Restart::Never,
        ..smallest()
    };
    assert_eq!(config.processes, [queue, mail]);
    assert_eq!(config.server.port, 9600);
}

#[test]
fn all_ways_to_write_one_are_the_same() {
    for text in [
        "[[process]]\nname = \"queue\"\ncommand = \"/usr/local/bin/queue\"",
        "process = [{ name = \"queue\", command = \"/usr/local/bin/queue\" }]",
        "[[process]]\nname = \"queue\"\ncommand = \"/usr/local/bin/queue\"\ncwd = \"\"\n\
         user = \"\"\nargs = []\nenv = {}\nevents = []\ntick = \"0ms\"\nstop_timeout = 5\n\
         queue_bytes_max = 4194304\n[limits]",
    ] {
        assert_eq!(accepted(text).processes, [smallest()], "{text}");
    }
    for (word, restart) in [
        ("always", Restart::Always),
        ("on-failure", Restart::OnFailure),
        ("on_failure", Restart::OnFailure),
        ("never", Restart::Never),
    ] {
        let text = format!("[[process]]\nname = \"a\"\ncommand = \"b\"\nrestart = \"{word}\"");
        assert_eq!(accepted(&text).processes[0].restart, restart, "{word}");
    }
}

#[test]
fn the_example_of_the_default_file_is_good_and_complete() {
    // What has no blank behind its # is put into force; explanations stay comments.
    let text: String = default_toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let config = accepted(&text);
    assert_eq!(config.processes, [smallest()]);
    let shown = config.show();
    let (_, shown) = shown.split_once("[[process]]\n").expect("the process");
    let (process, route) = shown.split_once("\n[[route]]\n").expect("the route");
    let lines = process.lines().map(|line| ("process", line));
    for (table, line) in lines.chain(route.lines().map(|line| ("route", line))) {
        let key = line.split(" = ").next().expect("a line has a start");
        assert!(text.contains(&format!("\n{key} = ")), "{key} is missing");
        let path = format!("{table}[0].{key}");
        let origin = config.origin(&path).expect(&path);
        assert!(origin.to_string().starts_with("wsmaster.toml:"), "{path}: {origin}");
    }
}

#[test]
fn what_is_shown_reads_back_except_for_the_environment() {
    let config = accepted(EVERYTHING);
    let shown = config.show();
    for line in [
        "name = \"queue-1_a\"                       # wsmaster.toml:3",
        "# env sets DATABASE, _, npm.config-x (values not shown) # wsmaster.toml:7",
        "restart = \"on-failure\"                   # wsmaster.toml:10",
        "tick = \"0s\"                              # wsmaster.toml:27",
        "stop_timeout = \"5s\"                      # default",
        "# env sets PATH (values not shown)       # wsmaster.toml:29",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n is not in\n{shown}");
    }
    assert!(shown.lines().all(|line| !line.contains(|c: char| c.is_control() || c == '\u{202e}')));
    assert_eq!(shown.matches("\n[server]").count(), 1, "{shown}");
    let mut processes = config.processes;
    processes.iter_mut().for_each(|process| process.env.clear());
    let again = accepted(&shown);
    assert_eq!(again.processes, processes);
    assert_eq!(again.server, config.server);
    // Once more, it is the same text but for the places.
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(" = "));
        lines.map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned()).collect()
    };
    let shown: Vec<_> = values(&shown);
    let shown_again: Vec<_> =
        values(&again.show()).into_iter().filter(|line| line != "env = {}").collect();
    assert_eq!(shown_again, shown);
}

#[test]
fn origins_are_known_by_path() {
    let config = accepted(EVERYTHING);
    for (path, origin) in [
        ("process[0].name", Some("wsmaster.toml:3")),
        ("process[0].events", Some("wsmaster.toml:12")),
        ("process[1].name", Some("wsmaster.toml:26")),
        ("process[1].user", Some("default")),
        ("process[2].name", None),
        ("process[0].nothing", None),
        ("process[-1].name", None),
        ("process.name", None),
    ] {
        assert_eq!(config.origin(path).map(ToString::to_string).as_deref(), origin, "{path}");
    }
}

#[test]
fn the_environment_is_in_no_text_about_the_configuration() {
    let config = accepted(EVERYTHING);
    let broken = EVERYTHING.replace("\"\", _", "5, _").replace("stdio = true", "stdio = 1");
    for text in [config.show(), format!("{config:?}"), format!("{config:#?}"), refused(&broken)] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(format!("{config:?}").contains("DATABASE"));
}

#[test]
fn processes_and_instances_are_bounded() {
    let processes = |count: usize, more: &str| -> String {
        let one = |number| format!("[[process]]\nname = \"p{number}\"\ncommand = \"p\"\n{more}");
        (0..count).map(one).collect()
    };
    let config = accepted(&processes(PROCESSES_MAX, "instances = 4\n"));
    assert_eq!(config.processes.len(), PROCESSES_MAX);
    let instances: usize = config.processes.iter().map(|each| usize::from(each.instances)).sum();
    assert_eq!(instances, INSTANCES_MAX);
    let answer = "wsmaster.toml:193:1: process[64]: expected at most 64 processes, found";
    for count in [PROCESSES_MAX + 1, 9_000] {
        assert_eq!(refused(&processes(count, "")), format!("{answer} {count}"));
    }
    let inline = (0..9_000).map(|number| format!("{{ name = \"p{number}\", command = \"p\" }},"));
    let answer = refused(&format!("process = [{}]", inline.collect::<String>()));
    assert!(answer.ends_with("process[64]: expected at most 64 processes, found 9000"), "{answer}");
}

#[test]
fn no_variable_sets_a_process() {
    for name in ["WSMASTER_PROCESS_NAME", "WSMASTER_PROCESS_0_TICK", "WSMASTER_PROCESS"] {
        let env = super::env(&[(name, "x")]);
        let flags = wsmaster::config::Overrides::default();
        let found = Config::from_layers(None, &env, &flags, &machine());
        let answer = found.expect_err(name).to_string();
        assert!(answer.starts_with(&format!("environment: {name}: unknown variable")), "{answer}");
    }
}

#[test]
fn long_arrays_and_tables_are_answered_in_few_lines() {
    let count = 50_000;
    let head = "[[process]]\nname = \"a\"\ncommand = \"b\"\n";
    let numbered = |text: fn(usize) -> String| (0..count).map(text).collect::<String>();
    for text in [
        format!("{head}args = [{}]", "1,".repeat(count)),
        format!("{head}events = [{}]", "\"open\",".repeat(count)),
        format!("{head}{}", numbered(|number| format!("key{number} = 1\n"))),
        format!("{head}[process.env]\n{}", numbered(|number| format!("K{number} = 1\n"))),
        format!("{head}args = [\"{}\"]", "x".repeat(100_000)),
    ] {
        let answer = refused(&text);
        assert!(answer.lines().count() <= 101 && answer.len() < 100_000);
    }
}
