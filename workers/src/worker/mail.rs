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
            let board = self.core.loop_handle().board();
            let may_have_body = board.attached_bytes(self.core.loop_handle().own_address()) > 0;
            match self.mailbox.receive(may_have_body) {
                Mail::Empty => {
                    let handle = self.core.loop_handle();
                    handle.board().no_attached(handle.own_address());
                    self.mail_waits = false;
                    break;
                }
                Mail::Bad => self.core.cell.add(Counter::BadPackets, 1),
                Mail::Packet(packet) => {
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
                Mail::Bodiless(bytes) => match wire::bodiless(bytes) {
                    Ok((command, body_bytes)) => {
                        let handle = self.core.loop_handle();
                        handle.board().take_attached(handle.own_address(), body_bytes as u64);
                        self.core.answer_bodiless(&command);
                    }
                    Err(_) => self.core.cell.add(Counter::BadPackets, 1),
                },
                Mail::Closed => {
                    self.life = Life::Orphaned;
                    self.mail_waits = false;
                    break;
                }
            }
        }
        self.settle();
    }
}
