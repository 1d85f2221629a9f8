//! The loop of every side process: its mailbox, its link to the master, its way to all others, and the requests that it has
//! open there. Closures, task processes and the hosts of programs stand on it.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use wsmaster_ipc::{Moment, sys::clock};

use wsmaster_ipc::{
    Answer, Command, Handle, LifeEvent,
    inbox::{Closed, Inbox, Incoming},
    link::{ChildLink, Handed, Received, ToChild, ToMaster},
    sys::{memory, random, reserve, signal::TermSignal},
};
use wsmaster_workers::requester::Requester;

use super::{
    changes::Listed,
    directory::{Directory, SideProcess},
    event_loop::{EventLoop, Watch},
};
use crate::logging;

/// Packets taken from the mailbox in one turn.
pub(super) const PACKETS_PER_TURN_MAX: usize = 64;
/// How long others may take to answer.
const ASK_TIMEOUT_MS: u64 = 5_000;
/// When a full mailbox of another process is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(5);
/// Events of the server's life that wait to be read.
const LIFE_EVENTS_MAX: usize = 1024;

/// All that a side process is built from.
pub(crate) struct SideSetup {
    /// Its name and mailbox.
    pub(crate) side: SideProcess,
    /// All side processes.
    pub(crate) directory: Rc<Directory>,
    /// The receiving end of its mailbox; the master keeps it too.
    pub(crate) mailbox: OwnedFd,
    /// The line to the master.
    pub(crate) link: ChildLink,
    /// The way to all other processes.
    pub(crate) handle: Handle,
}

/// See the module. `D` is what the process wants to do with an answer, `S` what it watches beside the mailbox.
pub(super) struct ProcessLoop<D, S> {
    pub(super) side: SideProcess,
    pub(super) directory: Rc<Directory>,
    pub(super) requester: Requester<D>,
    pub(super) link: ChildLink,
    event_loop: EventLoop<Source<S>>,
    /// What the last wait has brought, kept for its memory.
    happened: Vec<Source<S>>,
    inbox: Inbox,
    /// They are left there for now.
    mail_is_paused: bool,
    /// The mailbox of another process is full, and something waits for it here.
    backlog: bool,
    term: TermSignal,
    started: Moment,
    /// Events of the server's life that are not read yet, the oldest first.
    pub(super) life: VecDeque<LifeEvent>,
    /// Those that had no room there.
    pub(super) life_dropped: u64,
}

/// What a side process watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source<S> {
    /// Packets from other processes.
    Mailbox,
    /// The link to the master.
    Link,
    /// SIGTERM.
    Term,
    /// Something of its own.
    Own(S),
}

/// What a wait has brought, beside mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Turn {
    /// The master, or a signal, asks the process to end within this time.
    pub(super) stop: Option<Duration>,
    /// The master is dead.
    pub(super) orphaned: bool,
}

/// No other process holds the sending end of the mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MasterIsDead;

/// What a process has that got a SIGTERM of its own.
const TERM_TIME: Duration = Duration::from_secs(5);

/// The longest list of names, in bytes.
const NAMES_BYTES_MAX: usize = 1024 * 1024;

fn names_in(file: OwnedFd) -> io::Result<Vec<Listed>> {
    Ok(serde_json::from_slice(&memory::read_sealed_file(file, NAMES_BYTES_MAX)?)?)
}

impl<D, S: Copy> ProcessLoop<D, S> {
    pub(super) fn new(setup: SideSetup) -> io::Result<Self> {
        let SideSetup { side, directory, mailbox, link, handle } = setup;
        let mut event_loop = EventLoop::new()?;
        reserve::begin()?;
        let inbox = Inbox::new(mailbox, handle.own_address(), handle.shared_state().clone());
        let term = TermSignal::new()?;
        event_loop.watch(Source::Mailbox, inbox.as_fd(), Watch::Readable)?;
        event_loop.watch(Source::Link, link.as_fd(), Watch::Readable)?;
        event_loop.watch(Source::Term, term.as_fd(), Watch::Readable)?;
        let first = random::seed()? / 2;
        Ok(Self {
            side,
            directory,
            requester: Requester::new(handle.for_a_loop(), first, ASK_TIMEOUT_MS),
            link,
            event_loop,
            happened: Vec::new(),
            inbox,
            mail_is_paused: false,
            backlog: false,
            term,
            started: clock::now(),
            life: VecDeque::new(),
            life_dropped: 0,
        })
    }

    /// The clock of this process, in ms.
    pub(super) fn now_ms(&self) -> u64 {
        (clock::now() - self.started).as_millis() as u64
    }

    /// Watches a descriptor of the process itself, for both directions.
    pub(super) fn watch(&mut self, own: S, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.event_loop.watch(Source::Own(own), descriptor, Watch::Both)
    }

    /// Waits for something to happen, no longer than `timeout`, and adds what happened to sources of the process itself.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, own: &mut Vec<S>) -> io::Result<Turn> {
        let timeout = self.timeout(timeout);
        let mut happened = std::mem::take(&mut self.happened);
        happened.clear();
        self.event_loop.wait(timeout, &mut happened)?;
        let mut turn = Turn::default();
        for source in &happened {
            match *source {
                Source::Mailbox => self.inbox.set_has_mail(true),
                Source::Link => self.read_link(&mut turn),
                Source::Term => {
                    if self.term.take() {
                        turn.stop.get_or_insert(TERM_TIME);
                    }
                }
                Source::Own(source) => own.push(source),
            }
        }
        self.happened = happened;
        Ok(turn)
    }

    /// How long the loop may sleep when it has nothing else to do before `timeout`.
    fn timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.inbox.has_mail() && !self.mail_is_paused {
            return Some(Duration::ZERO);
        }
        let backlog = self.backlog.then_some(BACKLOG_RETRY);
        let deadline = self.requester.next_ms();
        let deadline =
            deadline.map(|at_ms| Duration::from_millis(at_ms.saturating_sub(self.now_ms())));
        timeout.into_iter().chain(backlog).chain(deadline).min()
    }

    fn read_link(&mut self, turn: &mut Turn) {
        loop {
            let (received, descriptor) = self.link.receive_with();
            match received {
                Received::Message(message) => self.obey(message, descriptor, turn),
                Received::Malformed => log::warn!("malformed message from the master ignored"),
                Received::Empty => return,
                Received::Closed => {
                    turn.orphaned = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, message: ToChild, descriptor: Option<OwnedFd>, turn: &mut Turn) {
        match message {
            ToChild::Stop { deadline_ms, .. } | ToChild::Drain { deadline_ms, .. } => {
                turn.stop = Some(Duration::from_millis(deadline_ms));
            }
            // It has no listener and no client, and is asked for none.
            ToChild::Relay
            | ToChild::Elder
            | ToChild::CloseClients
            | ToChild::Cover { .. }
            | ToChild::Uncover { .. }
            | ToChild::Retire { .. }
            | ToChild::Certificates { .. }
            | ToChild::TicketKeys { .. } => {}
            ToChild::Names => match descriptor.map(names_in) {
                Some(Ok(names)) => Rc::make_mut(&mut self.directory).rename(names),
                Some(Err(_)) | None => {
                    log::warn!(
                        "new names of side processes not received; still using the old ones"
                    );
                }
            },
            ToChild::TakeLog { number } => {
                let what = Handed::Log;
                self.link.send(&match descriptor.map(logging::take) {
                    Some(()) => ToMaster::Taken { what, number },
                    // The descriptors have run out, and the master tries again.
                    None => ToMaster::NotTaken { what, number },
                });
            }
            ToChild::Life { .. } if self.life.len() >= LIFE_EVENTS_MAX => self.life_dropped += 1,
            ToChild::Life { what } => self.life.push_back(what),
        }
    }

    /// Whether the mail is left in the mailbox for now: then it does not wake this process.
    pub(super) fn pause_mail(&mut self, paused: bool) {
        self.mail_is_paused = paused;
    }

    /// Whether there may be mail.
    pub(super) fn has_mail(&self) -> bool {
        self.inbox.has_mail()
    }

    /// Takes what has come in the mailbox, at most so many packets. The rest waits there, which is full for its senders when
    /// it is. Answers go to the requester, and come out of `answered`; everything else goes to `each`, or to `lost` when its
    /// body did not arrive.
    ///
    /// # Errors
    /// The master is dead.
    pub(super) fn take_packets(
        &mut self,
        packets_max: usize,
        mut answered: impl FnMut(D, wsmaster_workers::pending::Reply),
        mut each: impl FnMut(&Directory, &Command<'_>),
        mut lost: impl FnMut(&Command<'_>),
    ) -> Result<(), MasterIsDead> {
        let Self { inbox, requester, directory, .. } = self;
        let taken = inbox.take(packets_max, false, |incoming| match incoming {
            Incoming::Command(command) => match requester.take(command) {
                Ok(Some((done, reply))) => answered(done, reply),
                Ok(None) => {}
                Err(command) => each(directory, &command),
            },
            Incoming::Bodiless(command) => {
                log::warn!("a large message was lost: no descriptor was left to take it");
                match answer_bodiless(requester, &command) {
                    Some((done, reply)) => answered(done, reply),
                    None => lost(&command),
                }
            }
            Incoming::Bad => log::warn!("a packet that cannot be read was thrown away"),
        });
        taken.map_err(|Closed| MasterIsDead)?;
        let now_ms = self.now_ms();
        while let Some((done, reply)) = self.requester.expire(now_ms) {
            answered(done, reply);
        }
        Ok(())
    }

    /// Sends what has been gathered for others.
    pub(super) fn flush(&mut self) {
        self.backlog = !self.requester.handle().flush();
    }
}

/// Tells whoever waits for an answer to a command that it came without its body. What is complete by that, when the command
/// was an answer itself.
fn answer_bodiless<D>(
    requester: &mut Requester<D>,
    command: &Command<'_>,
) -> Option<(D, wsmaster_workers::pending::Reply)> {
    match *command {
        Command::Answer { from, request, ref answer, ticket: _ } => {
            requester.unreadable(request, from, answer)
        }
        Command::Request { ticket, .. } => {
            if let Some(ticket) = ticket {
                // A full mailbox is counted, and the requester's deadline reports it.
                let _ = requester.handle().answer(ticket, Answer::NoRoom);
            }
            None
        }
        Command::Note(_) => None,
    }
}
