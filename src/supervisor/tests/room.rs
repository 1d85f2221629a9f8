//! Stories of children that come, change and go.

use wsmaster_ipc::sys::clock;

use super::*;

fn spec(name: &str) -> ChildSpec {
    ChildSpec {
        name: name.into(),
        restart: RestartPolicy::Always,
        reloadable: false,
        listens: false,
        stop_timeout: Some(Duration::from_secs(3)),
    }
}

/// One child that serves, and two vacant slots.
fn bench() -> Bench {
    let policy = Policy { backoff_jitter_percent: 0, ..Policy::default() };
    let supervisor = Supervisor::new(vec![spec("first")], policy, 1).with_vacant_slots(2);
    let mut bench = Bench { supervisor, start: clock::now(), reports: Vec::new() };
    bench.drain_actions();
    bench.at(0, forked(0, 10));
    bench.at(0, ready(10));
    bench
}

fn install(slot: u16) -> Event {
    Event::Install { child: ChildId(slot), spec: spec("new") }
}

fn replace(slot: u16) -> Event {
    let why = RecycleReason::Changed;
    Event::Replace { child: ChildId(slot), spec: spec("other"), why }
}

fn remove(slot: u16) -> Event {
    Event::Remove { child: ChildId(slot) }
}

fn is_removed(bench: &Bench, slot: u16) -> bool {
    bench.reported(|report| matches!(report, Report::Removed { child } if child.0 == slot))
}

#[test]
fn a_vacant_slot_is_nothing_until_it_is_given_a_child() {
    let mut bench = bench();
    assert!(bench.supervisor.all_ready());
    assert_eq!(bench.supervisor.status().children, 1);
    assert_eq!(bench.at(1, retry(1)) + &bench.at(1, replace(1)) + &bench.at(1, remove(1)), "");
    assert_eq!(bench.at(2, install(1)), "fork 1 g0");
    assert_eq!(bench.at(2, install(1)) + &bench.at(2, install(0)), "", "they are somebody's");
    bench.at(3, forked(1, 11));
    bench.at(4, ready(11));
    assert_eq!((bench.phase(1), bench.supervisor.status().children), (Phase::Ready, 2));
    // It is kept running as all are.
    assert_eq!(bench.at(5, died(11)), "fork 1 g0");
}

#[test]
fn who_is_removed_is_asked_to_stop_and_killed_in_its_own_time_and_leaves_a_vacant_slot() {
    let mut bench = bench();
    assert_eq!(bench.at(1_000, remove(0)), "stop 10");
    assert_eq!((bench.phase(0), bench.timer()), (Phase::Stopping, Some(4_000)));
    assert_eq!(bench.at(1_001, remove(0)) + &bench.at(1_001, replace(0)), "");
    assert_eq!(bench.at(4_000, Event::Tick), "kill 10");
    assert!(!is_removed(&bench, 0));
    assert_eq!(bench.at(4_001, died(10)), "");
    assert!(is_removed(&bench, 0));
    assert_eq!((bench.phase(0), bench.timer()), (Phase::Vacant, None));
    assert_eq!(bench.at(5_000, install(0)), "fork 0 g0");
}

#[test]
fn who_is_removed_before_it_runs_never_serves() {
    // The request to fork has not been taken.
    let mut bench = bench();
    bench.supervisor.handle(install(1), bench.start);
    assert_eq!(bench.at(0, remove(1)), "");
    assert_eq!(bench.phase(1), Phase::Vacant);
    // It was taken, and is answered.
    for (answer, expected, phase) in
        [(forked(1, 11), "stop 11", Phase::Stopping), (fork_failed(1), "", Phase::Vacant)]
    {
        let mut bench = self::bench();
        assert_eq!(bench.at(1, install(1)), "fork 1 g0");
        assert_eq!(bench.at(2, remove(1)), "");
        assert_eq!(bench.at(3, answer), expected);
        assert_eq!(bench.phase(1), phase);
        if phase == Phase::Stopping {
            assert_eq!(bench.at(4, finished(11)), "");
        }
        assert!(bench.phase(1) == Phase::Vacant && is_removed(&bench, 1));
    }
    // It waits for its next start.
    let mut bench = self::bench();
    bench.at(1, died(10));
    bench.at(1, forked(0, 12));
    bench.at(1, died(12));
    assert_eq!(bench.phase(0), Phase::BackingOff);
    assert_eq!(bench.at(2, remove(0)), "");
    assert_eq!((bench.phase(0), bench.timer()), (Phase::Vacant, None));
}

#[test]
fn who_is_replaced_ends_first_whatever_it_is_at() {
    // It serves.
    let mut bench = bench();
    assert_eq!(bench.at(1, replace(0)), "drain 10");
    assert_eq!(bench.at(2, replace(0)), "", "its successor will be that");
    assert_eq!(bench.at(3, finished(10)), "fork 0 g0");
    assert_eq!(bench.supervisor.spec(ChildId(0)).unwrap().name, "other");
    // It is not ready.
    bench.at(4, forked(0, 11));
    assert_eq!(bench.at(5, replace(0)), "drain 11");
    assert_eq!(bench.at(6, ready(11)), "", "too late");
    assert_eq!(bench.at(7, died(11)), "fork 0 g0");
    // It does not end.
    bench.at(8, forked(0, 12));
    bench.at(9, ready(12));
    assert_eq!(bench.at(10, replace(0)), "drain 12");
    assert_eq!(bench.at(5_010, Event::Tick), "term 12");
    assert_eq!(bench.at(7_010, Event::Tick), "kill 12");
    assert_eq!(bench.at(7_011, died(12)), "fork 0 g0");
    // It waits for its next start: the next one has not failed yet.
    for (pid, at) in [(13, 7_012), (14, 7_013)] {
        bench.at(at, forked(0, pid));
        bench.at(at, died(pid));
    }
    assert_eq!(bench.phase(0), Phase::BackingOff);
    assert_eq!(bench.at(7_014, replace(0)), "fork 0 g0");
    bench.at(7_015, forked(0, 15));
    assert_eq!(bench.at(7_016, died(15)), "fork 0 g0", "as after the first failure");
}

#[test]
fn a_stop_ends_them_all_and_nobody_comes_any_more() {
    let mut bench = bench();
    bench.at(1, install(1));
    bench.at(2, forked(1, 11));
    assert_eq!(bench.at(3, remove(0)), "stop 10");
    assert_eq!(bench.at(4, Event::Stop), "stop 10, stop 11");
    assert_eq!(bench.at(5, install(2)) + &bench.at(5, replace(1)) + &bench.at(5, remove(1)), "");
    assert_eq!(bench.at(6, finished(10)), "");
    assert_eq!(bench.at(7, finished(11)), "exit");
}

#[test]
fn the_oldest_generation_is_that_of_whoever_has_not_gone() {
    let mut bench = Bench::serving(2);
    assert_eq!(bench.supervisor.oldest_generation(), Some(0));
    assert_eq!(bench.at(10, Event::Reload), "drain 10");
    assert_eq!(bench.at(11, draining(10)), "fork 0 g1");
    bench.at(12, forked(0, 20));
    assert_eq!(bench.at(13, ready(20)), "drain 11");
    assert_eq!(bench.at(14, draining(11)), "fork 1 g1");
    bench.at(15, forked(1, 21));
    bench.at(16, ready(21));
    bench.at(17, finished(10));
    assert_eq!(bench.supervisor.oldest_generation(), Some(0), "one still leaves");
    bench.at(18, finished(11));
    assert_eq!(bench.supervisor.oldest_generation(), Some(1));
}

/// Children come, change, go, die and come up in every order; the invariants are checked after each event.
#[test]
fn whatever_order_they_come_and_go_in_nothing_is_left_at_the_end() {
    for seed in 0..200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % most
        };
        let mut bench = bench();
        let (mut next, mut living, mut forking) = (100, vec![10], Vec::new());
        for step in 0..300_u64 {
            let slot = roll(3) as u16;
            let event = match roll(10) {
                0 => install(slot),
                1 => replace(slot),
                2 => remove(slot),
                3 => retry(slot),
                4 | 5 if !living.is_empty() => {
                    let pid = living[roll(living.len() as u64) as usize];
                    ready(pid)
                }
                6 if !living.is_empty() => {
                    died(living.swap_remove(roll(living.len() as u64) as usize))
                }
                7 | 8 if !forking.is_empty() => {
                    let slot = forking.swap_remove(roll(forking.len() as u64) as usize);
                    if roll(5) == 0 {
                        fork_failed(slot)
                    } else {
                        next += 1;
                        living.push(next);
                        forked(slot, next)
                    }
                }
                _ => Event::Tick,
            };
            let said = bench.at(step * 700, event);
            let forks = said.split(", ").filter_map(|word| word.strip_prefix("fork "));
            forking.extend(forks.map(|fork| fork[..1].parse::<u16>().expect("a slot")));
        }
        let end = 300 * 700;
        bench.at(end, Event::Stop);
        for slot in forking {
            next += 1;
            living.push(next);
            bench.at(end + 1, forked(slot, next));
        }
        for pid in living {
            bench.at(end + 2, died(pid));
        }
        let is_over = bench.supervisor.activity() == Activity::Stopped;
        assert!(is_over, "seed {seed}: {:?}", bench.supervisor.status());
    }
}
