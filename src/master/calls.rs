//! Callers of the control socket, and the reload that some of them wait for.

use std::{collections::HashMap, io};

use log::Level;
use mio::Interest;
use wsmaster_ipc::sys::clock;
use wsmaster_workers::Handler;

use super::{
    Master,
    control::{CALLERS_MAX, Caller, Progress, Question, ReloadAnswer},
    forking, report, settings,
    tls::{self, Tls},
    token::Source,
};
use crate::{
    config::{Config, ConfigErrors},
    logging, programs,
    supervisor::Event,
    tls::{LoadedTls, load_in_process},
    worker_info::WorkerInfo,
};

/// How much a reload is to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Configuration, certificates, workers.
    Everything,
    /// What is in the files of the certificates that are configured.
    Certificates,
}

impl Reach {
    /// What one reload has to change in the place of two.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Certificates, Self::Certificates) => Self::Certificates,
            (Self::Everything, Self::Everything | Self::Certificates)
            | (Self::Certificates, Self::Everything) => Self::Everything,
        }
    }
}

/// How far a reload is that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begun {
    /// The workers are replaced one after the other.
    Replacing,
    /// Nobody had to be replaced.
    Over,
}

/// What a reload has found out about TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Renewal {
    /// Nothing has changed.
    Same,
    /// The workers that are there have been given something new.
    New,
    /// TLS is off, or was turned on or off: that is for new workers.
    Other,
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Reads the configuration and the certificates, hands new certificates out, and begins to replace the workers. Where
    /// nothing but certificates has changed, the workers stay, and so does every connection.
    pub(super) fn begin_reload(&mut self, reach: Reach) -> Result<Begun, Vec<String>> {
        if self.stopping {
            return Err(vec!["the server is stopping".to_owned()]);
        }
        let read = |config: &Config| {
            let new = match (&self.reload, reach) {
                (Some(read), Reach::Everything) => read()?,
                (None, Reach::Everything) | (_, Reach::Certificates) => config.clone(),
            };
            let loaded = load_in_process(&new, tls::now_unix_s())?;
            let fingerprints = match reach {
                Reach::Everything => programs::fingerprints(&new)?,
                Reach::Certificates => HashMap::new(),
            };
            Ok::<_, ConfigErrors>((new, loaded, fingerprints))
        };
        let (new, loaded, fingerprints) = match read(&self.config) {
            Ok(new) => new,
            Err(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                for line in &lines {
                    log::error!("{line}");
                }
                log::error!("nothing was reloaded: the configuration is wrong");
                return Err(lines);
            }
        };
        if reach == Reach::Everything
            && let Err(problem) = self.surroundings.rehearse_worker()
        {
            log::error!("{problem}");
            log::error!("nothing was reloaded: a new worker would not come up");
            return Err(vec![problem]);
        }
        let before = self.config.clone();
        let mut changed = before.clone();
        let programs = self.compare_programs(&new, &fingerprints);
        let lines = settings::adopt(&mut changed, new, programs.as_ref().err().map(String::as_str));
        match self.listeners.change(&changed) {
            Ok(new) => self.introduce_listeners(&new),
            Err(error) => {
                log::error!("{error}");
                log::error!("nothing was reloaded: a listener cannot be had");
                return Err(vec![error.to_string()]);
            }
        }
        self.config = changed;
        for line in lines {
            self.note_reload(Level::Warn, line);
        }
        let renewal = match self.renew_tls(loaded) {
            Ok(renewal) => renewal,
            Err(error) => {
                self.config = before;
                return Err(vec![format!("no keys for TLS tickets: {error}")]);
            }
        };
        if let Ok(changes) = programs {
            let sides =
                forking::stop_timeout_max(&self.config, &self.processes, &changes.directory);
            self.supervisor.set_policy(settings::policy(&self.config, sides));
            self.change_programs(changes);
        }
        let workers_stay = match (reach, renewal) {
            (Reach::Certificates, Renewal::Same | Renewal::Other) => {
                let line = "the certificates are those that are shown already";
                self.note_reload(Level::Info, line.to_owned());
                true
            }
            (Reach::Certificates, Renewal::New) => true,
            (Reach::Everything, Renewal::New) => {
                settings::is_same_but_for_tls(&before, &self.config)
            }
            (Reach::Everything, Renewal::Same | Renewal::Other) => false,
        };
        if workers_stay {
            // Whoever asked by a signal waits for these two words.
            self.systemd.reloading();
            self.systemd.ready(&self.summary());
            return Ok(Begun::Over);
        }
        let sides = forking::stop_timeout_max(&self.config, &self.processes, &self.directory);
        self.supervisor.set_policy(settings::policy(&self.config, sides));
        logging::set_level(self.config.server.log_level.into());
        self.tell(Event::Reload);
        Ok(Begun::Replacing)
    }

    pub(super) fn note_reload(&mut self, level: Level, line: String) {
        log::log!(level, "{line}");
        self.reload_lines.push(line);
    }

    /// Takes over what the files hold now. Connections keep their sessions; new ones are shown the new certificates.
    fn renew_tls(&mut self, loaded: Option<LoadedTls>) -> io::Result<Renewal> {
        for warning in loaded.iter().flat_map(|loaded| &loaded.summary.warnings) {
            self.note_reload(Level::Warn, warning.to_string());
        }
        match (&mut self.tls, loaded) {
            (None, None) => Ok(Renewal::Other),
            (Some(tls), Some(loaded))
                if tls.loaded.summary.fingerprint == loaded.summary.fingerprint =>
            {
                Ok(Renewal::Same)
            }
            (Some(tls), Some(loaded)) => {
                tls.loaded = loaded;
                let line = match tls.loaded.summary.certificates.len() {
                    1 => "the certificate was exchanged; connections stay".to_owned(),
                    many => format!("{many} certificates were exchanged; connections stay"),
                };
                self.hand_out_certificates();
                self.note_reload(Level::Info, line);
                Ok(Renewal::New)
            }
            (tls, loaded) => {
                *tls = loaded.map(|loaded| Tls::new(loaded, clock::now())).transpose()?;
                Ok(Renewal::Other)
            }
        }
    }

    pub(super) fn answer_reloaders(&mut self) {
        if self.supervisor.is_reloading() || (!self.awaited.is_empty() && !self.stopping) {
            return;
        }
        let failed = std::mem::take(&mut self.reload_failed);
        let lines = std::mem::take(&mut self.reload_lines);
        if self.reloaders.is_empty() {
            return;
        }
        let ok = self.supervisor.all_ready()
            && !self.stopping
            && !failed
            && !report::tell_of_failure(&lines);
        let answer = ReloadAnswer { ok, lines, refused: false };
        for number in std::mem::take(&mut self.reloaders) {
            self.answer(number, &answer);
        }
    }

    pub(super) fn take_calls(&mut self) {
        while let Some(mut caller) = self.control.accept(clock::now()) {
            if self.callers.len() >= CALLERS_MAX {
                log::warn!("too many callers at the control socket: one was hung up on");
                continue;
            }
            let number = self.next_caller;
            self.next_caller = self.next_caller.wrapping_add(1);
            let interests = Interest::READABLE | Interest::WRITABLE;
            let token = Source::Caller(number).token();
            if self.poll.registry().register(&mut caller.stream, token, interests).is_ok() {
                self.callers.insert(number, caller);
                self.advance_caller(number);
            }
        }
    }

    pub(super) fn advance_caller(&mut self, number: u32) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.advance() {
            Progress::Waiting => {}
            Progress::Over => drop(self.callers.remove(&number)),
            Progress::Asked(Question::Status) => {
                let status = self.status();
                self.answer(number, &status);
            }
            Progress::Asked(Question::Survey { slot, question }) => {
                self.inspect(number, slot, &question);
            }
            Progress::Asked(Question::ReopenLogs) => {
                caller_waits(&mut self.callers, number);
                self.reopen_log(Some(number));
            }
            Progress::Asked(Question::Reload) => self.take_reloader(number, Reach::Everything),
            Progress::Asked(Question::ReloadProcesses { name }) => {
                match self.restart_programs(name.as_deref()) {
                    Ok(count) => {
                        let line = format!("processes started again: {count}");
                        self.note_reload(Level::Info, line);
                        caller_waits(&mut self.callers, number);
                        self.reloaders.push(number);
                    }
                    Err(lines) => {
                        let refused = !self.stopping;
                        self.answer(number, &ReloadAnswer { ok: false, lines, refused });
                    }
                }
            }
            Progress::Asked(Question::ReloadCertificates) => {
                self.take_reloader(number, Reach::Certificates);
            }
        }
    }

    fn take_reloader(&mut self, number: u32, reach: Reach) {
        if self.defer_reload(reach, Some(number)) {
            caller_waits(&mut self.callers, number);
        } else {
            self.take_reloaders(vec![number], reach);
        }
    }

    /// Reloads, and answers those who have asked for it now or when it is over. What goes wrong is in the log too, for whoever
    /// has sent a signal.
    pub(super) fn take_reloaders(&mut self, numbers: Vec<u32>, reach: Reach) {
        let before = self.reload_lines.len();
        let answer = match self.begin_reload(reach) {
            // Otherwise programs are on their way.
            Ok(Begun::Over) if self.awaited.is_empty() => {
                let lines = self.reload_lines.split_off(before);
                for number in &numbers {
                    caller_waits(&mut self.callers, *number);
                }
                self.renewers.extend(numbers.into_iter().map(|number| (number, lines.clone())));
                return;
            }
            Ok(Begun::Over | Begun::Replacing) => {
                for number in &numbers {
                    caller_waits(&mut self.callers, *number);
                }
                self.reloaders.extend(numbers);
                return;
            }
            Err(lines) => ReloadAnswer { ok: false, lines, refused: !self.stopping },
        };
        for number in numbers {
            self.answer(number, &answer);
        }
    }

    pub(super) fn answer(&mut self, number: u32, answer: &impl serde::Serialize) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.answer(answer, clock::now()) {
            Progress::Waiting => {}
            Progress::Over | Progress::Asked(_) => drop(self.callers.remove(&number)),
        }
    }

    pub(super) fn hang_up_on_the_slow(&mut self) {
        let now = clock::now();
        self.callers.retain(|_, caller| caller.deadline.is_none_or(|deadline| now < deadline));
    }
}

fn caller_waits(callers: &mut HashMap<u32, Caller>, number: u32) {
    if let Some(caller) = callers.get_mut(&number) {
        caller.deadline = None;
    }
}
