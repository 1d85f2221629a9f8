//! What every side process has: a mailbox, a line to the master, a way to all others, and questions of its own. Closures and
//! the hosts of programs stand on it.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    rc::Rc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use wsmaster_ipc::{
    Answer, Command, Handle, LifeEvent,
    link::{ChildLink, Handed, Received, ToChild, ToMaster},
    mailbox::{Mail, Mailbox},
    sys::{memory, random, reserve, signal::TermSignal},
    wire,
};
use wsmaster_workers::asker::Asker;

use super::{
    changes::Listed,
    directory::{Directory, SideProcess},
};
use crate::logging;

/// Packets taken from the mailbox in one turn.
pub(super) const PACKETS_PER_TURN_MAX: usize = 64;
/// How long others may take to answer.
const ASK_TIMEOUT_MS: u64 = 5_000;
/// How soon a full mailbox of another process is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(5);
const EVENTS_MAX: usize = 64;
/// News of the server's life that wait to be looked at.
const LIFE_EVENTS_MAX: usize = 1024;

/// All that a side process is built from.
pub(crate) struct SideSetup {
    /// What it is called, and its mailbox.
    pub(crate) side: SideProcess,
    /// Who else there is.
    pub(crate) directory: Rc<Directory>,
    /// The receiving end of its mailbox; the master keeps it too.
    pub(crate) mailbox: OwnedFd,
    /// The line to the master.
    pub(crate) link: ChildLink,
    /// The way to all other processes.
    pub(crate) handle: Handle,
}

/// See the module. `D` is what the process wants to do with an answer.
pub(super) struct ProcessLoop<D> {
    pub(super) side: SideProcess,
    pub(super) directory: Rc<Directory>,
    pub(super) asker: Asker<D>,
    pub(super) link: ChildLink,
    poll: Poll,
    events: Events,
    mailbox: Mailbox,
    mail_waits: bool,
    mail_rests: bool,
    backlog: bool,
    term: TermSignal,
    started: Instant,
    /// News of the server's life that nobody has looked at, the oldest first.
    pub(super) life: VecDeque<LifeEvent>,
    /// News that had no room there.
    pub(super) life_dropped: u64,
}

/// What happened in a turn, beside mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Noted {
    /// The master, or a signal, says that it is time to go; this long is left.
    pub(super) stop: Option<Duration>,
    /// The master is dead.
    pub(super) orphaned: bool,
}

/// Nobody else holds the other end of the mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MasterIsDead;

const MAILBOX: Token = Token(0);
const LINK: Token = Token(1);
const TERM: Token = Token(2);
/// The first number that is free for descriptors of the process itself.
const FIRST_OWN: usize = 16;
/// What a process has that got a SIGTERM of its own.
const TERM_TIME: Duration = Duration::from_secs(5);

/// The longest list of names, in bytes.
const NAMES_BYTES_MAX: usize = 1024 * 1024;

fn names_in(file: OwnedFd) -> io::Result<Vec<Listed>> {
    Ok(serde_json::from_slice(&memory::read_sealed_file(file, NAMES_BYTES_MAX)?)?)
}

impl<D> ProcessLoop<D> {
    pub(super) fn new(seat: SideSetup) -> io::Result<Self> {
        let SideSetup { side, directory, mailbox, link, handle } = seat;
        let poll = Poll::new()?;
        reserve::begin()?;
        let mailbox = Mailbox::new(mailbox);
        let term = TermSignal::new()?;
        for (descriptor, token) in
            [(mailbox.as_fd(), MAILBOX), (link.as_fd(), LINK), (term.as_fd(), TERM)]
        {
            let descriptor = descriptor.as_raw_fd();
            poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        }
        let first = random::seed()? / 2;
        Ok(Self {
            side,
            directory,
            asker: Asker::new(handle.for_a_loop(), first, ASK_TIMEOUT_MS),
            link,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            mailbox,
            // What came while nobody was in the seat waits in the kernel, and will not be told of again.
            mail_waits: true,
            mail_rests: false,
            backlog: false,
            term,
            started: Instant::now(),
            life: VecDeque::new(),
            life_dropped: 0,
        })
    }

    /// The clock of this process, in ms.
    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Watches a descriptor of the process itself, for both directions.
    pub(super) fn watch(&self, own: usize, descriptor: RawFd) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Token(FIRST_OWN + own);
        self.poll.registry().register(&mut SourceFd(&descriptor), token, interests)
    }

    /// No longer watches it.
    pub(super) fn unwatch(&self, descriptor: RawFd) {
        let _ = self.poll.registry().deregister(&mut SourceFd(&descriptor));
    }

    /// Waits for something to happen, `patience` at most, and hands out the numbers of own descriptors that something
    /// happened to.
    pub(super) fn wait(
        &mut self,
        patience: Option<Duration>,
        own: &mut Vec<usize>,
    ) -> io::Result<Noted> {
        let mut patience = patience;
        if self.mail_waits && !self.mail_rests {
            patience = Some(Duration::ZERO);
        }
        if self.backlog {
            patience = Some(patience.map_or(BACKLOG_RETRY, |wait| wait.min(BACKLOG_RETRY)));
        }
        if let Some(at_ms) = self.asker.next_ms() {
            let wait = Duration::from_millis(at_ms.saturating_sub(self.now_ms()));
            patience = Some(patience.map_or(wait, |other| other.min(wait)));
        }
        let mut noted = Noted::default();
        match self.poll.poll(&mut self.events, patience) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(noted),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            match event.token() {
                MAILBOX => self.mail_waits = true,
                LINK => loop {
                    let (received, descriptor) = self.link.receive_with();
                    match received {
                        Received::Message(
                            ToChild::Stop { deadline_ms, .. } | ToChild::Drain { deadline_ms, .. },
                        ) => noted.stop = Some(Duration::from_millis(deadline_ms)),
                        // It has no listener and no client, and is asked for none.
                        Received::Message(
                            ToChild::Relay
                            | ToChild::Elder
                            | ToChild::CloseClients
                            | ToChild::Cover { .. }
                            | ToChild::Uncover { .. }
                            | ToChild::Retire { .. }
                            | ToChild::Certificates { .. }
                            | ToChild::TicketKeys { .. },
                        ) => {}
                        Received::Message(ToChild::Names) => match descriptor.map(names_in) {
                            Some(Ok(names)) => Rc::make_mut(&mut self.directory).rename(names),
                            Some(Err(_)) | None => {
                                log::warn!("the new names of other processes were not received");
                            }
                        },
                        Received::Message(ToChild::TakeLog { number }) => {
                            let what = Handed::Log;
                            self.link.send(&match descriptor.map(logging::take) {
                                Some(()) => ToMaster::Taken { what, number },
                                // The descriptors have run out, and the master tries again.
                                None => ToMaster::NotTaken { what, number },
                            });
                        }
                        Received::Message(ToChild::Life { .. })
                            if self.life.len() >= LIFE_EVENTS_MAX =>
                        {
                            self.life_dropped += 1;
                        }
                        Received::Message(ToChild::Life { what }) => self.life.push_back(what),
                        Received::Malformed => log::warn!("the master said what is not understood"),
                        Received::Empty => break,
                        Received::Closed => {
                            noted.orphaned = true;
                            break;
                        }
                    }
                },
                TERM => {
                    if self.term.take() {
                        noted.stop.get_or_insert(TERM_TIME);
                    }
                }
                Token(number) => own.extend(number.checked_sub(FIRST_OWN)),
            }
        }
        Ok(noted)
    }

    /// Says whether the mail is left in the mailbox for now: then it wakes nobody.
    pub(super) fn let_mail_rest(&mut self, rests: bool) {
        self.mail_rests = rests;
    }

    /// Whether there may be mail.
    pub(super) fn has_mail(&self) -> bool {
        self.mail_waits
    }

    /// Takes what has come in the mailbox, at most so many packets. The rest waits there, which is full for its senders when
    /// it is. Answers go to the asker, and come out of `answered`; everything else goes to `each`, or to `lost` when its
    /// body did not arrive.
    ///
    /// # Errors
    /// Nobody can send to this process any more.
    pub(super) fn take_packets(
        &mut self,
        packets_max: usize,
        mut answered: impl FnMut(D, wsmaster_workers::asks::Reply),
        mut each: impl FnMut(&Directory, &Command<'_>),
        mut lost: impl FnMut(&Command<'_>),
    ) -> Result<(), MasterIsDead> {
        let Self { mailbox, asker, directory, .. } = self;
        let own = asker.handle().own_address();
        for _ in 0..packets_max {
            let may_have_body = asker.handle().shared_state().attached_bytes(own) > 0;
            let packet = match mailbox.receive(may_have_body) {
                Mail::Empty => {
                    asker.handle().shared_state().no_attached(own);
                    self.mail_waits = false;
                    break;
                }
                Mail::Bad => {
                    log::warn!("a packet that cannot be read was thrown away");
                    continue;
                }
                Mail::Bodiless(bytes) => {
                    log::warn!("a large message was lost: no descriptor was left to take it");
                    let Ok((command, body_bytes)) = wire::bodiless(bytes) else { continue };
                    asker.handle().shared_state().take_attached(own, body_bytes as u64);
                    if let Some((done, reply)) = answer_bodiless(asker, &command) {
                        answered(done, reply);
                    } else {
                        lost(&command);
                    }
                    continue;
                }
                Mail::Packet(packet) => packet,
                Mail::Closed => return Err(MasterIsDead),
            };
            if let Some(body) = &packet.attachment {
                asker.handle().shared_state().take_attached(own, body.len() as u64);
            }
            for command in wire::decode(packet.bytes, packet.attachment.as_deref()) {
                let Ok(command) = command else {
                    log::warn!("a packet that cannot be read was thrown away");
                    break;
                };
                match asker.take(command) {
                    Ok(Some((done, reply))) => answered(done, reply),
                    Ok(None) => {}
                    Err(command) => each(directory, &command),
                }
            }
        }
        let now_ms = self.now_ms();
        while let Some((done, reply)) = self.asker.expire(now_ms) {
            answered(done, reply);
        }
        Ok(())
    }

    /// Sends what has gathered for others.
    pub(super) fn flush(&mut self) {
        self.backlog = !self.asker.handle().flush();
    }
}

/// Tells whoever waits for an answer to a command that it came without its body. What is complete by that, when the command
/// was an answer itself.
fn answer_bodiless<D>(
    asker: &mut Asker<D>,
    command: &Command<'_>,
) -> Option<(D, wsmaster_workers::asks::Reply)> {
    match *command {
        Command::Answer { from, request, ref answer, ticket: _ } => {
            asker.unreadable(request, from, answer)
        }
        Command::Push { ticket, .. }
        | Command::Broadcast { ticket, .. }
        | Command::Publish { ticket, .. }
        | Command::Disconnect { ticket, .. }
        | Command::Event { ticket, .. } => {
            if let Some(ticket) = ticket {
                let from = asker.handle().own_address();
                let (request, answer) = (ticket.request, Answer::NoRoom);
                // A full mailbox is counted, and the asker's deadline tells it.
                let _ = asker.handle().send(
                    ticket.reply_to,
                    &Command::Answer { from, request, answer, ticket: None },
                );
            }
            None
        }
        Command::Info { .. }
        | Command::List { .. }
        | Command::Survey { .. }
        | Command::Message { .. }
        | Command::Part(_)
        | Command::Task { .. } => None,
    }
}
