//! Stories of cover: who serves the listener of a slot that is down, from when, until when.

use super::*;

/// Like [`Bench::serving`], with a listener in each slot.
fn listening(slots: usize) -> Bench {
    let mut bench = Bench::with_specs(slots, |spec| spec.listens = true);
    for (slot, pid) in (0..).zip(10..10 + slots as u32) {
        bench.at(0, forked(slot, pid));
        bench.at(0, ready(pid));
    }
    bench
}

/// Has the process of slot 1, which is number 11, and its first successor die at this time.
fn lose_slot_1(bench: &mut Bench, at_ms: u64) {
    assert_eq!(bench.at(at_ms, died(11)), "fork 1 g0");
    assert_eq!(bench.at(at_ms, forked(1, 21)), "");
    // It waits 100 ms, is started, and hangs.
    assert_eq!(bench.at(at_ms, died(21)), "");
    assert_eq!(bench.at(at_ms + 100, Event::Tick), "fork 1 g0");
    assert_eq!(bench.at(at_ms + 100, forked(1, 31)), "");
}

#[test]
fn a_slot_that_is_down_for_a_second_is_covered_until_it_serves_again() {
    let mut bench = listening(3);
    lose_slot_1(&mut bench, 5_000);
    assert_eq!(bench.timer(), Some(6_000));
    assert_eq!(bench.at(5_999, Event::Tick), "");
    assert_eq!(bench.at(6_000, Event::Tick), "cover 1 by 10");
    let views: Vec<_> =
        bench.supervisor.children(bench.start).map(|view| view.covered_by).collect();
    assert_eq!(views, [None, Some(ChildId(0)), None]);
    assert!(bench.reports.contains(&Report::Covered { child: ChildId(1), by: ChildId(0) }));
    assert_eq!(bench.at(6_500, ready(31)), "uncover 1 by 10");
    assert!(bench.reports.contains(&Report::Uncovered { child: ChildId(1) }));
    assert_eq!(bench.timer(), None);
}

#[test]
fn a_reload_and_a_single_death_move_no_listener() {
    let mut bench = listening(2);
    assert_eq!(bench.at(5_000, died(11)), "fork 1 g0");
    assert_eq!(bench.at(5_010, forked(1, 21)), "");
    assert_eq!(bench.at(5_900, ready(21)), "");
    assert_eq!(bench.at(10_000, Event::Reload), "drain 10");
    assert_eq!(bench.at(10_200, draining(10)), "fork 0 g1");
    assert_eq!(bench.at(10_210, forked(0, 20)), "");
    assert_eq!(bench.at(10_900, ready(20)), "drain 21");
}

#[test]
fn who_covers_is_who_has_least_to_cover_and_then_least_to_do() {
    let mut bench = listening(4);
    bench.supervisor.weigh(|pid| match pid.0 {
        10 => 500,
        12 => 3,
        _ => 7,
    });
    lose_slot_1(&mut bench, 5_000);
    assert_eq!(bench.at(6_000, Event::Tick), "cover 1 by 12");
    assert_eq!(bench.at(6_100, died(13)), "fork 3 g0");
    assert_eq!(bench.at(6_100, forked(3, 23)), "");
    assert_eq!(bench.at(7_100, Event::Tick), "cover 3 by 10", "12 has one to cover already");
}

#[test]
fn another_takes_over_from_who_dies_or_leaves_and_nobody_if_there_is_nobody() {
    let mut bench = listening(3);
    lose_slot_1(&mut bench, 5_000);
    assert_eq!(bench.at(6_000, Event::Tick), "cover 1 by 10");
    assert_eq!(bench.at(6_100, died(10)), "fork 0 g0, cover 1 by 12");
    // Who leaves lets go by itself: nobody is left, and the listener goes to the first who is ready.
    assert_eq!(bench.at(6_200, draining(12)), "fork 2 g0");
    assert_eq!(bench.at(6_300, forked(0, 20)), "");
    assert_eq!(bench.at(6_400, ready(20)), "cover 1 by 20");
}

#[test]
fn a_cover_that_could_not_be_given_is_tried_again_a_second_later() {
    let mut bench = listening(2);
    lose_slot_1(&mut bench, 5_000);
    assert_eq!(bench.at(6_000, Event::Tick), "cover 1 by 10");
    let failed = Event::CoverFailed { child: ChildId(1), by: Pid(10) };
    assert_eq!(bench.at(6_001, failed.clone()), "");
    assert_eq!(bench.at(7_000, Event::Tick), "");
    assert_eq!(bench.at(7_001, Event::Tick), "cover 1 by 10");
    assert_eq!(bench.at(7_100, ready(31)), "uncover 1 by 10");
    assert_eq!(bench.at(7_200, failed), "", "stale");
}

#[test]
fn a_stop_ends_all_cover_and_a_side_process_takes_no_part() {
    let mut bench = listening(2);
    lose_slot_1(&mut bench, 5_000);
    assert_eq!(bench.at(6_000, Event::Tick), "cover 1 by 10");
    assert_eq!(bench.at(6_100, Event::Stop), "stop 10, stop 31");
    let mut sides = Bench::serving(2);
    lose_slot_1(&mut sides, 5_000);
    assert_eq!(sides.at(8_000, Event::Tick), "");
}
