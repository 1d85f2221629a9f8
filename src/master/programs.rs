//! Programs that come, change and go at a reload, as the master carries it out. What is to happen is decided by
//! [`Changes`], and by the supervisor.

use std::{io, os::fd::AsFd};

use log::Level;
use wsmaster_ipc::{
    link::ToChild,
    mailbox::{Mail, Mailbox},
    side_status::SideStatus,
    sys::{memory::sealed_file, process},
};
use wsmaster_workers::Handler;

use super::{Master, Role, forking, report};
use crate::{
    config::Config,
    programs,
    side::{Changes, Installed},
    supervisor::{ChildId, ChildState, Event, Overdue, Phase, RecycleReason, Report},
    worker_info::WorkerInfo,
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// What a configuration changes about the programs; or why it cannot.
    pub(super) fn compare_programs(
        &self,
        config: &Config,
        fingerprints: &std::collections::HashMap<String, u64>,
    ) -> Result<Changes, String> {
        let is_touched = |number: usize| {
            let name = self.directory.sides().get(number).map(|side| side.name.as_str());
            let then = self.child_in(number).and_then(|child| child.files);
            let now = name.and_then(|name| fingerprints.get(name).copied());
            then.zip(now).is_some_and(|(then, now)| then != now)
        };
        // Workers that know who had the place before would take the next one for it.
        let oldest = self.supervisor.oldest_generation();
        let is_free = |number: usize| {
            let child = self.child_id(number);
            let is_forgotten = |freed: &u64| oldest.is_none_or(|oldest| oldest >= *freed);
            self.supervisor.state(child) == Some(&ChildState::Vacant)
                && self.freed.get(&child).is_none_or(is_forgotten)
        };
        self.directory.change(&Installed::all_of(config), is_touched, is_free)
    }

    /// Starts who comes, has those replaced that have changed, and remembers who is to go. Workers that are forked from now
    /// on know them as they are; the side processes that live on are told.
    pub(super) fn change_programs(&mut self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        let Changes { directory, changed, added, retired } = changes;
        self.directory = directory.into();
        let next = self.supervisor.generation() + 1;
        for number in retired {
            let child = self.child_id(number);
            self.retiring.push((child, next));
            let name = self.side_name(number);
            let line = format!("process {name}: removed; it ends when no worker knows it any more");
            self.note_reload(Level::Info, line);
        }
        if !added.is_empty()
            && let Err(error) = process::adopt_orphans()
        {
            log::warn!("what new programs leave behind may not be found: {error}");
        }
        for number in added {
            let (child, name) = (self.child_id(number), self.side_name(number));
            if let Err(error) = self.prepare_place(number) {
                log::warn!("the mailbox of {name} could not be emptied: {error}");
            }
            self.freed.remove(&child);
            self.awaited.insert(child);
            self.note_reload(Level::Info, format!("process {name}: new"));
            let spec = forking::spec(&self.config, &self.processes, &self.directory, number);
            self.tell(Event::Install { child, spec });
        }
        for number in changed {
            let name = self.side_name(number);
            self.note_reload(Level::Info, format!("process {name}: changed, and started again"));
            self.replace_program(number, RecycleReason::Changed);
        }
        self.tell_names();
    }

    /// Starts side processes again, all of them or those with this name: their number.
    ///
    /// # Errors
    /// Why none was started again, a line each.
    pub(super) fn restart_programs(&mut self, name: Option<&str>) -> Result<usize, Vec<String>> {
        if self.stopping {
            return Err(vec!["the server is stopping".to_owned()]);
        }
        if let Err(errors) = programs::fingerprints(&self.config) {
            return Err(errors.iter().map(ToString::to_string).collect());
        }
        let sides = self.directory.sides();
        let is_meant = |number: &usize| {
            let side = &sides[*number];
            let is_there = !side.name.is_empty() && !side.is_retired;
            is_there && name.is_none_or(|name| name == side.name || name == side.full_name())
        };
        let meant: Vec<usize> = (0..sides.len()).filter(is_meant).collect();
        if let (Some(name), true) = (name, meant.is_empty()) {
            let mut names: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
            names.retain(|name| !name.is_empty());
            names.dedup();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(vec![format!("there is no process {name:?}; there are: {names}")]);
        }
        for number in &meant {
            self.replace_program(*number, RecycleReason::Asked);
        }
        Ok(meant.len())
    }

    fn replace_program(&mut self, number: usize, why: RecycleReason) {
        let child = self.child_id(number);
        let spec = forking::spec(&self.config, &self.processes, &self.directory, number);
        self.awaited.insert(child);
        self.tell(Event::Replace { child, spec, why });
    }

    /// Ends programs that were removed once no worker is left that knows them.
    pub(super) fn let_programs_go(&mut self) {
        if self.retiring.is_empty() || self.stopping {
            return;
        }
        let oldest = self.supervisor.oldest_generation();
        let may_go = |next: u64| oldest.is_some_and(|oldest| oldest >= next);
        let (go, stay) =
            std::mem::take(&mut self.retiring).into_iter().partition(|(_, next)| may_go(*next));
        self.retiring = stay;
        let go: Vec<(ChildId, u64)> = go;
        for (child, _) in go {
            self.tell(Event::Remove { child });
        }
    }

    /// Whether a program came up that somebody waits for, and whether one has gone.
    pub(super) fn note_of_program(&mut self, report: &Report) {
        if let Report::Removed { child } = report {
            // Workers that are forked from the next reload on know that it is not there.
            self.freed.insert(*child, self.supervisor.generation() + 1);
            if let Some(number) = usize::from(child.0).checked_sub(self.seats.len()) {
                std::rc::Rc::make_mut(&mut self.directory).vacate(number);
            }
        }
        let (child, trouble) = if let Report::Ready { child, .. } = report {
            (*child, None)
        } else if let Report::Died { child, how, phase: Phase::Starting, .. } = report {
            let is_done = matches!(self.supervisor.state(*child), Some(ChildState::GivenUp { .. }));
            let trouble = format!("ended with {} before it was ready", report::ended(*how));
            // One that runs once, and well, need not say that it is ready.
            (*child, Some(trouble).filter(|_| !is_done || !how.is_success()))
        } else if let Report::Overdue { child, what: Overdue::Ready, .. } = report {
            (*child, Some("is not ready in time".to_owned()))
        } else if let Report::ForkFailed { child, reason } = report {
            (*child, Some(format!("cannot be forked: {reason}")))
        } else {
            return;
        };
        if !self.awaited.remove(&child) {
            return;
        }
        if let Some(trouble) = trouble {
            let number = usize::from(child.0).saturating_sub(self.seats.len());
            let name = self.side_name(number);
            let words = self.last_words.get(&child).map_or_else(String::new, |words| {
                format!("; its last words: {}", crate::logging::escape(words))
            });
            self.note_reload(
                Level::Error,
                format!("process {name} does not come up: it {trouble}{words}; it is tried again"),
            );
            self.reload_failed = true;
        }
    }

    /// Tells side processes who is where now. Workers learn it when they are forked.
    fn tell_names(&self) {
        let names = serde_json::to_vec(&self.directory.listed()).map_err(io::Error::from);
        let file = match names.and_then(|names| sealed_file(&names)) {
            Ok(file) => file,
            Err(error) => {
                log::warn!("side processes cannot be told who has come and gone: {error}");
                return;
            }
        };
        for (pid, child) in &self.children {
            if matches!(child.role, Role::Side(_))
                && !child.link.send_with(&ToChild::Names, file.as_fd())
            {
                log::warn!("{} does not hear who has come and gone", self.name_of(*pid));
            }
        }
    }

    /// Empties what a new program is given: nobody is to read what was meant for another.
    fn prepare_place(&self, number: usize) -> io::Result<()> {
        let Some(side) = self.directory.sides().get(number) else { return Ok(()) };
        let status = SideStatus::of(&self.shared_state, side.address);
        status.clear_counters();
        let mailbox = self.mailboxes.get(usize::from(side.address.0));
        let mailbox = mailbox.ok_or(io::ErrorKind::InvalidInput)?;
        let mut mailbox = Mailbox::new(mailbox.reader.try_clone()?);
        while !matches!(mailbox.receive(false), Mail::Empty | Mail::Closed) {}
        self.shared_state.no_attached(side.address);
        // What comes before it is forked waits for it.
        status.begin_incarnation();
        Ok(())
    }

    fn child_in(&self, number: usize) -> Option<&super::Child> {
        let process = self.supervisor.state(self.child_id(number))?.process()?;
        self.children.get(&process.pid)
    }

    fn child_id(&self, number: usize) -> ChildId {
        ChildId((self.seats.len() + number) as u16)
    }

    fn side_name(&self, number: usize) -> String {
        let side = self.directory.sides().get(number);
        side.map_or_else(String::new, crate::side::SideProcess::full_name)
    }
}
