//! A closure that runs beside the workers, in a process of its own.

use std::{fmt, rc::Rc, time::Duration};

use wsmaster_ipc::link::ToMaster;

use super::{
    context::{Ended, ProcessContext},
    process_loop::SideSetup,
};
use crate::{logging, supervisor::RestartPolicy};

/// A side process of a Rust program: a name, and what it does.
///
/// It is forked by the master and supervised like a worker. A closure that returns is started again, or not, as its
/// [`restart`](Self::restart) says; with growing delays, so one that returns at once does no harm.
#[derive(Clone)]
pub struct Process {
    pub(crate) name: String,
    pub(crate) restart: RestartPolicy,
    pub(crate) stop_timeout: Duration,
    pub(crate) hears_life: bool,
    body: Rc<dyn Fn(&mut ProcessContext) -> Ended>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Process {
    /// A process that is always started again.
    pub fn new(
        name: impl Into<String>,
        body: impl Fn(&mut ProcessContext) -> Ended + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            restart: RestartPolicy::Always,
            stop_timeout: Duration::from_secs(5),
            hears_life: false,
            body: Rc::new(body),
        }
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.restart = policy;
        self
    }

    /// How long it has to return when the server stops, before it is killed.
    #[must_use]
    pub fn stop_timeout(mut self, time: Duration) -> Self {
        self.stop_timeout = time;
        self
    }

    /// Has [`ProcessContext::wait`] return [`Wait::Life`](super::Wait::Life) for what happens to the server and its workers.
    #[must_use]
    pub fn hear_life(mut self) -> Self {
        self.hears_life = true;
        self
    }

    /// Runs it in this process, which is its own. The exit code.
    pub(crate) fn run(&self, seat: SideSetup) -> i32 {
        logging::set_role(&seat.side.full_name());
        let mut context = match ProcessContext::new(seat) {
            Ok(context) => context,
            Err(error) => {
                log::error!("side process cannot start: {error}");
                return 1;
            }
        };
        context.send_to_master(&ToMaster::Ready);
        match (self.body)(&mut context) {
            Ok(()) => 0,
            Err(error) => {
                log::error!("{error}");
                1
            }
        }
    }
}
