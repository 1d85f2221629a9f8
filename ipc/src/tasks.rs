//! The queues of task processes, as those see them who give tasks ([`TaskQueues`]) and those who take them ([`TaskQueue`]).
//!
//! There is one queue for all task processes, and whoever is free takes the next task from it: no task waits behind a long
//! one while a process is idle. Each process has a queue for tasks that are meant for it alone too. The queues are
//! mailboxes: the master keeps them, so what waits in one outlives whoever reads it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{
    command::{Command, ReplyTo, Request},
    id::Address,
    inbox::{Inbox, Received},
    shared_state::SharedState,
    task_slot::TaskSlot,
    wire,
};

/// Where the queues are: that of all at `first`, and those of the single processes behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskQueues {
    first: Address,
    processes: u16,
}

impl TaskQueues {
    /// A server without task processes.
    pub const NONE: Self = Self { first: Address(0), processes: 0 };

    /// The queues of so many processes, from this address on.
    pub fn new(first: Address, processes: u16) -> Self {
        Self { first, processes }
    }

    /// How many task processes there are.
    pub fn processes(self) -> u16 {
        self.processes
    }

    /// How many queues there are.
    pub fn len(self) -> u16 {
        if self.is_empty() { 0 } else { self.processes + 1 }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.processes == 0
    }

    /// The queue that whoever is free takes tasks from.
    pub fn of_all(self) -> Option<Address> {
        (!self.is_empty()).then_some(self.first)
    }

    /// The queue of one process.
    pub fn of_one(self, process: u16) -> Option<Address> {
        (process < self.processes).then(|| Address(self.first.0 + 1 + process))
    }
}

/// The end of a queue that a task process takes tasks from.
#[derive(Debug)]
pub struct TaskQueue {
    inbox: Inbox,
    address: Address,
    own: Address,
    shared_state: SharedState,
}

/// What [`TaskQueue::take`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// A task, which is in the task slot of this process from now on.
    Task {
        /// Who waits for it.
        ticket: ReplyTo,
        /// What is to be done.
        payload: Vec<u8>,
    },
    /// What was a task and cannot be read. It is in the task slot too: somebody waits for it.
    Unreadable(ReplyTo),
    /// Nothing waits.
    Nothing,
    /// Nobody can give tasks any more: the master is dead.
    Closed,
}

impl TaskQueue {
    /// The end `reader` of the queue at `address`, for the task process whose mailbox is `own`.
    pub fn new(reader: OwnedFd, address: Address, own: Address, shared_state: SharedState) -> Self {
        Self {
            inbox: Inbox::new(reader, address, shared_state.clone()),
            address,
            own,
            shared_state,
        }
    }

    /// Takes a task, if one waits. It stands in this process's [`TaskSlot`] before it leaves the queue: if the process dies at
    /// any moment, the task is still in the queue, or the master knows whose it was. Whoever waits for a task hears of the
    /// death of a process that died just before the taking too, although another process will do the task.
    ///
    /// A process that is stopped (SIGSTOP, a debugger) between the look at a task and the taking holds the others up until it
    /// goes on or is killed.
    pub fn take(&mut self) -> Taken {
        let Self { inbox, address, own, shared_state } = self;
        let (task_slot, queue) =
            (TaskSlot::of(shared_state, *own), TaskSlot::of(shared_state, *address));
        loop {
            let mut ticket = None;
            let received = inbox.receive_noted::<{ wire::TASK_HEAD_BYTES }>(|head| {
                ticket = wire::task_ticket(head);
                if let Some(ticket) = ticket {
                    task_slot.begin(ticket);
                }
            });
            let packet = match received {
                Received::Packet(packet) => Some(packet),
                Received::Bodiless(_) | Received::Bad => None,
                Received::Closed => {
                    task_slot.put_back();
                    return Taken::Closed;
                }
                Received::Empty => {
                    task_slot.put_back();
                    queue.none_waits();
                    shared_state.no_attached(*address);
                    return Taken::Nothing;
                }
            };
            queue.taken();
            // What is no task has no ticket, and is passed over.
            let Some(ticket) = ticket else { continue };
            let Some(packet) = packet else { return Taken::Unreadable(ticket) };
            let mut commands = wire::decode(packet.bytes, packet.attachment.as_deref());
            let Some(Ok(Command::Request { request: Request::Task { payload }, .. })) =
                commands.next()
            else {
                return Taken::Unreadable(ticket);
            };
            let inside = packet.attachment.is_none().then(|| payload.to_vec());
            let payload = inside.or(packet.attachment).unwrap_or_default();
            return Taken::Task { ticket, payload };
        }
    }
}

impl AsFd for TaskQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        SendError, handle::Handle, mailbox::MailboxPair, mailbox_sender::MailboxSender,
        shared_state::SerialClock,
    };

    /// One requester at 0, two task processes at 1 and 2, their queues from 3 on.
    fn place() -> (Handle, SharedState, Vec<MailboxPair>) {
        let clock = SerialClock::new(5, Duration::from_secs(1_800_000_000));
        let shared_state = SharedState::new(1, 6, clock, 1).unwrap();
        let pairs: Vec<_> = (0..6).map(|_| MailboxPair::new().unwrap()).collect();
        let writers = pairs.iter().map(|pair| pair.writer.try_clone().unwrap()).collect();
        let sender = MailboxSender::new(writers, 16 << 20);
        let queues = TaskQueues::new(Address(3), 2);
        let handle = Handle::new(Address(0), shared_state.clone(), sender).with_tasks(queues);
        (handle, shared_state, pairs)
    }

    fn reader(
        shared_state: &SharedState,
        pairs: &[MailboxPair],
        queue: u16,
        own: u16,
    ) -> TaskQueue {
        let end = pairs[usize::from(queue)].reader.try_clone().unwrap();
        TaskQueue::new(end, Address(queue), Address(own), shared_state.clone())
    }

    fn ticket(request: u64) -> ReplyTo {
        ReplyTo { reply_to: Address(0), request }
    }

    #[test]
    fn a_task_is_taken_once_alone_and_whole_and_stands_in_its_slot() {
        let (handle, shared_state, pairs) = place();
        let large = vec![7; 5 << 20];
        handle.task(None, b"one", 1).unwrap();
        handle.task(None, &large, 2).unwrap();
        handle.task(None, b"", 3).unwrap();
        assert_eq!(TaskSlot::of(&shared_state, Address(3)).waiting(), 3);
        let (mut first, mut second) =
            (reader(&shared_state, &pairs, 3, 1), reader(&shared_state, &pairs, 3, 2));
        let task = |request, payload: &[u8]| Taken::Task {
            ticket: ticket(request),
            payload: payload.to_vec(),
        };
        assert_eq!(first.take(), task(1, b"one"));
        assert_eq!(second.take(), task(2, &large));
        assert_eq!(TaskSlot::of(&shared_state, Address(1)).present(), Some(ticket(1)));
        assert_eq!(TaskSlot::of(&shared_state, Address(2)).present(), Some(ticket(2)));
        // Its reader is gone; what waits is not.
        drop((first, second));
        let mut successor = reader(&shared_state, &pairs, 3, 1);
        assert_eq!(successor.take(), task(3, b""));
        assert_eq!(successor.take(), Taken::Nothing);
        assert_eq!(TaskSlot::of(&shared_state, Address(3)).waiting(), 0);
        assert_eq!(shared_state.attached_bytes(Address(3)), 0);
    }

    #[test]
    fn a_task_for_one_process_is_in_its_own_queue() {
        let (handle, shared_state, pairs) = place();
        handle.task(Some(1), b"yours", 9).unwrap();
        assert_eq!(reader(&shared_state, &pairs, 3, 2).take(), Taken::Nothing);
        let taken = reader(&shared_state, &pairs, 5, 2).take();
        assert_eq!(taken, Taken::Task { ticket: ticket(9), payload: b"yours".to_vec() });
        assert_eq!(handle.task(Some(2), b"nobody's", 10), Err(SendError::NoSuchProcess));
        let without = handle.with_tasks(TaskQueues::NONE);
        assert_eq!(without.task(None, b"nobody's", 11), Err(SendError::NoSuchProcess));
    }

    #[test]
    fn what_is_no_task_is_passed_over() {
        let (handle, shared_state, pairs) = place();
        handle.send_to_process(Address(3), crate::PayloadKind::Text, b"what?").unwrap();
        handle.task(None, b"work", 1).unwrap();
        let mut queue = reader(&shared_state, &pairs, 3, 1);
        assert!(matches!(queue.take(), Taken::Task { .. }));
    }
}
