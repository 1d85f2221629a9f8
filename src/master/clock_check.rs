//! Whether the machine's clock can be right, as far as that is known at a start. Pure.

use std::time::Duration;

/// 2026-01-01, since 1970: no clock that is right is before it.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// What to say of a clock that stands at `now`, since 1970, when the file of the program was made at `made`. Ids of connections are
/// taken from it: after it was put right and back once more, they would come again.
pub(super) fn warning(now: Duration, made: Option<Duration>) -> Option<String> {
    let why = if now < EARLIEST {
        "before 2026"
    } else if made.is_some_and(|made| now < made) {
        "before the time at which this program was installed"
    } else {
        return None;
    };
    Some(format!(
        "the clock stands {why}: ids of connections, which are taken from it, can come again; set it, or start \
         behind time-sync.target"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_told_of() {
        let seconds = Duration::from_secs;
        for (now, made, expected) in [
            (0, None, Some("before 2026")),
            // 2019, as a board without a battery may have it.
            (1_550_000_000, None, Some("before 2026")),
            (1_767_225_599, Some(1_500_000_000), Some("before 2026")),
            (1_767_225_600, None, None),
            (1_800_000_000, Some(1_800_000_000), None),
            (1_800_000_000, Some(1_800_000_001), Some("was installed")),
        ] {
            let found = warning(seconds(now), made.map(seconds));
            let is_told = match (&found, expected) {
                (Some(found), Some(expected)) => found.contains(expected),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(is_told, "{now}, {made:?}: {found:?}");
        }
    }
}
