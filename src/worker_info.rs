//! What the function that makes an application is told of the worker.

use std::rc::Rc;

use wsmaster_ipc::{Address, Slot};
use wsmaster_protocol::plugin::Recipient;

use crate::{config::Config, side::Directory};

/// What a worker is, for the application that is made for it.
#[derive(Clone, Debug)]
pub struct WorkerInfo {
    /// The worker's slot, from 0.
    pub slot: Slot,
    /// The configuration in force.
    pub config: Config,
    /// The side processes of the server, by name.
    pub(crate) directory: Rc<Directory>,
}

impl WorkerInfo {
    /// The mailbox of the side process with this name, which a handler can send to:
    /// [`Handle::send_to_process`](wsmaster_ipc::Handle::send_to_process).
    pub fn process(&self, name: &str) -> Option<Address> {
        self.directory.find(&Recipient::Process(name.into()))
    }
}
