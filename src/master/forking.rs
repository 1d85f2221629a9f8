//! How a child comes to be: what it takes with it from the master, and what it does first.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use mio::{Interest, unix::SourceFd};
use wsmaster_ipc::{
    Address, Handle, Slot,
    link::{self, ChildLink, MasterLink, ToChild, ToMaster},
    mailbox_sender::MailboxSender,
    relay,
    side_status::SideStatus,
    sys::{daemon, process, title},
};
use wsmaster_workers::{Handler, Worker, WorkerSetup};

use super::{Child, Master, Role, lost, settings, surroundings::Kind, tls::Tls, token::Source};
use crate::{
    config::{Config, Restart},
    logging,
    side::{self, Body, Directory, Process, SideProcess, SideSetup, TaskInfo},
    supervisor::{ChildId, ChildSpec, Pid, RestartPolicy},
    worker_info::WorkerInfo,
};

/// What the host of a program, and the kernel, have to end a side process after its own time.
const GRACE: Duration = Duration::from_secs(1);

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Forks a child into its place. All that it needs is duplicated before the fork and moved into it, so it holds these
    /// descriptors and no others.
    pub(super) fn fork(&mut self, child: ChildId) -> io::Result<Pid> {
        match usize::from(child.0).checked_sub(self.seats.len()) {
            None => self.fork_worker(child),
            Some(number) => self.fork_side(number),
        }
    }

    fn fork_worker(&mut self, child: ChildId) -> io::Result<Pid> {
        let slot = Slot::new(child.0).ok_or(io::ErrorKind::InvalidInput)?;
        let kept = self.seats.get_mut(usize::from(child.0)).ok_or(io::ErrorKind::InvalidInput)?;
        kept.forks += 1;
        let generation = kept.forks;
        let listeners = self.listeners.of_slot(child.0)?;
        let tls = self.tls.as_ref().map(Tls::for_a_worker).transpose()?;
        let elder = self.join_to_elder(child);
        let ChildResources { mailbox, link, child_link, handle, mut keep } =
            self.child_resources(slot.address())?;
        keep.extend(listeners.iter().map(|listening| listening.socket.as_fd().as_raw_fd()));
        keep.extend(elder.as_ref().map(AsRawFd::as_raw_fd));
        if let Some(sealed) = &tls {
            keep.extend([sealed.credentials.as_raw_fd(), sealed.ticket_keys.as_raw_fd()]);
        }
        let seat = WorkerSetup {
            slot,
            generation,
            listeners,
            proxies: settings::proxies(&self.config),
            handshakes: settings::handshakes(&self.config),
            mailbox,
            link: child_link,
            handle,
            elder,
            limits: settings::limits(&self.config),
            tls,
            connections: Vec::new(),
            take_log: Box::new(logging::take),
        };
        let directory = self.directory.clone();
        let info = WorkerInfo { slot, config: self.config.clone(), directory };
        let (make, surroundings, master) = (&self.make, &self.surroundings, process::own_pid());
        let in_background = self.in_background;
        let next_serial = lost::next_serial(&self.shared_state, slot);
        let pid = process::fork_child(keep, move || {
            title::set(&format!("wsmaster: worker {slot}"));
            logging::set_role(&format!("worker {slot}"));
            if let Err(reason) = surroundings.enter(Kind::Worker(slot.number()), master) {
                seat.link.send(&ToMaster::Failed { reason });
                return 1;
            }
            if seat.tls.is_some()
                && let Err(error) = process::keep_secrets()
            {
                log::warn!("a core file of this process would have private keys in it: {error}");
            }
            work(seat, make(&info), in_background)
        })?;
        let stats = self.shared_state.worker_stats(slot, generation);
        let pid = self.remember(pid, Role::Worker(stats), link)?;
        if let Some(kept) = self.seats.get_mut(usize::from(child.0)) {
            kept.tenures.begin(pid, next_serial);
            kept.processes.push(pid);
        }
        Ok(pid)
    }

    /// Makes the line between the worker of a slot that is leaving, if one is, and its successor, and hands the older one its end.
    /// The successor's end. Without one, what is for the older one's clients is lost, and said to be.
    fn join_to_elder(&mut self, child: ChildId) -> Option<OwnedFd> {
        let kept = self.seats.get_mut(usize::from(child.0))?;
        kept.processes.retain(|pid| self.children.contains_key(pid));
        let elder = self.children.get(kept.processes.last()?)?;
        let (writer, reader) = relay::pair()
            .inspect_err(|error| {
                log::warn!("a leaving worker is not joined to its successor: {error}");
            })
            .ok()?;
        elder.link.send_with(&ToChild::Relay, reader.as_fd()).then_some(writer)
    }

    /// A worker has ended. Where it stood between two of its slot, the younger one is joined to the older one.
    pub(super) fn join_around(&mut self, gone: Pid) {
        let seat = self.seats.iter_mut().find(|seat| seat.processes.contains(&gone));
        let Some(processes) = seat.map(|seat| &mut seat.processes) else { return };
        let Some(place) = processes.iter().position(|pid| *pid == gone) else { return };
        processes.remove(place);
        let elder =
            place.checked_sub(1).and_then(|before| self.children.get(processes.get(before)?));
        let younger = processes.get(place).and_then(|pid| self.children.get(pid));
        let (Some(elder), Some(younger)) = (elder, younger) else { return };
        match relay::pair() {
            Ok((writer, reader)) => {
                if elder.link.send_with(&ToChild::Relay, reader.as_fd()) {
                    younger.link.send_with(&ToChild::Elder, writer.as_fd());
                }
            }
            Err(error) => log::warn!("a leaving worker is not joined to those after it: {error}"),
        }
    }

    fn fork_side(&mut self, number: usize) -> io::Result<Pid> {
        let side =
            self.directory.sides().get(number).cloned().ok_or(io::ErrorKind::InvalidInput)?;
        let ChildResources { mailbox, link, child_link, handle, mut keep } =
            self.child_resources(side.address)?;
        let queues = self.task_queues(&side)?;
        keep.extend(queues.iter().flatten().map(|queue| queue.as_fd().as_raw_fd()));
        let seat = SideSetup {
            side: side.clone(),
            directory: self.directory.clone(),
            mailbox,
            link: child_link,
            handle,
        };
        let (surroundings, master) = (&self.surroundings, process::own_pid());
        let in_background = self.in_background;
        let (config, processes, mark) = (&self.config, &self.processes, self.mark.as_str());
        let tasks = self.tasks.as_ref();
        let inheritance = surroundings.inheritance();
        SideStatus::of(&self.shared_state, side.address).begin_incarnation();
        let pid = process::fork_child(keep, move || {
            title::set(&format!("wsmaster: process {}", side.full_name()));
            // A program with a user of its own is started as that user, which its host must be able to do.
            let starts_as_root = match &side.body {
                Body::Closure(_) | Body::Tasks | Body::Vacant => false,
                Body::Program(program) => program.config.user.is_some(),
            };
            if let Err(reason) = surroundings.enter(Kind::Side { starts_as_root }, master) {
                seat.link.send(&ToMaster::Failed { reason });
                return 1;
            }
            if in_background {
                leave_streams();
            }
            match &side.body {
                Body::Closure(closure) => {
                    processes.get(*closure).map_or(1, |process| process.run(seat))
                }
                Body::Program(program) => side::host(seat, config, program, mark, inheritance),
                Body::Vacant => 1,
                Body::Tasks => {
                    let info = TaskInfo { number: side.instance, config: config.clone() };
                    queues
                        .zip(tasks)
                        .map_or(1, |(queues, tasks)| side::serve_tasks(seat, queues, tasks, &info))
                }
            }
        })?;
        self.remember(pid, Role::Side(number), link)
    }

    /// What every child takes with it, and the master's end of the line to it.
    fn child_resources(&self, own: Address) -> io::Result<ChildResources> {
        let mailbox = self.mailboxes.get(usize::from(own.0)).ok_or(io::ErrorKind::InvalidInput)?;
        let mailbox = mailbox.reader.try_clone()?;
        let (link, child_link) = link::pair()?;
        let writers = self
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.writer.try_clone())
            .collect::<io::Result<Vec<_>>>()?;
        let mut keep: Vec<RawFd> = writers.iter().map(AsRawFd::as_raw_fd).collect();
        keep.extend([
            mailbox.as_raw_fd(),
            child_link.as_fd().as_raw_fd(),
            self.shared_state.file().as_raw_fd(),
        ]);
        logging::with_descriptor(|file| keep.extend(file.map(|file| file.as_raw_fd())));
        let sender = MailboxSender::new(writers, self.config.limits.backlog_bytes_max);
        let tasks = self.directory.tasks();
        let handle = Handle::new(own, self.shared_state.clone(), sender).with_tasks(tasks);
        Ok(ChildResources { mailbox, link, child_link, handle, keep })
    }

    fn remember(&mut self, pid: i32, role: Role, link: MasterLink) -> io::Result<Pid> {
        let pid = Pid(pid as u32);
        let descriptor = link.as_fd().as_raw_fd();
        let token = Source::Child(pid.0).token();
        self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        self.children.insert(pid, Child { role, link, program: None, files: None });
        Ok(pid)
    }
}

struct ChildResources {
    mailbox: OwnedFd,
    link: MasterLink,
    child_link: ChildLink,
    handle: Handle,
    keep: Vec<RawFd>,
}

/// What the supervisor is to know of the side process in a place.
pub(super) fn spec(
    config: &Config,
    processes: &[Process],
    directory: &Directory,
    number: usize,
) -> ChildSpec {
    let name = directory.sides().get(number).map_or_else(String::new, SideProcess::full_name);
    ChildSpec {
        name,
        restart: restart(processes, directory, number),
        reloadable: false,
        listens: false,
        stop_timeout: Some(stop_timeout(config, processes, directory, number) + GRACE),
    }
}

/// When a side process is started again.
fn restart(processes: &[Process], directory: &Directory, number: usize) -> RestartPolicy {
    let Some(side) = directory.sides().get(number) else { return RestartPolicy::Never };
    match &side.body {
        Body::Closure(number) => {
            processes.get(*number).map_or(RestartPolicy::Never, |process| process.restart)
        }
        Body::Program(program) => match program.config.restart {
            Restart::Always => RestartPolicy::Always,
            Restart::OnFailure => RestartPolicy::OnFailure,
            Restart::Never => RestartPolicy::Never,
        },
        Body::Tasks => RestartPolicy::Always,
        Body::Vacant => RestartPolicy::Never,
    }
}

/// How long a side process may take to end.
pub(super) fn stop_timeout(
    config: &Config,
    processes: &[Process],
    directory: &Directory,
    number: usize,
) -> Duration {
    let Some(side) = directory.sides().get(number) else { return Duration::ZERO };
    match &side.body {
        Body::Closure(number) => {
            processes.get(*number).map_or(Duration::ZERO, |process| process.stop_timeout)
        }
        Body::Program(program) => program.config.stop_timeout,
        Body::Tasks => config.server.stop_timeout,
        Body::Vacant => Duration::ZERO,
    }
}

/// The longest that any side process may take to end.
pub(super) fn stop_timeout_max(
    config: &Config,
    processes: &[Process],
    directory: &Directory,
) -> Option<Duration> {
    let is_somebody = |number: &usize| {
        directory.sides().get(*number).is_some_and(|side| side.body != Body::Vacant)
    };
    (0..directory.sides().len())
        .filter(is_somebody)
        .map(|number| stop_timeout(config, processes, directory, number))
        .max()
}

fn leave_streams() {
    match daemon::leave_streams() {
        Ok(()) => logging::leave_streams(),
        Err(error) => log::warn!("cannot detach from the terminal: {error}"),
    }
}

fn work<H: Handler>(seat: WorkerSetup, handler: H, in_background: bool) -> i32 {
    let worker = match Worker::new(seat, handler) {
        Ok(worker) => worker,
        Err(error) => {
            log::error!("the worker's event loop cannot be set up: {error}");
            return 1;
        }
    };
    // Until here what went wrong could be read where the server was started; a worker that serves must not keep that
    // terminal, or the pipe of a program that waits for its end.
    if in_background {
        leave_streams();
    }
    match worker.run() {
        Ok(()) => 0,
        Err(error) => {
            log::error!("the worker ends: polling its event loop failed: {error}");
            1
        }
    }
}
