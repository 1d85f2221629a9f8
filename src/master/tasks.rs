//! Task processes, as the master sees them: the queues they take with them, the word for whoever waits for a task whose
//! process has died, those that hang, and numbers.

use std::io;

use wsmaster_ipc::{
    Address, Answer, Command, TaskAnswer,
    sys::{
        clock,
        process::{self, Kill},
    },
    task_slot::{TaskCounts, TaskSlot},
    tasks::TaskQueue,
};
use wsmaster_workers::Handler;

use super::{Master, Role, watchdog::Verdict};
use crate::{
    side::{Body, SideProcess},
    status,
    worker_info::WorkerInfo,
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// The queues that a side process takes tasks from, if it does: its own, and that of all.
    pub(super) fn task_queues(&self, side: &SideProcess) -> io::Result<Option<[TaskQueue; 2]>> {
        match side.body {
            Body::Closure(_) | Body::Program(_) | Body::Vacant => return Ok(None),
            Body::Tasks => {}
        }
        let queues = self.directory.tasks();
        let queue = |address: Option<Address>| {
            let address = address.ok_or(io::ErrorKind::InvalidInput)?;
            let mailbox = self.mailboxes.get(usize::from(address.0));
            let reader = mailbox.ok_or(io::ErrorKind::InvalidInput)?.reader.try_clone()?;
            Ok::<_, io::Error>(TaskQueue::new(
                reader,
                address,
                side.address,
                self.shared_state.clone(),
            ))
        };
        Ok(Some([queue(queues.of_one(side.instance))?, queue(queues.of_all())?]))
    }

    /// A side process has died. If it was at a task, whoever gave that is told; what waits, waits for the successor.
    pub(super) fn tell_of_a_lost_task(&self, number: usize) {
        let Some(side) = self.task_process(number) else { return };
        let task_slot = TaskSlot::of(&self.shared_state, side.address);
        let Some(ticket) = task_slot.clear_after_death() else { return };
        let name = side.full_name();
        log::error!("{name} died while it was at a task: whoever gave the task is told");
        let answer = Answer::Task(TaskAnswer::Died);
        let command =
            Command::Answer { from: side.address, request: ticket.request, answer, ticket: None };
        if let Err(error) = self.handle.send(ticket.reply_to, &command) {
            let requester = self.directory.name_of(ticket.reply_to);
            log::error!("{requester} could not be told of the task that died with {name}: {error}");
        }
    }

    /// Ends task processes that are at one task for too long.
    pub(super) fn look_at_the_task_processes(&mut self) {
        let limit = self.config.server.task_timeout;
        let mut busy = Vec::new();
        for (pid, child) in &self.children {
            let Role::Side(number) = child.role else { continue };
            let Some(side) = self.task_process(number) else { continue };
            let task_slot = TaskSlot::of(&self.shared_state, side.address);
            if task_slot.present().is_some() {
                let TaskCounts { done, failed, died } = task_slot.counts();
                busy.push((*pid, done + failed + died));
            }
        }
        for verdict in self.task_watchdog.look(limit, busy.into_iter(), clock::now()) {
            let (Verdict::Abort(pid) | Verdict::Kill(pid)) = verdict;
            let name = self.name_of(pid);
            let limit = limit.unwrap_or_default();
            log::error!("{name} (pid {}) is at one task for {limit:?}, and is killed", pid.0);
            process::signal_child(pid.0 as i32, Kill::Kill);
        }
    }

    /// What the status says of the tasks of a side process; `None` when it does none.
    pub(super) fn tasks_of(&self, number: usize) -> Option<status::Tasks> {
        let side = self.task_process(number)?;
        let task_slot = TaskSlot::of(&self.shared_state, side.address);
        let TaskCounts { done, failed, died } = task_slot.counts();
        let own = self.directory.tasks().of_one(side.instance)?;
        Some(status::Tasks {
            tasks_done: done,
            tasks_failed: failed,
            tasks_died: died,
            tasks_waiting: TaskSlot::of(&self.shared_state, own).waiting(),
            is_at_a_task: task_slot.present().is_some(),
        })
    }

    /// What the status says of the queue of all task processes; nothing when there are none.
    pub(super) fn tasks_in_all(&self) -> Option<status::TaskQueue> {
        let queue = self.directory.tasks().of_all()?;
        Some(status::TaskQueue { waiting: TaskSlot::of(&self.shared_state, queue).waiting() })
    }

    fn task_process(&self, number: usize) -> Option<&SideProcess> {
        let side = self.directory.sides().get(number)?;
        match side.body {
            Body::Closure(_) | Body::Program(_) | Body::Vacant => None,
            Body::Tasks => Some(side),
        }
    }
}
