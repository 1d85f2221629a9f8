//! What a process of the fake world is like: what it does of itself, and when it is asked. Owns the dice as well.

use std::time::Duration;

/// The longest way back: a killed hung child (12 s), the longest back-off (36 s), a second round of both, and a start.
pub(crate) const HEALING: Duration = Duration::from_secs(120);

/// What the processes forked from now on are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Healthy,
    DieAtOnce,
    ForkFails,
    /// Each process rolls its own character.
    Any,
}

/// What a process does of itself and when asked. Delays are in milliseconds; `None` is never.
#[derive(Debug)]
pub(crate) struct Character {
    pub(crate) ready: Option<u64>,
    pub(crate) dies: Option<u64>,
    pub(crate) recycles: Option<u64>,
    pub(crate) drains_unasked: Option<u64>,
    pub(crate) drains: Option<u64>,
    pub(crate) ends_after_drain: Option<u64>,
    pub(crate) ends_when_asked: Option<u64>,
    pub(crate) ends_at_term: Option<u64>,
}

impl Character {
    /// A process forked in this mood.
    pub(crate) fn of(mood: Mood, dice: &mut u64) -> Self {
        let healthy = Self {
            ready: Some(1 + roll(dice, 500)),
            dies: None,
            recycles: None,
            drains_unasked: None,
            drains: Some(roll(dice, 200)),
            ends_after_drain: Some(roll(dice, 5_000)),
            ends_when_asked: Some(roll(dice, 3_000)),
            ends_at_term: Some(roll(dice, 1_000)),
        };
        match mood {
            Mood::Healthy | Mood::ForkFails => healthy,
            Mood::DieAtOnce => Self { ready: None, dies: Some(roll(dice, 3)), ..healthy },
            Mood::Any => {
                let ready = Some(1 + roll(dice, 2_000));
                let mut character = Self { ready, ..healthy };
                match roll(dice, 10) {
                    0 => character.ready = None,
                    1 | 2 => character.dies = Some(roll(dice, 50)),
                    3 => character.dies = Some(roll(dice, 200_000)),
                    4 => character.recycles = Some(roll(dice, 5_000)),
                    5 => character.drains_unasked = Some(roll(dice, 5_000)),
                    _ => {}
                }
                for answer in [
                    &mut character.drains,
                    &mut character.ends_after_drain,
                    &mut character.ends_when_asked,
                    &mut character.ends_at_term,
                ] {
                    match roll(dice, 6) {
                        0 => *answer = None,
                        1 => *answer = Some(roll(dice, 60_000)),
                        _ => {}
                    }
                }
                character
            }
        }
    }
}

/// A number below `sides` (splitmix64).
pub(crate) fn roll(state: &mut u64, sides: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % sides.max(1)
}
