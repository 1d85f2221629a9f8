//! What the unit of systemd allows is what the server and its programs need, and what the documentation says of it.

use std::fs;

use crate::support::{Server, Setup, run};

/// The settings of the unit that are in force, in their order.
fn settings() -> Vec<(String, String)> {
    let unit = fs::read_to_string("packaging/wsmaster.service").expect("the unit");
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn setting(name: &str) -> String {
    let mut settings = settings().into_iter();
    let found = settings.find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("{name} is not set")).1
}

/// Executes the server with memory that may be written to or executed, and never both (prctl(2), `PR_SET_MDWE`): what
/// `MemoryDenyWriteExecute=` does, with a filter of system calls instead.
const NO_CODE_AT_RUN_TIME: &str = "import ctypes, os, sys\n\
     if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: print('SKIPPED: no PR_SET_MDWE here', file=sys.stderr)\n\
     os.execvp(sys.argv[1], sys.argv[1:])";

/// A program that is ready at once, in the language of this command.
fn program(command: &str, script: &str) -> String {
    let script = format!("'''{script}'''");
    let flag = if command == "node" { "-e" } else { "-c" };
    format!(
        "[[process]]\nname = \"p\"\ncommand = \"{command}\"\nargs = ['{flag}', {script}]\nstdio = true\n"
    )
}

const IN_PYTHON: &str =
    "print(\"{\\\"do\\\":\\\"ready\\\",\\\"protocol\\\":1}\", flush=True)\ninput()\ninput()";
/// Long enough for the compiler of hot functions.
const IN_NODE: &str = "let sum = 0; for (let i = 0; i < 1e6; i += 1) { sum += Math.sqrt(i); }\n\
     console.log(JSON.stringify({do: \"ready\", protocol: 1})); process.stdin.resume();";

#[test]
fn programs_in_node_run_with_the_rights_of_the_unit_and_others_also_without_code_at_run_time() {
    let denied = |name: &str| settings().iter().any(|(key, value)| key == name && value == "yes");
    let forbids = ["python3", "-c", NO_CODE_AT_RUN_TIME];
    let alone = ["env"];
    let of_the_unit = if denied("MemoryDenyWriteExecute") { &forbids[..] } else { &alone[..] };
    for (launcher, config) in
        [(of_the_unit, program("node", IN_NODE)), (&forbids[..], program("python3", IN_PYTHON))]
    {
        // A start that succeeds stands for a program that is ready.
        let server = Server::start(Setup::default().config_toml(&config).through(launcher));
        assert_eq!(server.status()["processes"][0]["state"], "ready");
        server.stop().expect_code(0);
    }
}

#[test]
fn its_directories_are_those_that_commands_and_documentation_name() {
    let name = setting("StateDirectory");
    assert_eq!(
        (setting("LogsDirectory"), setting("RuntimeDirectory")),
        (name.clone(), name.clone())
    );
    assert_eq!(setting("WorkingDirectory"), format!("/var/lib/{name}"));
    for (key, value) in settings() {
        if key == "ExecStart" || key == "ExecReload" {
            let pid_file = format!("--pid-file /run/{name}/wsmaster.pid");
            assert!(value.contains(&pid_file), "{key}: {pid_file} is not in {value}");
        }
    }
    // Whatever is written to under ProtectSystem=strict is in one of them.
    let documentation =
        ["docs/operating.md", "docs/tls.md", "README.md", "packaging/wsmaster.service"]
            .map(|file| fs::read_to_string(file).expect("a page"));
    for page in &documentation {
        for path in page.split([' ', '"', '`', '\'', '(', ')', '\n']) {
            let is_ours = path.contains("wsmaster") && path.ends_with(".log");
            assert!(!is_ours || path.starts_with(&format!("/var/log/{name}/")), "{path}");
        }
    }
    assert!(
        documentation[0].contains("StateDirectory=") && documentation[0].contains("LogsDirectory=")
    );
}

#[test]
fn it_gives_the_server_the_time_that_it_takes_to_stop() {
    let unit: u64 = setting("TimeoutStopSec").parse().expect("seconds");
    let defaults = run(&["config", "default"]).expect_code(0).stdout;
    let own = defaults.lines().find_map(|line| {
        let (key, value) = line.trim_start_matches(['#', ' ']).split_once('=')?;
        let value = (key.trim() == "stop_timeout").then_some(value)?;
        value.trim().trim_matches('"').strip_suffix('s')?.parse::<u64>().ok()
    });
    assert!(unit > own.expect("a time"), "{unit} s are not more than {own:?}");
}
