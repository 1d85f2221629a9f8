//! Connections that the application does not want to hear of for a while: they are not read, so that the client's kernel
//! and then the client itself wait.

use super::Core;

impl Core {
    /// Stops reading a WebSocket behind the message that is being handled.
    pub(crate) fn hold(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index)
            && connection.flags.open
            && !connection.flags.held
        {
            connection.flags.held = true;
            self.held += 1;
        }
    }

    /// Reads on.
    pub(crate) fn release(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        if !std::mem::take(&mut connection.flags.held) {
            return;
        }
        // Its time begins now: it could not be heard before.
        connection.times.alive_at(self.now_ms);
        self.held -= 1;
        if self.registry.at(index).is_some_and(|connection| connection.has_input()) {
            self.make_ready(index);
        }
    }
}
