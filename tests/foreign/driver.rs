//! Runs the clients that nobody here wrote, each as a program of its own, and tells a tool that is missing from a test
//! that fails. What the clients do and check is in their own files, in their own languages.

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::Server;

/// How long one client may take; `timeout` then ends it with all that it started. A failing test waits that long, no
/// other.
const CLIENT_TIMEOUT_S: u32 = 150;

/// A program that drives the server, and that scripts/setup installs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// Python with the package `websockets`.
    Python,
    /// Node.js with the packages `ws` and `playwright-core`, and with its own `WebSocket`.
    Node,
    /// Chromium, or a browser made from it.
    Chromium,
    /// curl.
    Curl,
    /// Perl with Mojolicious and AnyEvent::WebSocket::Client.
    Perl,
    /// Ruby with faye-websocket.
    Ruby,
    /// Tcl with Tcllib.
    Tcl,
}

impl Tool {
    /// Its script below tests/foreign that drives many libraries.
    pub(crate) fn libraries(self) -> Option<&'static str> {
        match self {
            Self::Python => Some("python/libraries.py"),
            Self::Node => Some("node/libraries.mjs"),
            Self::Perl => Some("perl/libraries.pl"),
            Self::Ruby => Some("ruby/libraries.rb"),
            Self::Tcl => Some("tcl/libraries.tcl"),
            Self::Chromium | Self::Curl => None,
        }
    }

    /// Where it is. `None` when it is missing: the test is skipped then, which is said where nobody overlooks it.
    ///
    /// # Panics
    /// When it is missing and the environment says `CI=true`: there everything must run.
    #[track_caller]
    pub(crate) fn find(self) -> Option<PathBuf> {
        let found = match self {
            Self::Python => installed("venv/installed.txt", "venv/bin/python"),
            Self::Node => installed("node/installed.json", "venv/bin/node"),
            Self::Chromium => {
                let names = ["chromium", "chromium-browser", "google-chrome"];
                names.into_iter().find_map(on_path)
            }
            Self::Curl => on_path("curl"),
            Self::Perl => on_path("perl")
                .filter(|_| Path::new("/usr/share/perl5/AnyEvent/WebSocket/Client.pm").exists())
                .filter(|_| Path::new("/usr/share/perl5/Mojolicious.pm").exists()),
            // The one of the system, whatever else is on the path.
            Self::Ruby => Some(PathBuf::from("/usr/bin/ruby"))
                .filter(|program| program.exists())
                .filter(|_| Path::new("/usr/share/doc/ruby-faye-websocket").exists()),
            Self::Tcl => on_path("tclsh").filter(|_| Path::new("/usr/share/doc/tcllib").exists()),
        };
        if found.is_none() {
            skip(&format!("{self:?}"));
        }
        found
    }
}

/// Says that a test is skipped for want of `tool`, where nobody overlooks it.
///
/// # Panics
/// When the environment says `CI=true`: there everything must run.
#[track_caller]
pub(crate) fn skip(tool: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{tool} is missing: scripts/setup installs it"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not by eprintln!, of which the test harness shows nothing when the test passes.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {tool} is missing; scripts/setup installs it");
}

/// The place where scripts/setup puts what it installs, whatever directory cargo builds in.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program in target/foreign, if `proof`, which is written last, is there.
pub(crate) fn installed(proof: &str, program: &str) -> Option<PathBuf> {
    let foreign = root().join("target/foreign");
    foreign.join(proof).exists().then(|| foreign.join(program)).filter(|program| program.exists())
}

/// A program of the system. Debian keeps some servers where only root's search path leads.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Runs one scenario of a client against a server, with all that the client may want to know in its environment. Its
/// exit code is the verdict. Returns what it has printed, which is nothing where the tool is missing.
#[track_caller]
pub(crate) fn drive(
    tool: Tool,
    script: &str,
    scenario: &str,
    server: &Server,
    env: &[(&str, &OsStr)],
) -> String {
    let Some(program) = tool.find() else { return String::new() };
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &CLIENT_TIMEOUT_S.to_string()]).arg(program);
    command.arg(root().join("tests/foreign").join(script)).arg(scenario);
    command.current_dir(server.directory());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"WSMASTER_") {
            command.env_remove(name);
        }
    }
    // Nothing but this directory's sources belongs beside them.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("TEST_ADDRESS", server.addr().to_string());
    command.env("TEST_API_KEY", server.api_key());
    command.env("TEST_PROGRAM", env!("CARGO_BIN_EXE_wsmaster"));
    command.env("TEST_PID_FILE", server.pid_file());
    command.env("TEST_MODULES", root().join("target/foreign/node/"));
    command.envs(env.iter().copied());
    let output = command.output().expect("timeout(1) is needed: package coreutils");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{script} {scenario}: {}\n--- stdout\n{stdout}\n--- stderr\n{stderr}---",
        output.status
    );
    // A scenario that was left out by mistake would end well, too.
    let done = format!("done {scenario}");
    assert!(stdout.lines().any(|line| line == done), "no line {done:?} in\n{stdout}");
    stdout.into_owned()
}
