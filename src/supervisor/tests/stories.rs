//! Stories that take more than one slot or more than one event: reloads, stops, and who is given up.
//!
//! Owns exact answers at exact times, as the table does for a single event.

use wsmaster_ipc::sys::clock;

use super::*;

#[test]
fn a_reload_goes_slot_by_slot_and_the_old_may_finish_beside_the_new() {
    let mut bench = Bench::serving(2);
    assert_eq!(bench.at(10_000, Event::Reload), "drain 10");
    assert_eq!(bench.at(10_001, draining(10)), "fork 0 g1");
    assert_eq!(bench.at(10_002, forked(0, 20)), "");
    assert!(bench.supervisor.is_reloading());
    assert_eq!(bench.at(10_003, ready(20)), "drain 11", "the old process still leaves");
    assert_eq!(bench.supervisor.child_of(Pid(10)), Some(ChildId(0)));
    assert_eq!(bench.at(10_004, died(10)), "");
    assert_eq!(bench.at(10_005, draining(11)), "fork 1 g1");
    assert_eq!(bench.at(10_006, forked(1, 21)), "");
    assert_eq!(bench.at(10_007, ready(21)), "");
    assert!(!bench.supervisor.is_reloading() && bench.supervisor.all_ready());
    let took = Duration::from_millis(7);
    assert!(bench.reports.contains(&Report::ReloadFinished { generation: 1, replaced: 2, took }));
    let status = bench.supervisor.status();
    assert_eq!((status.replacements, status.restarts, status.leaving), (2, 0, 1));
    assert_eq!(bench.at(40_005, Event::Tick), "kill 11", "it had its time to leave");
    assert_eq!(bench.timer(), None);
}

#[test]
fn a_reload_stops_at_the_first_successor_that_fails_and_the_others_serve_on() {
    let rows = [
        (vec![(10_002, fork_failed(0))], ReloadFailure::ForkFailed(ChildId(0))),
        (
            vec![(10_002, forked(0, 20)), (10_003, died(20))],
            ReloadFailure::DiedBeforeReady(ChildId(0)),
        ),
        (vec![(10_002, forked(0, 20)), (20_002, Event::Tick)], ReloadFailure::NotReady(ChildId(0))),
        (
            vec![(10_002, forked(0, 20)), (10_003, draining(20))],
            ReloadFailure::DiedBeforeReady(ChildId(0)),
        ),
    ];
    for (life, reason) in rows {
        let mut bench = Bench::serving(2);
        bench.at(10_000, Event::Reload);
        bench.at(10_001, draining(10));
        for (ms, event) in life {
            bench.at(ms, event);
        }
        bench.assert_failed_reload(reason);
        assert!(!bench.supervisor.is_reloading(), "{reason:?}");
        assert_eq!(bench.phase(1), Phase::Ready, "{reason:?}");
        assert_eq!(bench.supervisor.state(ChildId(1)).unwrap().process().unwrap().generation, 0);
    }
}

#[test]
fn a_failed_reload_leaves_its_slot_to_the_back_off() {
    let mut bench = Bench::serving(1);
    bench.at(10_000, Event::Reload);
    bench.at(10_000, draining(10));
    bench.at(10_000, forked(0, 20));
    assert_eq!(bench.at(10_000, died(20)), "fork 0 g1");
    bench.at(10_000, forked(0, 21));
    assert_eq!(bench.at(10_000, died(21)), "");
    assert_eq!(bench.timer(), Some(10_100));
    let failures = bench.reports.iter().filter(|r| matches!(r, Report::ReloadFailed { .. }));
    assert_eq!(failures.count(), 1, "the restart is no part of the reload");
}

#[test]
fn reloads_asked_for_during_a_reload_are_one_after_it() {
    let mut bench = Bench::serving(1);
    bench.at(10_000, Event::Reload);
    assert_eq!(bench.at(10_001, Event::Reload), "");
    assert_eq!(bench.at(10_002, Event::Reload), "");
    bench.at(10_003, draining(10));
    bench.at(10_004, forked(0, 20));
    assert_eq!(bench.at(10_005, ready(20)), "drain 20");
    assert_eq!(bench.supervisor.generation(), 2);
    bench.at(10_006, draining(20));
    bench.at(10_007, forked(0, 21));
    assert_eq!(bench.at(10_008, ready(21)), "");
    assert!(!bench.supervisor.is_reloading());
    assert_eq!(bench.supervisor.generation(), 2);
}

#[test]
fn a_queued_reload_follows_a_failed_one_too() {
    let mut bench = Bench::serving(1);
    bench.at(10_000, Event::Reload);
    bench.at(10_000, Event::Reload);
    bench.at(10_001, draining(10));
    bench.at(10_002, forked(0, 20));
    assert_eq!(bench.at(10_003, died(20)), "fork 0 g2");
    bench.assert_failed_reload(ReloadFailure::DiedBeforeReady(ChildId(0)));
    assert!(bench.supervisor.is_reloading());
    bench.at(10_004, forked(0, 21));
    bench.at(10_005, ready(21));
    assert!(!bench.supervisor.is_reloading());
}

#[test]
fn a_reload_waits_for_a_child_that_is_starting_and_passes_by_those_it_does_not_concern() {
    use RestartPolicy::{Always, Never};
    let mut bench = Bench::with(vec![(Always, false), (Never, true), (Always, true)]);
    bench.at(0, forked(0, 10));
    bench.at(0, ready(10));
    bench.at(0, forked(1, 11));
    bench.at(0, died(11));
    bench.at(0, forked(2, 12));
    assert_eq!(bench.at(1, Event::Reload), "");
    assert_eq!(bench.at(2, ready(12)), "drain 12");
    bench.at(3, draining(12));
    bench.at(3, forked(2, 13));
    bench.at(4, ready(13));
    assert!(bench.reported(|r| matches!(r, Report::ReloadFinished { replaced: 1, .. })));
}

#[test]
fn a_reload_goes_on_when_the_process_to_be_replaced_fails_by_itself() {
    let mut bench = Bench::new(1);
    bench.at(0, forked(0, 10));
    assert_eq!(bench.at(1, Event::Reload), "", "it is starting");
    assert_eq!(bench.at(2, died(10)), "fork 0 g1");
    assert!(bench.supervisor.is_reloading());
    bench.at(3, forked(0, 11));
    bench.at(4, ready(11));
    assert!(bench.reported(|r| matches!(r, Report::ReloadFinished { replaced: 1, .. })));
}

#[test]
fn a_reload_that_comes_to_a_slot_backing_off_tries_it_at_once() {
    let mut bench = Bench::serving(2);
    bench.at(10_000, Event::Reload);
    assert_eq!(bench.at(10_001, died(11)), "fork 1 g1");
    bench.at(10_001, forked(1, 20));
    assert_eq!(bench.at(10_001, died(20)), "", "a slot whose turn has not come fails as ever");
    assert!(bench.supervisor.is_reloading());
    bench.at(10_002, draining(10));
    bench.at(10_002, forked(0, 21));
    assert_eq!(bench.at(10_003, ready(21)), "fork 1 g1");
    bench.at(10_003, forked(1, 22));
    bench.at(10_004, died(22));
    bench.assert_failed_reload(ReloadFailure::DiedBeforeReady(ChildId(1)));
}

#[test]
fn a_process_that_dies_of_being_replaced_is_no_failure_of_its_slot() {
    for ends in [vec![(5_100, died(11))], vec![(10_000, Event::Tick), (10_100, died(11))]] {
        let mut bench = Bench::serving(1);
        bench.at(0, died(10));
        bench.at(0, forked(0, 11));
        bench.at(0, ready(11));
        bench.at(5_000, recycle(11));
        let mut last = String::new();
        for (ms, event) in ends {
            last = bench.at(ms, event);
        }
        assert_eq!(last, "fork 0 g0", "a second failure would wait");
    }
}

#[test]
fn a_pid_that_is_in_the_table_is_not_put_there_again() {
    let mut bench = Bench::new(2);
    bench.at(0, forked(0, 10));
    assert_eq!(bench.at(0, forked(1, 10)), "");
    assert_eq!((bench.phase(0), bench.phase(1)), (Phase::Starting, Phase::Forking));
}

#[test]
fn to_obey_the_terminating_signal_is_no_success() {
    let mut bench = Bench::with(vec![(RestartPolicy::OnFailure, true)]);
    bench.at(0, forked(0, 10));
    assert_eq!(bench.at(10_000, Event::Tick), "term 10");
    assert_eq!(bench.at(10_001, finished(10)), "fork 0 g0");
}

#[test]
fn stop_hurries_who_leaves_too() {
    let mut bench = Bench::serving(1);
    bench.at(10_000, Event::Reload);
    bench.at(10_001, draining(10));
    bench.at(10_001, forked(0, 20));
    assert_eq!(bench.at(10_002, Event::Stop), "stop 20, stop 10");
    assert_eq!(bench.at(10_003, Event::StopNow), "kill 20, kill 10");
}

#[test]
fn a_request_to_drain_is_withdrawn_from_who_has_left_already() {
    let mut bench = Bench::serving(1);
    bench.supervisor.handle(Event::Reload, bench.start + Duration::from_secs(5));
    bench.supervisor.handle(draining(10), bench.start + Duration::from_secs(5));
    assert_eq!(bench.drain_actions(), "fork 0 g1");
}

#[test]
fn no_fifth_process_leaves() {
    let mut bench = Bench::serving(1);
    for n in 0..4 {
        let (old, new, ms) = (10 + n, 11 + n, 10_000 + u64::from(n));
        assert_eq!(bench.at(ms, Event::Reload), format!("drain {old}"));
        assert!(bench.at(ms, draining(old)).starts_with("fork 0"));
        bench.at(ms, forked(0, new));
        bench.at(ms, ready(new));
    }
    assert_eq!(bench.at(11_000, Event::Reload), "", "four are leaving");
    assert!(bench.supervisor.is_reloading());
    assert_eq!(bench.at(12_000, died(11)), "drain 14");
    bench.at(12_000, draining(14));
    bench.at(12_000, forked(0, 15));
    bench.at(12_000, ready(15));
    assert_eq!(bench.at(14_000, recycle(15)), "", "a wish waits too");
    assert_eq!(bench.timer(), Some(40_000), "and arms no timer of its own");
    assert_eq!(bench.at(14_001, died(12)), "drain 15");
    bench.at(14_001, draining(15));
    bench.at(14_001, forked(0, 16));
    bench.at(14_001, ready(16));
    assert_eq!(bench.at(14_002, draining(16)), "term 16", "who leaves unasked is ended instead");
    assert_eq!(bench.at(14_003, died(16)), "fork 0 g5");
}

#[test]
fn stop_ends_a_reload_and_everybody_including_who_leaves_and_who_is_being_forked() {
    let mut bench = Bench::serving(2);
    bench.at(10_000, Event::Reload);
    assert_eq!(bench.at(10_001, draining(10)), "fork 0 g1");
    assert_eq!(bench.at(10_002, Event::Stop), "stop 10, stop 11");
    bench.assert_failed_reload(ReloadFailure::Stopped);
    assert_eq!(bench.at(10_003, Event::Reload), "");
    assert_eq!(bench.at(10_004, forked(0, 20)), "stop 20");
    assert_eq!(bench.at(10_005, died(10)), "");
    assert_eq!(bench.at(10_006, died(11)), "");
    assert_eq!(bench.at(40_002, Event::Tick), "kill 20");
    assert_eq!(bench.at(40_003, died(20)), "exit");
    let took = Duration::from_millis(30_001);
    assert_eq!(bench.reports.last(), Some(&Report::AllStopped { took, killed: 1 }));
    assert_eq!(bench.at(50_000, Event::StopNow), "", "the end comes once");
    assert_eq!(bench.supervisor.activity(), Activity::Stopped);
}

#[test]
fn stop_takes_back_forks_that_nobody_has_begun() {
    let specs = vec![ChildSpec {
        name: "child".into(),
        restart: RestartPolicy::Always,
        reloadable: true,
        listens: false,
        stop_timeout: None,
    }];
    let mut supervisor = Supervisor::new(specs, Policy::default(), 1);
    supervisor.handle(Event::Stop, clock::now());
    let said: Vec<Action> = std::iter::from_fn(|| supervisor.poll_action()).collect();
    assert!(!said.iter().any(|action| matches!(action, Action::Fork { .. })), "{said:?}");
    assert_eq!(said.last(), Some(&Action::Exit));
}

#[test]
fn what_was_to_be_done_to_a_process_dies_with_it() {
    let mut bench = Bench::serving(1);
    bench.supervisor.handle(Event::Reload, bench.start + Duration::from_secs(5));
    bench.supervisor.handle(died(10), bench.start + Duration::from_secs(5));
    assert_eq!(bench.drain_actions(), "fork 0 g1");
}

#[test]
fn restart_policies_differ_in_what_they_make_of_an_end() {
    use RestartPolicy::{Always, Never, OnFailure};
    let rows = [
        (Always, finished(10), "fork 0 g0", Phase::Forking),
        (OnFailure, finished(10), "", Phase::GivenUp),
        (OnFailure, died(10), "fork 0 g0", Phase::Forking),
        (Never, finished(10), "", Phase::GivenUp),
        (Never, died(10), "", Phase::GivenUp),
        (OnFailure, draining(10), "", Phase::Ready),
        (Never, draining(10), "", Phase::Ready),
    ];
    for (restart, end, actions, phase) in rows {
        let name = format!("{restart:?} {end:?}");
        let mut bench = Bench::with(vec![(restart, true)]);
        bench.at(0, forked(0, 10));
        bench.at(0, ready(10));
        assert_eq!((bench.at(9, end).as_str(), bench.phase(0)), (actions, phase), "{name}");
        assert_eq!(bench.timer(), None, "{name}");
    }
}

#[test]
fn a_child_that_dies_too_often_waits_longest_and_says_so() {
    let mut bench = Bench::new(1);
    let mut ms = 0;
    for pid in 10..21 {
        bench.at(ms, forked(0, pid));
        bench.at(ms, ready(pid));
        bench.at(ms, died(pid));
        if let Some(due) = bench.timer() {
            ms = u64::try_from(due).unwrap();
            bench.at(ms, Event::Tick);
        }
    }
    let delays: Vec<(u128, bool)> = bench
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::BackingOff { delay, too_often, .. } => {
                Some((delay.as_millis(), too_often.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(delays.len(), 10);
    assert_eq!(delays[8], (25_600, false));
    assert_eq!(delays[9], (30_000, true));
    let limit = TooOften { restarts_max: 10, window: Duration::from_secs(60) };
    assert!(bench.reported(
        |report| matches!(report, Report::BackingOff { too_often: Some(said), .. } if *said == limit)
    ));
}

#[test]
fn whoever_dies_too_often_is_seen_to_and_a_reload_tries_it_at_once() {
    let policy = Policy { restarts_max: 1, backoff_jitter_percent: 0, ..Policy::default() };
    let mut bench = Bench::serving(2);
    bench.supervisor.set_policy(policy);
    bench.at(0, died(10));
    bench.at(0, forked(0, 20));
    bench.at(0, died(20));
    let view = |bench: &Bench| {
        let now = bench.start + Duration::from_secs(1);
        let view = bench.supervisor.children(now).next().expect("two slots");
        (view.state, view.failures, view.too_often)
    };
    assert_eq!(view(&bench), (Phase::BackingOff, 2, true));
    assert_eq!(bench.timer(), Some(30_000));
    assert_eq!(bench.at(1_000, Event::Reload), "fork 0 g1");
    bench.at(1_000, forked(0, 21));
    assert_eq!(view(&bench), (Phase::Starting, 2, false));
}

#[test]
fn those_that_wish_to_be_replaced_together_go_one_after_the_other() {
    let mut bench = Bench::serving(3);
    bench.at(5_000, recycle(12));
    assert_eq!(bench.phase(2), Phase::Draining);
    assert_eq!(bench.at(5_001, recycle(10)), "");
    assert_eq!(bench.at(5_002, recycle(11)), "");
    assert_eq!(bench.timer(), Some(10_000), "only the answer of the first is awaited");
    bench.at(5_090, draining(12));
    bench.at(5_090, forked(2, 20));
    assert_eq!(bench.at(5_100, ready(20)), "");
    assert_eq!(bench.timer(), Some(6_000), "a second after the first");
    assert_eq!(bench.at(6_000, Event::Tick), "drain 10");
    bench.at(6_010, draining(10));
    bench.at(6_010, forked(0, 21));
    assert_eq!(bench.at(7_500, Event::Tick), "", "the second is not there yet");
    assert_eq!(bench.at(7_600, ready(21)), "drain 11");
    bench.at(7_600, draining(11));
    assert_eq!(bench.supervisor.status().replacements, 3);
    assert_eq!(bench.supervisor.status().restarts, 0);
}

#[test]
fn nobody_is_recycled_in_a_reload_and_who_still_wishes_it_is_after_it() {
    let mut bench = Bench::serving(2);
    assert_eq!(bench.at(5_000, Event::Reload), "drain 10");
    assert_eq!(bench.at(5_001, recycle(11)), "");
    bench.at(5_002, draining(10));
    assert_eq!(bench.at(5_002, fork_failed(0)), "fork 0 g1");
    bench.assert_failed_reload(ReloadFailure::ForkFailed(ChildId(0)));
    bench.at(5_003, forked(0, 20));
    assert_eq!(bench.at(5_004, ready(20)), "drain 11");
}

#[test]
fn children_that_a_reload_does_not_touch_are_recycled_at_once() {
    let mut bench = Bench::with(vec![(RestartPolicy::Always, false); 2]);
    for (slot, pid) in [(0, 10), (1, 11)] {
        bench.at(0, forked(slot, pid));
        bench.at(0, ready(pid));
    }
    assert_eq!(bench.at(5_000, recycle(10)), "drain 10");
    assert_eq!(bench.at(5_000, recycle(11)), "drain 11");
}

#[test]
fn the_table_reads_as_json() {
    let mut bench = Bench::serving(2);
    bench.at(10_000, died(11));
    bench.at(10_000, forked(1, 12));
    bench.at(10_500, died(12));
    let views: Vec<_> =
        bench.supervisor.children(bench.start + Duration::from_millis(10_550)).collect();
    assert_eq!(
        serde_json::to_value(&views).unwrap(),
        serde_json::json!([
            {
                "id": 0, "name": "child", "state": "ready", "pid": 10, "generation": 0,
                "uptime_ms": 10_550, "retry_in_ms": null, "failures": 0, "too_often": false,
                "restarts": 0, "replacements": 0, "leaving": [], "last_exit": null,
                "covered_by": null
            },
            {
                "id": 1, "name": "child", "state": "backing_off", "pid": null, "generation": 0,
                "uptime_ms": null, "retry_in_ms": 50, "failures": 2, "too_often": false,
                "restarts": 1, "replacements": 0, "leaving": [],
                "last_exit": { "signaled": { "signal": 9, "core_dumped": false } },
                "covered_by": null
            }
        ])
    );
}
