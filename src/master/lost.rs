//! What programs are told when a worker is gone: which connections have ended with it.
//!
//! A worker tells of the ends of its connections itself, unless it is killed, or what it had to say found no room. So the hosts
//! of programs get a word for each worker that has ended, whatever ended it, and tell their programs of the connections that
//! nothing has been heard of. The word is in their mailboxes before a successor is forked, behind all that the worker said.

use wsmaster_ipc::{EventHeader, LostConnections, Slot, shared_state::SharedState};
use wsmaster_workers::Handler;

use super::Master;
use crate::{side::Body, supervisor::Pid, worker_info::WorkerInfo};

/// The living processes of one slot, the oldest first, each with the first serial number of a connection that is its to
/// give: those before it take no connections any more when it is forked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tenures(Vec<(Pid, u64)>);

impl Tenures {
    /// A process takes the slot, whose next connection gets this serial number.
    pub(super) fn begin(&mut self, pid: Pid, next_serial: u64) {
        self.0.push((pid, next_serial));
    }

    /// A process of the slot has ended: the first serial number that was its own, and the first that was not.
    fn end(&mut self, pid: Pid, next_serial: u64) -> Option<(u64, u64)> {
        let place = self.0.iter().position(|(holder, _)| *holder == pid)?;
        let (_, first) = self.0.remove(place);
        Some((first, self.0.get(place).map_or(next_serial, |(_, first)| *first)))
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// A worker has ended: the hosts of programs are told which connections were its own.
    pub(super) fn tell_of_lost_connections(&mut self, pid: Pid) {
        let slots = (0..self.shared_state.slots()).filter_map(Slot::new);
        let mut found = None;
        for (slot, seat) in slots.zip(&mut self.seats) {
            let next_serial = next_serial(&self.shared_state, slot);
            found = found.or(seat.tenures.end(pid, next_serial).map(|range| (slot, range)));
        }
        let Some((slot, (first, end))) = found else { return };
        let header = EventHeader::Lost(LostConnections { worker: slot, first, end });
        for side in self.directory.sides() {
            match side.body {
                Body::Program(_) => {}
                Body::Closure(_) | Body::Tasks | Body::Vacant => continue,
            }
            if self.handle.notify(side.address, header, &[]).is_err() {
                log::error!(
                    "{} is not told which connections ended with a process of worker {slot}: its mailbox is full",
                    side.full_name()
                );
            }
        }
        self.handle.flush();
    }
}

/// The serial number of the next connection of a slot, at least.
pub(super) fn next_serial(shared_state: &SharedState, slot: Slot) -> u64 {
    shared_state.last_serial(slot) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_of_a_slot_has_a_part_of_its_serial_numbers() {
        let mut tenures = Tenures::default();
        tenures.begin(Pid(1), 10);
        assert_eq!(tenures.end(Pid(1), 10), Some((10, 10)), "it took no connection");
        tenures.begin(Pid(2), 10);
        tenures.begin(Pid(3), 20);
        tenures.begin(Pid(4), 35);
        assert_eq!(tenures.end(Pid(3), 50), Some((20, 35)));
        assert_eq!(tenures.end(Pid(4), 50), Some((35, 50)));
        assert_eq!(tenures.end(Pid(2), 50), Some((10, 50)), "its own, and some that nobody has");
        assert_eq!(tenures.end(Pid(2), 50), None);
    }
}
