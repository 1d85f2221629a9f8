//! What other processes have posted.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wsmaster_ipc::{Command, board::Counter, mailbox::Mail, wire};

use super::{Life, PACKETS_PER_TURN_MAX, Worker};
use crate::{
    context::Context,
    handler::{Handler, Message},
};

impl<H: Handler> Worker<H> {
    pub(super) fn take_mail(&mut self) {
        if !self.mail_waits {
            return;
        }
        for _ in 0..PACKETS_PER_TURN_MAX {
            match self.mailbox.receive() {
                Ok(Mail::Empty) => {
                    let handle = self.core.loop_handle();
                    handle.board().no_attached(handle.own_address());
                    self.mail_waits = false;
                    break;
                }
                Ok(Mail::Bad) => self.core.cell.add(Counter::BadPackets, 1),
                Ok(Mail::Packet(packet)) => {
                    if let Some(body) = &packet.attachment {
                        let handle = self.core.loop_handle();
                        handle.board().take_attached(handle.own_address(), body.len() as u64);
                    }
                    let mut commands = wire::decode(packet.bytes, packet.attachment.as_deref());
                    let mut taken = 0;
                    for command in &mut commands {
                        let Ok(command) = command else {
                            self.core.cell.add(Counter::BadPackets, 1);
                            break;
                        };
                        taken += 1;
                        match command {
                            Command::Answer { from, request, ref answer } => {
                                let done = self.core.asker.answered(request, from, answer);
                                self.core.finished.extend(done);
                            }
                            Command::Message { from, kind, payload } => {
                                let message = Message::from_parts(kind, payload);
                                let mut context = Context::new(&mut self.core, None);
                                let handler = &mut self.handler;
                                let told = catch_unwind(AssertUnwindSafe(|| {
                                    handler.on_process_message(&mut context, from, message);
                                }));
                                if told.is_err() {
                                    self.core.cell.add(Counter::HandlerPanics, 1);
                                }
                            }
                            Command::Push { .. }
                            | Command::Broadcast { .. }
                            | Command::Publish { .. }
                            | Command::Disconnect { .. }
                            | Command::Info { .. }
                            | Command::List { .. }
                            | Command::Task { .. }
                            | Command::Survey { .. }
                            | Command::Event { .. } => self.core.execute(&command),
                        }
                    }
                    self.core.cell.add(Counter::CommandsIn, taken);
                }
                Err(_) => {
                    self.life = Life::Orphaned;
                    self.mail_waits = false;
                    break;
                }
            }
        }
        self.settle();
    }
}
