//! The measured window: warm up, look at the server's CPU time, run, look again.

use std::time::{Duration, Instant};

use crate::arguments::Window;
use crate::client::Watcher;
use crate::error::Result;
use crate::fleet::{Fleet, TURN};
use crate::process;

/// Work that can be measured.
pub(crate) trait Load: Watcher {
    /// Sends what is due; how long the next turn may wait for events.
    fn push(&mut self, _fleet: &mut Fleet) -> Result<Duration> {
        Ok(TURN)
    }

    /// The window begins: what was noted so far belongs to the warm-up.
    fn window_begins(&mut self) {}

    /// How much is done since the beginning, the warm-up included.
    fn done(&self) -> u64;
}

/// What happened within the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) done: u64,
    pub(crate) elapsed: Duration,
    /// CPU time of the server's processes.
    pub(crate) cpu: Duration,
}

/// Runs `load` for the warm-up and then for the window.
///
/// # Errors
/// Those of the load, a process of `pids` that is gone, or a server that stopped to answer.
pub(crate) fn measure<L: Load>(
    fleet: &mut Fleet,
    load: &mut L,
    window: &Window,
    pids: &[u32],
) -> Result<Measured> {
    run(fleet, load, window.warmup)?;
    load.window_begins();
    let (done, cpu, started) = (load.done(), process::cpu_time(pids)?, Instant::now());
    run(fleet, load, window.seconds)?;
    let elapsed = started.elapsed();
    let cpu = process::cpu_time(pids)?.saturating_sub(cpu);
    Ok(Measured { done: load.done() - done, elapsed, cpu })
}

fn run<L: Load>(fleet: &mut Fleet, load: &mut L, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let wait = load.push(fleet)?;
        fleet.turn_for(wait.min(left), load)?;
        fleet.check_progress(|| format!("the server, which did {} so far", load.done()))?;
    }
}
