//! `wsmaster start`: from the configuration to a server that serves.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use wsmaster_ipc::sys::{
    daemon::{self, Promise, Side, Verdict},
    files, random,
};

use super::{
    given::{Given, environment},
    hint,
    load::{Loaded, load_all},
    out,
    out::complain,
    startup_message, stop,
};
use crate::{
    apps::BuiltIn,
    cli::{
        Exit,
        control_client::{Found, addresses, find},
    },
    config::{self, Config, HttpEndpoint, Overrides, Secret},
    logging,
    master::{Master, PassedSockets, Plan, Serving, StartError, rehearse_start},
    missing,
};

/// How long the server that runs may take to say where it listens.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts, and returns when the server has stopped; or, as a daemon, when it serves.
pub(super) fn start(flags: &Overrides) -> Exit {
    match load_all(flags) {
        Ok(loaded) => start_loaded(loaded),
        Err(exit) => exit,
    }
}

/// Ends the server that runs, if one does, and starts. What is wrong with the configuration is found before that.
pub(super) fn restart(flags: &Overrides, timeout: Option<Duration>) -> Exit {
    // Read once: what comes out of a pipe is gone after that.
    let loaded = match load_all(flags) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let config = &loaded.config;
    if matches!(find(&config.server.pid_file), Ok(Found::Running(_)))
        && let Err(problem) =
            rehearse_start(config, addresses(&config.server.pid_file, STATUS_TIMEOUT).as_deref())
    {
        complain!("{problem}");
        complain!("the server that runs was not stopped");
        return Exit::Failed;
    }
    let patience = stop::timeout(config, timeout);
    match stop::stop_at(&config.server.pid_file, patience, &hint::flags_of(config)) {
        // A server that does not run is no obstacle to a start.
        Exit::Done | Exit::NotRunning => start_loaded(loaded),
        failed @ (Exit::Failed | Exit::Usage) => failed,
    }
}

fn start_loaded(loaded: Loaded) -> Exit {
    // The log is not open yet: what might be better is told when the files are read for the workers.
    let Loaded { given, mut config, warnings: _ } = loaded;
    let promise = if config.server.daemonize {
        match daemon::detach() {
            Ok(Side::Shell(Verdict::Serving(text))) => {
                out::say(&text);
                return Exit::Done;
            }
            Ok(Side::Shell(Verdict::Failed(code))) => {
                return if code == i32::from(Exit::Usage.code()) {
                    Exit::Usage
                } else {
                    Exit::Failed
                };
            }
            Ok(Side::Shell(Verdict::Died)) => {
                let place = match &config.server.log_file {
                    Some(path) => format!("; see the log {}", path.display()),
                    None => String::new(),
                };
                complain!("the server was killed before it served{place}");
                return Exit::Failed;
            }
            Ok(Side::Daemon(promise)) => Some(promise),
            Err(error) => {
                complain!("wsmaster cannot go to the background: {error}");
                return Exit::Failed;
            }
        }
    } else {
        None
    };
    let promise = Rc::new(std::cell::Cell::new(promise));
    let exit = serve(&mut config, given, promise.clone());
    if let Some(promise) = promise.take() {
        if exit == Exit::Done {
            complain!("wsmaster was told to stop before it served");
        }
        promise.failed(exit.code());
    }
    exit
}

fn serve(config: &mut Config, given: Given, promise: Rc<std::cell::Cell<Option<Promise>>>) -> Exit {
    let server = &config.server;
    if let Some(mask) = server.umask {
        // The log is the first file that it makes.
        files::set_mask(mask.bits());
    }
    if let Err(error) = logging::start(server.log_file.as_deref(), server.log_level.into()) {
        let path = server.log_file.clone().unwrap_or_default();
        let why = missing::directory(&path).unwrap_or_else(|| error.to_string());
        complain!("the log file {} cannot be opened: {why}; see server.log_file", path.display());
        return Exit::Failed;
    }
    tell_of_what_was_read(&given, config);
    let passed = match PassedSockets::take() {
        Ok(passed) => passed,
        Err(error) => return refused(config, &error),
    };
    let address = passed.as_ref().map(PassedSockets::address);
    listen_at(config, address);
    let made_key = match settle_key(config) {
        Ok(made_key) => made_key,
        Err(error) => {
            complain!("cannot generate a key for the API: {error}");
            return Exit::Failed;
        }
    };
    let key_of_this_run = made_key.clone();
    let plan = Plan::new(config.clone())
        .reload_with(move || {
            let mut config = given.read_again()?;
            listen_at(&mut config, address);
            if config.api.key.is_empty() {
                match &key_of_this_run {
                    Some(key) => config.api.key = key.clone(),
                    None => config.api.enabled = false,
                }
            }
            Ok(config)
        })
        .passed_sockets(passed)
        .in_background(config.server.daemonize)
        .built_in()
        .on_serving(move |serving| tell(serving, made_key.as_ref(), &promise));
    let result = Master::prepare(plan, BuiltIn::new).and_then(Master::run);
    match result {
        Ok(()) => Exit::Done,
        Err(StartError::Config(errors)) => {
            complain!("{errors}");
            Exit::Usage
        }
        Err(error) => refused(config, &error),
    }
}

/// Says what of the configuration somebody may want to know.
fn tell_of_what_was_read(given: &Given, config: &Config) {
    let env = environment();
    let passed_over = config::passed_over(&env);
    if !passed_over.is_empty() {
        log::info!(
            "these variables are of a Kubernetes service and set nothing here: {}",
            passed_over.join(", ")
        );
    }
    let secrets = config.secrets_of_file();
    if let Some(file) = given.file.as_ref().filter(|file| file.is_open_to_all)
        && !secrets.is_empty()
    {
        log::warn!(
            "everybody on this machine can read {} in {}: chmod o-r {}",
            secrets.join(", "),
            file.name,
            file.name
        );
    }
}

/// Says why there is no server.
fn refused(config: &Config, error: &StartError) -> Exit {
    log::error!("{error}");
    // The log may be a file that nobody looks at now, or off.
    if config.server.log_file.is_some() || !log::log_enabled!(log::Level::Error) {
        complain!("{error}");
    }
    Exit::Failed
}

/// The address of sockets that were passed stands in the place of the configured one: what is decided by it is decided by
/// where the server really listens.
fn listen_at(config: &mut Config, passed: Option<SocketAddr>) {
    if let Some(address) = passed {
        config.server.host = address.ip().to_string();
        config.server.port = address.port();
    }
}

/// Without a key of the operator's: makes one up for this run where only this machine can use it, and turns the API off
/// elsewhere. The key that was made up.
fn settle_key(config: &mut Config) -> std::io::Result<Option<Secret>> {
    if !config.api.enabled || !config.api.key.is_empty() {
        return Ok(None);
    }
    let reachable = config
        .all_listeners()
        .into_iter()
        .find(|listener| listener.serves(HttpEndpoint::Api) && !listener.address.is_local());
    if let Some(listener) = reachable {
        config.api.enabled = false;
        log::warn!(
            "the API is off: {} can be reached from other machines and api.key is not set",
            listener.address
        );
        return Ok(None);
    }
    let bytes = random::bytes::<16>()?;
    let key = Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    config.api.key = key.clone();
    Ok(Some(key))
}

fn tell(serving: &Serving, made_key: Option<&Secret>, promise: &std::cell::Cell<Option<Promise>>) {
    let text = startup_message::text(serving, made_key.map(Secret::expose));
    match promise.take() {
        Some(promise) => match promise.serving(&text) {
            Ok(()) => logging::leave_streams(),
            Err(error) => log::warn!("cannot detach from the terminal: {error}"),
        },
        // The terminal may be gone or stopped; the server goes on.
        None => out::say_without_waiting(&text),
    }
}
