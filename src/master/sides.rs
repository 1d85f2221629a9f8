//! What the master does about side processes that differs from workers: how they stop, how all of them are started again, and
//! what they leave behind.

use wsmaster_ipc::{
    link::ToChild,
    side_status::SideStatus,
    sys::{clock, marked, process},
};
use wsmaster_workers::Handler;

use super::{Master, Role, closing_wait::ClosingWait, forking, settings};
use crate::{
    side::{self, Body},
    supervisor::{ChildId, Event, Phase, Pid, RecycleReason},
    worker_info::WorkerInfo,
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    pub(super) fn side_of(&self, pid: Pid) -> Option<usize> {
        match self.children.get(&pid)?.role {
            Role::Worker(_) => None,
            Role::Side(number) => Some(number),
        }
    }

    /// What a side process is told that has to end, for whatever reason.
    pub(super) fn stop_of(&self, number: usize) -> ToChild {
        let own = forking::stop_timeout(&self.config, &self.processes, &self.directory, number);
        settings::stop_side(&self.config, own)
    }

    /// At a stop: which side processes may have something to say to the clients.
    pub(super) fn wait_before_closing(&self) -> ClosingWait {
        let sides = self.directory.sides();
        let speaks = |pid: &Pid| match self.side_of(*pid).and_then(|number| sides.get(number)) {
            Some(side) => match side.body {
                Body::Closure(_) | Body::Program(_) => true,
                Body::Tasks | Body::Vacant => false,
            },
            None => false,
        };
        let speakers = self.children.keys().copied().filter(speaks).collect();
        ClosingWait::begin(speakers, self.config.server.stop_timeout)
    }

    /// The side processes have ended, and what they said is on its way.
    pub(super) fn have_clients_closed(&self) {
        for (pid, child) in &self.children {
            match child.role {
                Role::Worker(_) => self.send_to_child(*pid, &ToChild::CloseClients),
                Role::Side(_) => {}
            }
        }
    }

    /// Workers know from now on that nobody is in this seat.
    pub(super) fn end_life_of(&self, number: usize) {
        if let Some(side) = self.directory.sides().get(number) {
            SideStatus::of(&self.shared_state, side.address).end_incarnation();
        }
    }

    pub(super) fn restart_side_processes(&mut self) {
        let now = clock::now();
        let all = self.supervisor.children(now).skip(self.seats.len());
        // One that waits because it has failed too often may have been put right.
        let waiting: Vec<ChildId> =
            all.filter(|child| child.state == Phase::BackingOff).map(|child| child.id).collect();
        let sides: Vec<Pid> =
            self.children.keys().copied().filter(|pid| self.side_of(*pid).is_some()).collect();
        match sides.len() + waiting.len() {
            0 => log::info!("there are no side processes to reload"),
            1 => log::info!("the side process is started again"),
            many => log::info!("{many} side processes are started again"),
        }
        for child in waiting {
            self.tell(Event::Retry { child });
        }
        for pid in sides {
            self.tell(Event::Recycle { pid, why: RecycleReason::Asked });
        }
    }

    /// Ends what a side process has started and left behind: its group, and whatever has left the group but still carries
    /// the mark. A host does so itself when its program ends, unless it was killed.
    pub(super) fn clean_up_after(&self, pid: Pid) {
        let pid = pid.0 as i32;
        process::kill_group(pid);
        let killed = marked::kill_marked(&side::mark_of(&self.mark, pid)).len();
        if killed > 0 {
            log::warn!("{killed} processes that a side process had left behind were killed");
        }
    }
}
