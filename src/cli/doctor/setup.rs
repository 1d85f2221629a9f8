//! Judgement: the configuration, its users and its directories. Pure.

use super::{
    facts::{Directory, DirectoryOf, DirectoryState, Facts},
    finding::Finding,
};
use crate::config::Config;

pub(super) fn examine(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut findings = vec![configuration(facts, config)];
    findings.extend(hints(facts, config));
    findings.push(account(facts, config));
    findings.extend(programs(facts, config));
    findings.extend(facts.directories.iter().map(directory));
    findings
}

fn configuration(facts: &Facts, config: &Config) -> Finding {
    const CHECK: &str = "configuration";
    match facts.config_errors.as_slice() {
        [] => Finding::ok(CHECK, config.sources.to_string(), "nothing is wrong with it"),
        [only] => Finding::problem(
            CHECK,
            only,
            "the start is refused; what follows is judged by the defaults",
            "`wsmaster config check` says what is wrong",
        ),
        [first, others @ ..] => Finding::problem(
            CHECK,
            format!("{first} (and {} more)", others.len()),
            "the start is refused; what follows is judged by the defaults",
            "`wsmaster config check` says all that is wrong",
        ),
    }
}

/// What is allowed, and probably not meant.
fn hints(facts: &Facts, config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let mut hints = Vec::new();
    if let Some((file, secrets)) = &facts.exposed {
        hints.push(Finding::warning(
            "secrets",
            format!("{} in {file}", secrets.join(", ")),
            "everybody on this machine can read it",
            format!("chmod o-r {file}; another secret, if somebody may have read it"),
        ));
    }
    if server.daemonize && server.log_file.is_none() {
        hints.push(Finding::warning(
            "log",
            "server.daemonize without server.log_file",
            "what the server logs is lost",
            "server.log_file = \"/var/log/wsmaster/wsmaster.log\"",
        ));
    }
    if config.api.enabled && config.api.key.is_empty() && !server.is_loopback() {
        hints.push(Finding::warning(
            "api",
            "api.key is not set, and the address can be reached from other machines",
            "/api stays off",
            "api.key (or WSMASTER_API_KEY) with 16 characters or more, or api.enabled = false",
        ));
    }
    if server.chroot.is_some() && server.user.is_none() && facts.uid == 0 {
        hints.push(Finding::warning(
            "chroot",
            "server.chroot without server.user",
            "workers are root, who can leave it",
            "server.user = \"www-data\", or another user that has nothing else",
        ));
    }
    hints
}

fn account(facts: &Facts, config: &Config) -> Finding {
    const CHECK: &str = "user";
    let server = &config.server;
    let wanted = [("user", &server.user), ("group", &server.group)];
    let wanted =
        wanted.iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)));
    let wanted = wanted.collect::<Vec<_>>().join(", ");
    match (&facts.account_error, wanted.is_empty()) {
        (Some(problem), _) => Finding::problem(
            CHECK,
            problem,
            "the start is refused",
            "adduser --system --group --no-create-home wsmaster; then server.user = \"wsmaster\"",
        ),
        (None, false) if facts.uid == 0 => Finding::ok(CHECK, wanted, "workers give up root"),
        (None, false) => Finding::ok(CHECK, wanted, "is there; root has to start the server"),
        (None, true) if facts.uid == 0 => Finding::warning(
            CHECK,
            "root, and server.user is not set",
            "workers are root: a fault in them is a fault of the machine",
            "server.user = \"www-data\", or start it as another user",
        ),
        (None, true) => {
            Finding::ok(CHECK, format!("user {}", facts.uid), "all processes are this user's")
        }
    }
}

fn programs(facts: &Facts, config: &Config) -> Vec<Finding> {
    const CHECK: &str = "programs";
    if facts.program_errors.is_empty() {
        let names: Vec<&str> =
            config.processes.iter().map(|process| process.name.as_str()).collect();
        let found = (!names.is_empty()).then(|| names.join(", "));
        return found
            .map(|found| Finding::ok(CHECK, found, "can be executed"))
            .into_iter()
            .collect();
    }
    let refused = |error| {
        let remedy = "command, args, cwd, user or env.PATH of the [[process]]";
        Finding::problem(CHECK, error, "the start is refused", remedy)
    };
    facts.program_errors.iter().map(refused).collect()
}

fn directory(directory: &Directory) -> Finding {
    let Directory { of, path, state } = directory;
    let (check, key) = match of {
        DirectoryOf::PidFile => ("pid directory", "server.pid_file"),
        DirectoryOf::Log => ("log directory", "server.log_file"),
        DirectoryOf::Socket => ("socket directory", "address of the listener"),
    };
    let found = path.display().to_string();
    match state {
        DirectoryState::Good => Finding::ok(check, found, "can be written in, by nobody else"),
        DirectoryState::CanBeMade => Finding::ok(check, found, "is made at the start"),
        DirectoryState::Missing => Finding::problem(
            check,
            &found,
            "is not there: the start is refused",
            format!("mkdir -p -m 755 {found}; or another {key}"),
        ),
        DirectoryState::NotADirectory => Finding::problem(
            check,
            found,
            "is not a directory: the start is refused",
            format!("another {key}"),
        ),
        DirectoryState::NotWritable => Finding::problem(
            check,
            &found,
            "cannot be written in by this user: the start is refused",
            format!("chown it to this user, or another {key}"),
        ),
        DirectoryState::OpenToOthers => match of {
            DirectoryOf::PidFile => Finding::problem(
                check,
                found,
                "belongs to another user or is writable by others: the start is refused",
                format!("chmod go-w on it, or another {key}"),
            ),
            DirectoryOf::Log | DirectoryOf::Socket => Finding::warning(
                check,
                &found,
                "belongs to another user or is writable by others: they can replace what is in it",
                format!("chown root {found} && chmod 755 {found}"),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{
        super::{Level, facts::sound},
        *,
    };
    use crate::config::Machine;

    #[test]
    fn what_the_operator_may_have_overlooked() {
        type Case = (&'static str, fn(&mut Facts), &'static str, Level, &'static str);
        let cases: &[Case] = &[
            ("", |_| {}, "configuration", Level::Ok, ""),
            (
                "",
                |f| f.config_errors = vec!["a".to_owned()],
                "configuration",
                Level::Problem,
                "check",
            ),
            ("[server]\ndaemonize = true", |_| {}, "log", Level::Warning, "server.log_file"),
            ("[server]\nhost = \"0.0.0.0\"", |_| {}, "api", Level::Warning, "api.key"),
            (
                "",
                |f| f.exposed = Some(("w.toml".to_owned(), vec!["api.key".to_owned()])),
                "secrets",
                Level::Warning,
                "chmod o-r w.toml",
            ),
            ("[server]\nchroot = \"/srv\"", |f| f.uid = 0, "chroot", Level::Warning, "server.user"),
            ("", |f| f.uid = 0, "user", Level::Warning, "server.user"),
            ("[server]\nuser = \"u\"", |f| f.uid = 0, "user", Level::Ok, ""),
            (
                "[server]\nuser = \"u\"",
                |f| f.account_error = Some("there is no user \"u\"".to_owned()),
                "user",
                Level::Problem,
                "adduser",
            ),
            ("[[process]]\nname = \"a\"\ncommand = \"a\"", |_| {}, "programs", Level::Ok, ""),
            (
                "",
                |f| f.program_errors = vec!["there is no program a".to_owned()],
                "programs",
                Level::Problem,
                "PATH",
            ),
        ];
        let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
        for (toml, change, check, level, remedy) in cases {
            let mut facts = sound();
            change(&mut facts);
            let config = Config::from_toml(toml, "x", &machine).expect(toml);
            let findings = examine(&facts, &config);
            let finding = findings.iter().find(|finding| finding.check == *check);
            let finding = finding.unwrap_or_else(|| panic!("{check} was not looked at"));
            assert_eq!(finding.level, *level, "{finding:?}");
            let told = finding.remedy.clone().unwrap_or_default();
            assert!(told.contains(remedy), "{remedy:?} is not in {finding:?}");
        }
    }

    #[test]
    fn directories() {
        use DirectoryState::{CanBeMade, Good, Missing, NotADirectory, NotWritable, OpenToOthers};
        for (state, pid, log) in [
            (Good, Level::Ok, Level::Ok),
            (CanBeMade, Level::Ok, Level::Ok),
            (Missing, Level::Problem, Level::Problem),
            (NotADirectory, Level::Problem, Level::Problem),
            (NotWritable, Level::Problem, Level::Problem),
            (OpenToOthers, Level::Problem, Level::Warning),
        ] {
            for (of, level) in
                [(DirectoryOf::PidFile, pid), (DirectoryOf::Log, log), (DirectoryOf::Socket, log)]
            {
                let found = directory(&Directory { of, path: PathBuf::from("/x"), state });
                assert_eq!(found.level, level, "{found:?}");
            }
        }
    }
}
