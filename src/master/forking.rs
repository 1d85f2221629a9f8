//! How a worker comes to be: what it takes with it from the master, and what it does first.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use mio::{Interest, unix::SourceFd};
use wsmaster_ipc::{
    Handle, Slot, link,
    link::ToMaster,
    postbox::Postbox,
    sys::{daemon, process, title},
};
use wsmaster_workers::{Handler, Seat, Worker};

use super::{Child, Master, settings, token::Source};
use crate::{
    logging,
    server::WorkerInfo,
    supervisor::{ChildId, Pid},
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Forks a worker into a seat. All that it needs is duplicated before the fork and moved into it, so the child holds
    /// these descriptors and no others.
    pub(super) fn fork(&mut self, child: ChildId) -> io::Result<Pid> {
        let slot = Slot::new(child.0).ok_or(io::ErrorKind::InvalidInput)?;
        let number = usize::from(child.0);
        let kept = self.seats.get_mut(number).ok_or(io::ErrorKind::InvalidInput)?;
        kept.forks += 1;
        let generation = kept.forks;
        let listener = kept.listener.try_clone()?;
        let mailbox = kept.mailbox.reader.try_clone()?;
        let (link, child_link) = link::line()?;
        let writers = self
            .seats
            .iter()
            .map(|seat| seat.mailbox.writer.try_clone())
            .collect::<io::Result<Vec<_>>>()?;
        let mut keep: Vec<RawFd> = writers.iter().map(AsRawFd::as_raw_fd).collect();
        keep.extend([
            listener.as_raw_fd(),
            mailbox.as_raw_fd(),
            child_link.as_fd().as_raw_fd(),
            self.board.file().as_raw_fd(),
        ]);
        logging::with_descriptor(|file| keep.extend(file.map(|file| file.as_raw_fd())));
        let postbox = Postbox::new(writers, self.config.limits.backlog_bytes_max);
        let seat = Seat {
            slot,
            generation,
            listener,
            mailbox,
            link: child_link,
            handle: Handle::new(slot.address(), self.board.clone(), postbox),
            limits: settings::limits(&self.config),
            reopen_log: Box::new(logging::reopen),
        };
        let info = WorkerInfo { slot, config: self.config.clone() };
        let (make, identity, master) = (&self.make, self.identity, process::own_pid());
        let in_background = self.in_background;
        let pid = process::fork_child(keep, move || {
            title::set(&format!("wsmaster: worker {slot}"));
            logging::set_role(&format!("worker {slot}"));
            let become_somebody = || match identity {
                Some(identity) => {
                    identity.assume()?;
                    process::renew_parent_death_signal(master)
                }
                None => Ok(()),
            };
            if let Err(error) = become_somebody() {
                let reason = format!("cannot become the user of server.user: {error}");
                seat.link.say(&ToMaster::Failed { reason });
                return 1;
            }
            work(seat, make(&info), in_background)
        })?;
        let pid = Pid(pid as u32);
        let descriptor = link.as_fd().as_raw_fd();
        let token = Source::Child(pid.0).token();
        self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        let cell = self.board.cell(slot, generation);
        self.children.insert(pid, Child { slot, link, cell });
        Ok(pid)
    }
}

fn work<H: Handler>(seat: Seat, handler: H, in_background: bool) -> i32 {
    let worker = match Worker::new(seat, handler) {
        Ok(worker) => worker,
        Err(error) => {
            log::error!("it cannot begin to serve: {error}");
            return 1;
        }
    };
    // Until here what went wrong could be read where the server was started; a worker that serves must not keep that
    // terminal, or the pipe of a program that waits for its end.
    if in_background && let Err(error) = daemon::leave_streams() {
        log::warn!("the terminal could not be left: {error}");
    }
    match worker.run() {
        Ok(()) => 0,
        Err(error) => {
            log::error!("its poll failed: {error}");
            1
        }
    }
}
