//! What the `[[process]]` tables of a configuration would execute, and why it could not be.
//!
//! It looks as the host of the side process will: with the `PATH` that the program has, in its directory, for its user. It
//! executes nothing. What only an execution shows (a library that is missing, a script with an error in it) is reported at the
//! start.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use wsmaster_ipc::sys::{files, resource, user::Identity};

use crate::{
    apart,
    config::{Config, ConfigErrors, ProcessConfig},
};

/// How long a reload may look at the files. The master does nothing else meanwhile.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest report, in bytes.
const REPORT_BYTES_MAX: usize = 512 * 1024;
/// What execvp(3) takes when there is no `PATH`.
const PATH_DEFAULT: &str = "/bin:/usr/bin";
/// The kernel reads no more of a first line with `#!` (execve(2)).
const FIRST_LINE_BYTES_MAX: u64 = 256;
/// Programs whose first argument, unless it is an option, is the script that they run.
const INTERPRETERS: [&str; 9] =
    ["bash", "dash", "node", "nodejs", "perl", "php", "python", "ruby", "sh"];
/// Those of them that look in `PATH` too.
const SHELLS: [&str; 3] = ["bash", "dash", "sh"];

/// Why a program could not be executed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Problem {
    key: &'static str,
    what: String,
}

/// Looks for the commands of all programs.
///
/// # Errors
/// One for each program that could not be executed, at the key that is to be changed.
pub(crate) fn check(config: &Config) -> Result<(), ConfigErrors> {
    let problems = problems(config);
    if problems.is_empty() {
        return Ok(());
    }
    Err(config.refuse(problems.iter().map(|(key, what)| (key.as_str(), what.clone()))))
}

/// What the files of a program are, as far as it can be seen without reading them: the command, what its first line names not
/// included, and every argument that is the name of a file.
pub(crate) fn fingerprint(program: &ProcessConfig) -> u64 {
    let lookup = Lookup::of(program, None);
    let mut hasher = DefaultHasher::new();
    let mut add = |file: &Path| {
        let facts = fs::metadata(file).ok().filter(Metadata::is_file);
        let facts = facts.map(|facts| {
            (facts.dev(), facts.ino(), facts.size(), facts.mtime(), facts.mtime_nsec())
        });
        facts.hash(&mut hasher);
    };
    match lookup.find(program.command.as_os_str()) {
        Ok(command) => add(&command),
        Err(_) => add(&lookup.at(&program.command)),
    }
    for argument in program.args.iter().filter(|argument| !argument.is_empty()) {
        add(&lookup.at(Path::new(argument)));
    }
    hasher.finish()
}

/// The fingerprints of all programs, by name, and what keeps one from being executed. A process of its own looks, and is not
/// waited for long: a file system that hangs must not hang the master. To be called in a process with one thread.
///
/// # Errors
/// As [`check`]; a missing report is an error of the first program.
pub(crate) fn fingerprints(config: &Config) -> Result<HashMap<String, u64>, ConfigErrors> {
    if config.processes.is_empty() {
        return Ok(HashMap::new());
    }
    let errors = match apart::apart(REPORT_TIMEOUT, REPORT_BYTES_MAX, || report(config)) {
        Ok(Ok(fingerprints)) => return Ok(fingerprints),
        Ok(Err(problems)) => problems,
        Err(error) => {
            vec![("process[0].command".to_owned(), format!("the files of programs: {error}"))]
        }
    };
    Err(config.refuse(errors.iter().map(|(key, what)| (key.as_str(), what.clone()))))
}

type Report = Result<HashMap<String, u64>, Vec<(String, String)>>;

fn report(config: &Config) -> Report {
    let problems = problems(config);
    if !problems.is_empty() {
        return Err(problems);
    }
    let seen = |program: &ProcessConfig| (program.name.clone(), fingerprint(program));
    Ok(config.processes.iter().map(seen).collect())
}

fn problems(config: &Config) -> Vec<(String, String)> {
    let problems = config.processes.iter().enumerate().filter_map(|(number, program)| {
        let problem = find_problem(config, program)?;
        Some((format!("process[{number}].{}", problem.key), problem.what))
    });
    problems.collect()
}

fn find_problem(config: &Config, program: &ProcessConfig) -> Option<Problem> {
    let user = match user_of(config, program) {
        Ok(user) => user,
        Err(error) => return Some(Problem { key: "user", what: error.to_string() }),
    };
    Lookup::of(program, user).examine(program).err()
}

/// The user that the program runs as, where that is not the present one.
fn user_of(config: &Config, program: &ProcessConfig) -> io::Result<Option<Identity>> {
    let server = &config.server;
    let identity = match &program.user {
        Some(user) => Identity::look_up(Some(user), None)?,
        // A user that is missing there is an error of [server].
        None => Identity::look_up(server.user.as_deref(), server.group.as_deref()).unwrap_or(None),
    };
    Ok(identity.filter(|identity| identity.uid() != resource::effective_uid()))
}

/// Where a program is looked for, and for which user.
struct Lookup<'p> {
    cwd: Option<&'p Path>,
    path: OsString,
    user: Option<Identity>,
}

impl<'p> Lookup<'p> {
    fn of(program: &'p ProcessConfig, user: Option<Identity>) -> Self {
        let path = program.env.get("PATH").map(OsString::from);
        let path = path.or_else(|| std::env::var_os("PATH"));
        let path = path.unwrap_or_else(|| PATH_DEFAULT.into());
        Self { cwd: program.cwd.as_deref(), path, user }
    }

    fn examine(&self, program: &ProcessConfig) -> Result<(), Problem> {
        if let Some(cwd) = self.cwd {
            let refused = |what: String| Problem { key: "cwd", what };
            match fs::metadata(cwd) {
                Ok(facts) if !facts.is_dir() => {
                    return Err(refused(format!("{} is no directory", cwd.display())));
                }
                // A directory is entered by the right to execute it.
                Ok(_) if !self.may_execute(cwd) => {
                    let what = format!("{} cannot be entered{}", cwd.display(), self.by_user());
                    return Err(refused(what));
                }
                Ok(_) => {}
                Err(error) => return Err(refused(format!("{}: {error}", cwd.display()))),
            }
        }
        let refused = |what: String| Problem { key: "command", what };
        let command = self.find(program.command.as_os_str()).map_err(refused)?;
        self.examine_first_line(&command).map_err(refused)?;
        self.examine_script(program).map_err(|what| Problem { key: "args", what })
    }

    /// The file that execvp(3) would take for this word.
    fn find(&self, command: &OsStr) -> Result<PathBuf, String> {
        let shown = command.display();
        if command.as_bytes().contains(&b'/') {
            let file = self.at(Path::new(command));
            let facts = fs::metadata(&file).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("there is no program {}{}", file.display(), from(&file))
                }
                _ => format!("{}: {error}", file.display()),
            })?;
            self.check_executable(&file, &facts)?;
            return Ok(file);
        }
        let mut refused = None;
        for directory in std::env::split_paths(&self.path) {
            let file = self.at(&directory.join(command));
            let Ok(facts) = fs::metadata(&file) else { continue };
            match self.check_executable(&file, &facts) {
                Ok(()) => return Ok(file),
                Err(why) => drop(refused.get_or_insert(why)),
            }
        }
        Err(refused.unwrap_or_else(|| {
            format!(
                "there is no program {shown} in PATH ({}): install it, or name its path",
                self.path.display()
            )
        }))
    }

    fn check_executable(&self, file: &Path, facts: &Metadata) -> Result<(), String> {
        if !facts.is_file() {
            return Err(format!("{} is no file that can be executed", file.display()));
        }
        if self.may_execute(file) {
            return Ok(());
        }
        let shown = file.display();
        let remedy = match facts.permissions().mode() & 0o111 {
            0 => format!("chmod +x {shown}"),
            _ => "see the rights of the file and of the directories above it".to_owned(),
        };
        Err(format!("{shown} may not be executed{}: {remedy}", self.by_user()))
    }

    fn by_user(&self) -> String {
        self.user.map_or_else(String::new, |user| format!(" by user {}", user.uid()))
    }

    fn may_execute(&self, file: &Path) -> bool {
        let Some(user) = self.user else { return files::may_execute(file) };
        if user.is_root() {
            return fs::metadata(file)
                .is_ok_and(|facts| facts.is_dir() || facts.permissions().mode() & 0o111 != 0);
        }
        let Ok(file) = fs::canonicalize(file) else { return false };
        // What this process may not look at is not known to be refused.
        file.ancestors().all(|part| fs::metadata(part).is_err() || lets_execute(part, user))
    }

    /// A script that names an interpreter needs that too.
    fn examine_first_line(&self, file: &Path) -> Result<(), String> {
        let Some(words) = first_line(file) else { return Ok(()) };
        let shown = file.display();
        let mut words = words.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(interpreter) = words.next() else { return Ok(()) };
        if interpreter.ends_with('\r') || words.clone().any(|word| word.ends_with('\r')) {
            return Err(format!(
                "{shown} has the line ends of Windows, with which its first line names no interpreter: \
                 sed -i 's/\\r$//' {shown}"
            ));
        }
        if !self.at(Path::new(interpreter)).exists() {
            return Err(format!(
                "the first line of {shown} names {interpreter}, which is not there"
            ));
        }
        // `env NAME` looks in PATH.
        let wanted = words.next().filter(|word| !word.starts_with('-') && !word.contains('='));
        match wanted.filter(|_| interpreter.ends_with("/env")) {
            Some(name) => self
                .find(OsStr::new(name))
                .map(drop)
                .map_err(|why| format!("the first line of {shown} names {name}: {why}")),
            None => Ok(()),
        }
    }

    /// The script of an interpreter is there, where the arguments name one.
    fn examine_script(&self, program: &ProcessConfig) -> Result<(), String> {
        let Some(script) = script(program) else { return Ok(()) };
        let file = self.at(Path::new(script));
        let name = interpreter(&program.command).unwrap_or_default();
        let is_there = match name {
            // It adds the end of the name by itself.
            "node" | "nodejs" => {
                let ends = ["", ".js", ".cjs", ".json", ".node"];
                ends.iter().any(|end| self.at(Path::new(&format!("{script}{end}"))).exists())
            }
            _ if SHELLS.contains(&name) && !script.contains('/') => {
                file.exists() || self.find(OsStr::new(script)).is_ok()
            }
            _ => file.exists(),
        };
        if is_there {
            return Ok(());
        }
        let cwd = self.cwd.map(Path::to_owned).or_else(|| std::env::current_dir().ok());
        Err(match cwd {
            Some(cwd) if file.is_relative() || !Path::new(script).is_absolute() => {
                format!("there is no script {script} in {}", cwd.display())
            }
            Some(_) | None => format!("there is no script {script}"),
        })
    }

    fn at(&self, file: &Path) -> PathBuf {
        self.cwd.map_or_else(|| file.to_owned(), |cwd| cwd.join(file))
    }
}

/// The directory from which a path counts that is not absolute.
fn from(file: &Path) -> String {
    let directory = file.is_relative().then(std::env::current_dir).and_then(Result::ok);
    directory.map_or_else(String::new, |directory| format!(" in {}", directory.display()))
}

/// Whether the rights of one file, or directory, let a user that is not root and has one group execute it.
fn lets_execute(file: &Path, user: Identity) -> bool {
    let Ok(facts) = fs::metadata(file) else { return false };
    let mode = facts.permissions().mode();
    let bit = if facts.uid() == user.uid() {
        0o100
    } else if facts.gid() == user.gid() {
        0o010
    } else {
        0o001
    };
    // An access list may let more users in, but none beyond the group's bits, which are its mask.
    mode & bit != 0 || (mode & 0o010 != 0 && files::has_access_list(file))
}

/// The first line of a script without its `#!`.
fn first_line(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The interpreter that this command is, without its version.
fn interpreter(command: &Path) -> Option<&'static str> {
    let name = command.file_name()?.to_str()?;
    let name = name.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    INTERPRETERS.into_iter().find(|interpreter| *interpreter == name)
}

/// The script among the arguments of an interpreter, where it is sure to be one.
fn script(program: &ProcessConfig) -> Option<&str> {
    let first = program.args.first()?;
    let is_word_of_node = first == "inspect" || first == "run";
    interpreter(&program.command)?;
    (!first.starts_with('-') && !first.is_empty() && !is_word_of_node).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    fn problem(lines: &str) -> Option<String> {
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let text = format!("[[process]]\nname = \"a\"\n{lines}\n");
        let config = Config::from_toml(&text, "f", &machine).expect("valid");
        check(&config).err().map(|errors| errors.to_string())
    }

    #[test]
    fn what_cannot_be_executed_is_reported_with_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, mode: u32, text: &str| {
            fs::write(at(name), text).expect("it is ours");
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        write("good", 0o755, "#!/bin/sh\n");
        write("plain", 0o644, "#!/bin/sh\n");
        write("dos", 0o755, "#!/bin/sh\r\n");
        write("lost", 0o755, "#!/no/such/interpreter -x\n");
        write("env", 0o755, "#!/usr/bin/env no-such-interpreter\n");
        let here = directory.path().display();
        for (lines, expected) in [
            (format!("command = \"{}\"", at("good")), None),
            (format!("command = \"./good\"\ncwd = \"{here}\""), None),
            (format!("command = \"good\"\nenv = {{ PATH = \"/nowhere:{here}\" }}"), None),
            ("command = \"sh\"\nargs = [\"-c\", \"exit\"]".to_owned(), None),
            (
                "command = \"good\"".to_owned(),
                Some("f:3:11: process[0].command: there is no program good in PATH"),
            ),
            (
                "command = \"/no/such\"".to_owned(),
                Some("process[0].command: there is no program /no/such"),
            ),
            (format!("command = \"{here}\""), Some("is no file that can be executed")),
            (format!("command = \"{}\"", at("plain")), Some("may not be executed: chmod +x")),
            (format!("command = \"{}\"", at("dos")), Some("the line ends of Windows")),
            (
                format!("command = \"{}\"", at("lost")),
                Some("names /no/such/interpreter, which is not there"),
            ),
            (
                format!("command = \"{}\"", at("env")),
                Some("names no-such-interpreter: there is no program"),
            ),
            (
                "command = \"sh\"\ncwd = \"/no/such\"".to_owned(),
                Some("f:4:7: process[0].cwd: /no/such: No such file"),
            ),
            (
                format!("command = \"sh\"\nargs = [\"./absent.sh\"]\ncwd = \"{here}\""),
                Some("f:4:8: process[0].args: there is no script ./absent.sh in /"),
            ),
            (format!("command = \"sh\"\nargs = [\"good\"]\ncwd = \"{here}\""), None),
        ] {
            let found = problem(&lines);
            match (expected, &found) {
                (None, None) => {}
                (Some(expected), Some(found)) if found.contains(expected) => {}
                _ => panic!("{lines}: expected {expected:?}, found {found:?}"),
            }
        }
    }

    #[test]
    fn an_interpreter_is_known_with_its_version_and_its_script_by_its_place() {
        let config = |command: &str, args: &str| {
            let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
            let text =
                format!("[[process]]\nname = \"a\"\ncommand = \"{command}\"\nargs = [{args}]\n");
            Config::from_toml(&text, "f", &machine).expect("valid").processes.remove(0)
        };
        for (command, args, expected) in [
            ("/usr/bin/python3.11", "\"a.py\", \"b\"", Some("a.py")),
            ("php8.2", "\"a.php\"", Some("a.php")),
            ("node", "\"--inspect\", \"a.js\"", None),
            ("node", "\"inspect\", \"a.js\"", None),
            ("python3", "\"-m\", \"a\"", None),
            ("/opt/a", "\"a.py\"", None),
            ("bash", "", None),
        ] {
            let program = config(command, args);
            assert_eq!(script(&program), expected, "{command} {args}");
        }
    }
}
