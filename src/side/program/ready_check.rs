//! Whether what a program says that it handles contradicts the events that the configuration gives it. Pure.
//!
//! It is about handshakes: a program that believes to decide about them, and is not sent any, would let everybody in. Handlers
//! of other events that are not sent do no harm, and may be meant so.

use wsmaster_protocol::plugin::EventKind;

use super::commands::Ready;

/// What the configuration says of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfiguredEvents<'a> {
    /// Its name.
    pub(super) process: &'a str,
    /// Where it is configured.
    pub(super) file: &'a str,
    /// It has connections of its own.
    pub(super) is_application: bool,
    /// It is asked about handshakes.
    pub(super) asks: bool,
}

impl ConfiguredEvents<'_> {
    /// What is wrong, and what to add and where, in one line. A program that says nothing of what it handles contradicts
    /// nothing; one that asks for fewer `events` than it could have does so knowingly.
    pub(super) fn contradiction(self, ready: &Ready) -> Option<String> {
        let has = |kinds: &Option<Vec<EventKind>>| {
            kinds.as_ref().map(|kinds| kinds.contains(&EventKind::Handshake))
        };
        let (handles, wants) = (has(&ready.handles), has(&ready.events));
        let decides = handles == Some(true) || wants == Some(true);
        let Self { process, file, is_application, asks } = self;
        if decides && !is_application {
            return Some(format!(
                "it handles \"handshake\" but is no application, and would not be asked: add app = \"plugin:{process}\" to a [[route]] or \
                 [server], and events = [\"handshake\"] to its [[process]], in {file}; or remove the handler"
            ));
        }
        if decides && !asks {
            return Some(format!(
                "it handles \"handshake\" but would not be asked: add events = [\"handshake\"] to the [[process]] \
                 \"{process}\" in {file}, or remove the handler"
            ));
        }
        if asks && handles == Some(false) {
            return Some(format!(
                "it is asked about handshakes and has no handler of \"handshake\": add one to it, or take \"handshake\" out of the events of \
                 the [[process]] \"{process}\" in {file}; everybody may connect then"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_decides_about_handshakes_when_it_and_its_configuration_say_so() {
        use EventKind::{Handshake, Message};
        let silent = || None;
        let without = || Some(vec![Message]);
        let with = || Some(vec![Message, Handshake]);
        for (is_application, asks, events, handles, expected) in [
            // A program that says nothing, as a shell script.
            (true, false, silent(), silent(), None),
            (true, true, silent(), silent(), None),
            (false, false, silent(), silent(), None),
            // It is asked, and decides.
            (true, true, with(), with(), None),
            (true, true, with(), silent(), None),
            (true, true, silent(), with(), None),
            // It does not want to be asked.
            (true, true, without(), silent(), None),
            // It has nothing to do with handshakes.
            (true, false, without(), without(), None),
            (false, false, without(), without(), None),
            // It believes to decide.
            (
                true,
                false,
                without(),
                with(),
                Some(
                    "would not be asked: add events = [\"handshake\"] to the [[process]] \"p\" in f,",
                ),
            ),
            (true, false, with(), silent(), Some("would not be asked")),
            (
                false,
                false,
                without(),
                with(),
                Some("add app = \"plugin:p\" to a [[route]] or [server]"),
            ),
            // It is believed to.
            (
                true,
                true,
                without(),
                without(),
                Some(
                    "add one to it, or take \"handshake\" out of the events of the [[process]] \"p\" in f;",
                ),
            ),
        ] {
            let ready = Ready { events, handles };
            let given = ConfiguredEvents { process: "p", file: "f", is_application, asks };
            let found = given.contradiction(&ready);
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => {
                    assert!(found.contains(expected) && !found.contains('\n'), "{found}");
                }
                _ => panic!("{found:?} of {given:?}, {ready:?}; expected {expected:?}"),
            }
        }
    }
}
