//! Push, broadcast, publish and disconnect from any process and any thread. Owns the routing, which is arithmetic: the
//! owner of a connection is in its id. It never waits.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

pub use crate::mailbox_sender::SendError;
use crate::{
    command::{Answer, Command, Group, Note, PayloadKind, Recipients, ReplyTo, Request},
    event::EventHeader,
    id::{Address, ConnectionId, Slot},
    mailbox_sender::{Attached, MailboxSender, attach},
    shared_state::SharedState,
    side_status::SideStatus,
    task_slot::TaskSlot,
    tasks::TaskQueues,
    wire,
};

/// A way to every connection of the server. Clones are cheap and share one mailbox sender, so what one process sends to one
/// connection arrives in the order in which it was sent.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    timing: Timing,
    tasks: TaskQueues,
}

#[derive(Debug)]
struct Shared {
    own: Address,
    shared_state: SharedState,
    sender: Mutex<MailboxSender>,
    refused: AtomicU64,
}

/// When a sent command leaves the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timing {
    AtOnce,
    AtFlush,
}

impl Handle {
    /// The handle of the process whose mailbox is `own`.
    pub fn new(own: Address, shared_state: SharedState, sender: MailboxSender) -> Self {
        Self {
            shared: Arc::new(Shared {
                own,
                shared_state,
                sender: Mutex::new(sender),
                refused: AtomicU64::new(0),
            }),
            timing: Timing::AtOnce,
            tasks: TaskQueues::NONE,
        }
    }

    /// The same, on a server with task processes.
    #[must_use]
    pub fn with_tasks(self, tasks: TaskQueues) -> Self {
        Self { tasks, ..self }
    }

    /// A clone for an event loop: it gathers commands and sends them when the loop calls [`Self::flush`], at the end of
    /// each turn.
    pub fn for_a_loop(&self) -> Self {
        Self { timing: Timing::AtFlush, ..self.clone() }
    }

    /// The mailbox of this process.
    pub fn own_address(&self) -> Address {
        self.shared.own
    }

    /// The shared memory.
    pub fn shared_state(&self) -> &SharedState {
        &self.shared.shared_state
    }

    /// All workers.
    pub fn workers(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.shared.shared_state.slots()).filter_map(Slot::new)
    }

    /// Sends a message to one connection. `Ok` means that it is on its way to the connection's owner, in order; a
    /// connection that is gone by then is passed over.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn push(
        &self,
        id: ConnectionId,
        kind: PayloadKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.request(id.slot().address(), Request::Push { id, kind, payload }, None)
    }

    /// Closes one connection with a WebSocket close code and reason.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn disconnect(
        &self,
        id: ConnectionId,
        code: u16,
        reason: &str,
        number: Option<u64>,
    ) -> Result<(), SendError> {
        self.request(id.slot().address(), Request::Disconnect { id, code, reason }, number)
    }

    /// Sends a message to every connection of these workers, or of a group. Tells for each worker whether its mailbox took it.
    ///
    /// # Errors
    /// As [`Self::request_each`].
    pub fn broadcast(
        &self,
        to: impl Iterator<Item = Slot>,
        broadcast: &Broadcast<'_>,
        number: Option<u64>,
    ) -> Result<Vec<Sent>, SendError> {
        self.request_each(to, broadcast.request(), number)
    }

    /// Sends a message to the subscribers of a channel on these workers; [`Self::subscribed`] names the workers that
    /// have any.
    ///
    /// # Errors
    /// As [`Self::request_each`].
    pub fn publish(
        &self,
        to: impl Iterator<Item = Slot>,
        publication: &Publication<'_>,
        number: Option<u64>,
    ) -> Result<Vec<Sent>, SendError> {
        let only = Recipients::to_bytes(publication.only);
        self.request_each(to, publication.request(&only), number)
    }

    /// The workers that may have subscribers of a channel: all that have, and rarely one more.
    pub fn subscribed(&self, channel: &str) -> impl Iterator<Item = Slot> + '_ {
        let shared_state = &self.shared.shared_state;
        shared_state.interested(shared_state.interest_bit(channel))
    }

    /// Sends a message to another process of this server.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_to_process(
        &self,
        to: Address,
        kind: PayloadKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.send(to, &Command::Note(Note::Message { from: self.shared.own, kind, payload }))
    }

    /// Gives a task to whichever task process is free first, or to the one with this number. The answer comes under
    /// `number`, when the task is done, has failed, or has died with its process.
    ///
    /// # Errors
    /// See [`SendError`]; `NoSuchProcess` when there are no task processes, or not so many.
    pub fn task(&self, process: Option<u16>, payload: &[u8], number: u64) -> Result<(), SendError> {
        let queue = match process {
            None => self.tasks.of_all(),
            Some(process) => self.tasks.of_one(process),
        };
        let queue = queue.ok_or(SendError::NoSuchProcess)?;
        self.request(queue, Request::Task { payload }, Some(number))
    }

    /// The queues of the task processes.
    pub fn tasks(&self) -> TaskQueues {
        self.tasks
    }

    /// Sends an event to a side process that is a program.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn notify(
        &self,
        to: Address,
        header: EventHeader,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.request(to, self.event(to, header, payload), None)
    }

    /// An event for the present incarnation of a side process.
    pub fn event<'e>(&self, to: Address, header: EventHeader, payload: &'e [u8]) -> Request<'e> {
        let incarnation = SideStatus::of(&self.shared.shared_state, to).incarnation().number;
        Request::Event { header, payload, incarnation }
    }

    /// Asks anything of another process. With a number, it answers to the mailbox of this process, under that number.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn request(
        &self,
        to: Address,
        request: Request<'_>,
        number: Option<u64>,
    ) -> Result<(), SendError> {
        let ticket = number.map(|number| self.ticket(number));
        self.send(to, &Command::Request { ticket, request })
    }

    /// As [`Self::request`], of several workers. Tells for each whether its mailbox took it.
    ///
    /// # Errors
    /// Of the whole call: the payload has no room. Of one worker: see [`SendError`].
    pub fn request_each(
        &self,
        to: impl Iterator<Item = Slot>,
        request: Request<'_>,
        number: Option<u64>,
    ) -> Result<Vec<Sent>, SendError> {
        let ticket = number.map(|number| self.ticket(number));
        self.send_to_many(to, &Command::Request { ticket, request })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn answer(&self, to: ReplyTo, answer: Answer<'_>) -> Result<(), SendError> {
        let (from, request) = (self.shared.own, to.request);
        self.send(to.reply_to, &Command::Answer { from, request, answer, ticket: None })
    }

    /// Sends any command.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, to: Address, command: &Command<'_>) -> Result<(), SendError> {
        let attached = self.attach(command)?;
        let mut sender = self.sender();
        let result = self.send_counted(&mut sender, to, command, attached.as_ref());
        if self.timing == Timing::AtOnce {
            sender.flush(to);
        }
        result
    }

    /// Hands everything gathered to the kernel. Whether nothing is left; otherwise a mailbox is full and the rest waits
    /// for the next call.
    pub fn flush(&self) -> bool {
        self.sender().flush_all()
    }

    /// As [`Self::flush`], for one mailbox.
    pub fn flush_to(&self, to: Address) -> bool {
        self.sender().flush(to)
    }

    /// Runs `register` with the sending end of each mailbox, for a loop that wants to know when it has room again.
    ///
    /// # Errors
    /// What `register` says.
    pub fn each_writer<E>(
        &self,
        mut register: impl FnMut(Address, std::os::fd::BorrowedFd<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sender = self.sender();
        for number in 0..sender.len() {
            let address = Address(number as u16);
            if let Some(writer) = sender.writer(address) {
                register(address, writer)?;
            }
        }
        Ok(())
    }

    /// Commands refused so far because a mailbox was full or there was no room.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn ticket(&self, request: u64) -> ReplyTo {
        ReplyTo { reply_to: self.shared.own, request }
    }

    fn attach(&self, command: &Command<'_>) -> Result<Option<Attached>, SendError> {
        let attached = match attach(command) {
            // What leaves now gives the descriptors of its own files back.
            Err(SendError::NoRoom) => {
                self.flush();
                attach(command)
            }
            other => other,
        };
        attached.inspect_err(|error| self.count(Err(*error)))
    }

    fn send_to_many(
        &self,
        to: impl Iterator<Item = Slot>,
        command: &Command<'_>,
    ) -> Result<Vec<Sent>, SendError> {
        let attached = self.attach(command)?;
        let mut sender = self.sender();
        Ok(to
            .map(|slot| {
                let result =
                    self.send_counted(&mut sender, slot.address(), command, attached.as_ref());
                if self.timing == Timing::AtOnce {
                    sender.flush(slot.address());
                }
                Sent { to: slot, result }
            })
            .collect())
    }

    fn send_counted(
        &self,
        sender: &mut MailboxSender,
        to: Address,
        command: &Command<'_>,
        attached: Option<&Attached>,
    ) -> Result<(), SendError> {
        let shared_state = &self.shared.shared_state;
        let bytes = attached.map_or(0, |_| command.payload().len() as u64);
        let waiting = if bytes > 0 { shared_state.attached_bytes(to) } else { 0 };
        let result = if waiting > 0 && waiting + bytes > wire::ATTACHED_WAITING_BYTES_MAX {
            Err(SendError::Full)
        } else {
            sender.send(to, command, attached)
        };
        if result.is_ok() && bytes > 0 {
            shared_state.add_attached(to, bytes);
        }
        if result.is_ok() && command.is_task() {
            TaskSlot::of(shared_state, to).given();
        }
        self.count(result);
        result
    }

    fn count(&self, result: Result<(), SendError>) {
        if result.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sender(&self) -> MutexGuard<'_, MailboxSender> {
        // A thread that panicked between two pushes left the queue whole: each push is complete before the next.
        self.shared.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a command for one of many workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The worker.
    pub to: Slot,
    /// Whether its mailbox took the command.
    pub result: Result<(), SendError>,
}

/// A message for many connections.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a> {
    /// Whose it is; without one every connection's.
    pub group: Option<Group>,
    /// Text or binary.
    pub kind: PayloadKind,
    /// The message.
    pub payload: &'a [u8],
    /// A connection that does not get it: usually the sender.
    pub exclude: Option<ConnectionId>,
}

impl<'a> Broadcast<'a> {
    /// The request to the workers.
    pub fn request(&self) -> Request<'a> {
        let Self { group, kind, payload, exclude } = *self;
        Request::Broadcast { group, kind, payload, exclude }
    }
}

/// A message for a channel.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// Text or binary.
    pub kind: PayloadKind,
    /// The message.
    pub payload: &'a [u8],
    /// A connection that does not get it: usually the sender.
    pub exclude: Option<ConnectionId>,
    /// When not empty, only these subscribers get it; at most [`crate::wire::RECIPIENTS_MAX`].
    pub only: &'a [ConnectionId],
}

impl<'a> Publication<'a> {
    /// The request to the workers. `only`: what [`Recipients::to_bytes`] makes of [`Self::only`].
    pub fn request(&self, only: &'a [u8]) -> Request<'a> {
        let Self { channel, kind, payload, exclude, only: _ } = *self;
        Request::Publish { channel, kind, payload, exclude, only: Recipients::from_bytes(only) }
    }
}
