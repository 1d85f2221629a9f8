//! A directory with files and variables in which the program is run.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Output, PATIENCE, Signal, eventually, in_time, signal, working_below};

/// The directory. It is removed at the end, and nothing that was started in it is left running.
#[derive(Debug)]
pub(crate) struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        Self { directory, variables: Vec::new() }
    }

    /// One more file.
    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(name, bytes);
        self
    }

    /// One more variable. Those of the tests' own environment that begin with `WSMASTER_` are not passed on.
    pub(crate) fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Writes a file, or over one.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.at(name), bytes).expect("the directory is ours");
    }

    /// Where a file of this name is.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        let out = self.at(".stdout");
        let file = File::create(&out).expect("the directory is ours");
        let mut output = self.run_to(args, file);
        output.stdout = fs::read_to_string(&out).expect("what is printed is text");
        output
    }

    /// Runs the program to its end, with its standard output to this file.
    #[track_caller]
    pub(crate) fn run_to<A: AsRef<OsStr>>(&self, args: &[A], stdout: File) -> Output {
        let errors = self.at(".stderr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsmaster"));
        command.current_dir(self.path()).args(args);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"WSMASTER_") {
                command.env_remove(name);
            }
        }
        // Where the program of anybody but root looks for a PID file that nobody names.
        command.env("XDG_RUNTIME_DIR", self.path()).envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(stdout);
        command.stderr(File::create(&errors).expect("the directory is ours"));
        let mut child = command.spawn().expect("the program was built with the tests");
        let status = in_time(2 * PATIENCE, || child.try_wait().expect("it is our child"));
        let stderr = fs::read(&errors).expect("it was made above");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it goes on and on: {command:?}\n{stderr}");
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { code, stdout: String::new(), stderr }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = || working_below(self.path());
        for pid in left() {
            signal(pid, Signal::Kill);
        }
        if !std::thread::panicking() {
            eventually("the end of what was started", PATIENCE, || left().is_empty().then_some(()));
        }
    }
}
