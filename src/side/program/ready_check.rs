//! Whether what a program says that it handles and what the configuration has it asked contradict one another. Pure.
//!
//! It is about handshakes: one that a program believes to decide, and that nobody asks it about, would let everybody in. What
//! else a program handles without being told of is only in vain, and may be meant so.

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
                "it decides who may connect (handshake), and is asked about nobody: add app = \"plugin:{process}\" to a [[route]] or \
                 [server], and events = [\"handshake\"] to its [[process]], in {file}; or take its handler of handshakes away"
            ));
        }
        if decides && !asks {
            return Some(format!(
                "it decides who may connect (handshake), and would not be asked: add events = [\"handshake\"] to the [[process]] \
                 \"{process}\" in {file}, or take its handler of handshakes away"
            ));
        }
        if asks && handles == Some(false) {
            return Some(format!(
                "it is asked who may connect, and has no handler of handshakes: add one to it, or take \"handshake\" out of the events of \
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
    fn a_handshake_is_decided_by_who_believes_to_decide_it() {
        use EventKind::{Handshake, Message};
        let silent = || None;
        let without = || Some(vec![Message]);
        let with = || Some(vec![Message, Handshake]);
        for (is_application, asks, events, handles, expected) in [
            // Who says nothing, as a shell script.
            (true, false, silent(), silent(), None),
            (true, true, silent(), silent(), None),
            (false, false, silent(), silent(), None),
            // Who is asked, and decides.
            (true, true, with(), with(), None),
            (true, true, with(), silent(), None),
            (true, true, silent(), with(), None),
            // Who does not want to be asked.
            (true, true, without(), silent(), None),
            // Who has nothing to do with it.
            (true, false, without(), without(), None),
            (false, false, without(), without(), None),
            // Who believes to decide.
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
            // Who is believed to.
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
