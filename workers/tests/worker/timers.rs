//! Timers of the application, on a worker that has nothing else to do.

use std::time::{Duration, Instant};

use crate::support::{Server, limits};

/// The loop's clock counts whole milliseconds.
const CLOCK: Duration = Duration::from_millis(1);

#[test]
fn a_timer_comes_once_after_its_time() {
    let server = Server::start(1, limits());
    let mut client = server.open(0);
    let begun = Instant::now();
    client.send_text("!after 50");
    client.expect_text("time, 0 left");
    assert!(begun.elapsed() + CLOCK >= Duration::from_millis(50));
    client.expect_text("cleared: false");
    client.send_text("nothing comes in between");
    client.expect_text("nothing comes in between");
}

#[test]
fn a_tick_comes_until_it_is_cleared() {
    let server = Server::start(1, limits());
    let mut client = server.open(0);
    let begun = Instant::now();
    client.send_text("!tick 20 3");
    for left in ["2", "1", "0"] {
        client.expect_text(&format!("time, {left} left"));
    }
    assert!(begun.elapsed() + 3 * CLOCK >= Duration::from_millis(60));
    client.expect_text("cleared: true");
    // It would come twice in this time.
    client.send_text("!sleep 40");
    client.send_text("and now");
    client.expect_text("and now");
}
