//! A task process: it takes tasks from their queues, one after the other, has the application do them, and answers the
//! processes that gave them.
//!
//! A task is in the task slot of this process from before it leaves its queue until its answer has left this process, so that the
//! master can answer the process that waits for it when this one dies. What waits in the queues waits for the successor.

use std::{
    error::Error,
    fmt, io,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use wsmaster_ipc::{Moment, sys::clock};

use wsmaster_ipc::{
    Address, Answer, LeaveReason, ReplyTo, SendError, TaskAnswer,
    link::ToMaster,
    task_slot::{TaskEnd, TaskSlot},
    tasks::{Taken, TaskQueue},
};
use wsmaster_workers::TimerId;

use super::{
    context::{ProcessContext, ProcessMessage, Taking},
    process_loop::SideSetup,
};
use crate::{config::Config, logging};

/// How long a task process waits for the mailbox of the process that gave the task. The answer is kept for longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two tries of a mailbox that is full.
const RETRY: Duration = Duration::from_millis(5);
/// The longest word of failure, in bytes; what is longer is cut.
const REASON_BYTES_MAX: usize = 1024;
/// How long the process sleeps at the most when nothing is to be done.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What the application does in task processes. Each has one of its own, made after the fork.
///
/// A task may block; while it does, this process takes no other task and no message.
pub trait TaskHandler {
    /// The process is about to take tasks.
    fn on_start(&mut self, _context: &mut ProcessContext) {}

    /// A task came. What is returned goes to the process that gave it: the result, or why there is none. A panic is caught, and
    /// answered as a failure.
    ///
    /// # Errors
    /// Why the task could not be done. The text is cut after 1,024 bytes.
    fn on_task(&mut self, context: &mut ProcessContext, task: Task<'_>) -> TaskResult;

    /// Another process of the server sent a message.
    fn on_message(&mut self, _context: &mut ProcessContext, _message: ProcessMessage) {}

    /// A timer has come that was started with [`ProcessContext::after`] or [`ProcessContext::tick`]; never during a task.
    fn on_timer(&mut self, _context: &mut ProcessContext, _timer: TimerId) {}
}

/// Something to do.
#[derive(Clone, Copy, Debug)]
pub struct Task<'t> {
    /// What is to be done, as the process that gave the task has written it.
    pub data: &'t [u8],
    /// The mailbox of the worker or side process that gave it.
    pub from: Address,
}

/// What came of a task.
pub type TaskResult = Result<Vec<u8>, Box<dyn Error>>;

/// What a task process is, for the handler that is made for it.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// Its number, from 0.
    pub number: u16,
    /// The configuration in force.
    pub config: Config,
}

/// Makes the handler of a task process.
#[derive(Clone)]
pub(crate) struct TaskMaker(Rc<Make>);

type Make = dyn Fn(&TaskInfo) -> Box<dyn TaskHandler>;

impl fmt::Debug for TaskMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMaker").finish_non_exhaustive()
    }
}

impl TaskMaker {
    pub(crate) fn new<H: TaskHandler + 'static>(make: impl Fn(&TaskInfo) -> H + 'static) -> Self {
        Self(Rc::new(move |info| Box::new(make(info))))
    }
}

/// Runs a task process in this process, which is its own, until it is asked to stop. `queues`: its own, and that of all. The
/// exit code.
pub(crate) fn serve_tasks(
    seat: SideSetup,
    queues: [TaskQueue; 2],
    maker: &TaskMaker,
    info: &TaskInfo,
) -> i32 {
    logging::set_role(&seat.side.full_name());
    match TaskProcess::begin(seat, queues, maker, info) {
        Ok(process) => process.run(),
        Err(error) => {
            log::error!("task process cannot start: {error}");
            1
        }
    }
}

struct TaskProcess {
    context: ProcessContext,
    queues: [TaskQueue; 2],
    own: Address,
    handler: Box<dyn TaskHandler>,
    tasks: u64,
    tasks_max: u64,
}

impl TaskProcess {
    fn begin(
        seat: SideSetup,
        queues: [TaskQueue; 2],
        maker: &TaskMaker,
        info: &TaskInfo,
    ) -> io::Result<Self> {
        let own = seat.side.address;
        let mut context = ProcessContext::new(seat)?;
        for queue in &queues {
            context.watch(queue.as_fd())?;
        }
        let handler = (maker.0)(info);
        let tasks_max = info.config.server.task_max_request;
        Ok(Self { context, queues, own, handler, tasks: 0, tasks_max })
    }

    fn run(mut self) -> i32 {
        self.handler.on_start(&mut self.context);
        self.context.send_to_master(&ToMaster::Ready);
        loop {
            let timeout = match self.take() {
                Taken::Nothing => SLEEP_MAX,
                Taken::Task { ticket, payload } => {
                    self.serve(ticket, &payload);
                    Duration::ZERO
                }
                Taken::Unreadable(ticket) => {
                    self.answer(ticket, TaskAnswer::Failed("the task could not be read"));
                    Duration::ZERO
                }
                // All others are gone.
                Taken::Closed => return 1,
            };
            if !self.context.turn(timeout, Taking::WhatFits) {
                return 1;
            }
            self.handle_others();
            if let Some(deadline) = self.context.deadline() {
                self.flush_until(deadline);
                return 0;
            }
        }
    }

    fn take(&mut self) -> Taken {
        for queue in &mut self.queues {
            match queue.take() {
                Taken::Nothing => {}
                taken @ (Taken::Task { .. } | Taken::Unreadable(_) | Taken::Closed) => {
                    return taken;
                }
            }
        }
        Taken::Nothing
    }

    /// Calls the handler for what is no task.
    fn handle_others(&mut self) {
        while let Some(timer) = self.context.expire_timer() {
            self.handler.on_timer(&mut self.context, timer);
        }
        let messages: Vec<ProcessMessage> = self.context.take_messages();
        for message in messages {
            self.handler.on_message(&mut self.context, message);
        }
    }

    fn serve(&mut self, ticket: ReplyTo, data: &[u8]) {
        let task = Task { data, from: ticket.reply_to };
        let (handler, context) = (&mut self.handler, &mut self.context);
        let result = catch_unwind(AssertUnwindSafe(|| handler.on_task(context, task)));
        match result {
            Ok(Ok(result)) => self.answer(ticket, TaskAnswer::Done(&result)),
            Ok(Err(error)) => {
                let reason = error.to_string();
                self.answer(ticket, TaskAnswer::Failed(cut(&reason)));
            }
            Err(_) => self.answer(ticket, TaskAnswer::Failed("the task panicked")),
        }
        self.tasks += 1;
        if self.tasks == self.tasks_max {
            self.context.send_to_master(&ToMaster::Recycle { reason: LeaveReason::Share });
        }
    }

    /// Answers the task that is in the task slot. It stays there until the answer is in the requester's mailbox, where it outlives
    /// this process; a mailbox that stays full is waited for no longer than [`ANSWER_TIMEOUT`].
    fn answer(&mut self, ticket: ReplyTo, answer: TaskAnswer<'_>) {
        let until = clock::now() + ANSWER_TIMEOUT;
        let mut answer = answer;
        loop {
            match self.context.handle().answer(ticket, Answer::Task(answer)) {
                Ok(()) => break,
                Err(SendError::TooLarge) => {
                    answer = TaskAnswer::Failed("the result is too large to be sent");
                }
                Err(error @ (SendError::Full | SendError::NoRoom | SendError::NoSuchProcess)) => {
                    let waits = error != SendError::NoSuchProcess && clock::now() < until;
                    if !(waits && self.context.turn(RETRY, Taking::WhatFits)) {
                        log::error!("task answer not delivered: {error}");
                        break;
                    }
                }
            }
        }
        while !self.context.handle().flush_to(ticket.reply_to) && clock::now() < until {
            if !self.context.turn(RETRY, Taking::WhatFits) {
                break;
            }
        }
        let end = match answer {
            TaskAnswer::Done(_) => TaskEnd::Done,
            TaskAnswer::Failed(_) | TaskAnswer::Died => TaskEnd::Failed,
        };
        TaskSlot::of(self.context.handle().shared_state(), self.own).end(end);
    }

    /// Sends what waits for full mailboxes.
    fn flush_until(&mut self, deadline: Moment) {
        while !self.context.handle().flush() && clock::now() < deadline {
            if !self.context.turn(RETRY, Taking::WhatFits) {
                return;
            }
        }
    }
}

/// The front of a text, at most [`REASON_BYTES_MAX`] long.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_two_letters() {
        assert_eq!(cut("short"), "short");
        let long = format!("{}ü{}", "x".repeat(REASON_BYTES_MAX - 1), "y".repeat(10));
        assert_eq!(cut(&long), "x".repeat(REASON_BYTES_MAX - 1));
    }
}
