//! The command line: names, defaults and bounds of what can be asked.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Most connections of one run. The port range of one source address and the usual limit of descriptors of one process
/// both lie a little above.
pub(crate) const CONNECTIONS_MAX: u32 = 18_000;

/// Longest payload of one message. What is prepared for all connections together is bounded by
/// [`crate::echo::PREPARED_BYTES_MAX`].
const MESSAGE_BYTES_MAX: u64 = 16 << 20;

/// Drives a WebSocket server and tells what it did per second of its own CPU time.
#[derive(Debug, Parser)]
#[command(name = "load", version, max_term_width = 100)]
pub(crate) struct Program {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print one JSON object instead of lines
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// Which server is driven and which processes it consists of.
#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    /// Address of the server
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:9501")]
    pub(crate) addr: SocketAddr,
    /// Processes of the server, whose CPU time and memory are counted
    #[arg(long = "server-pid", global = true, value_name = "PID,..", value_delimiter = ',')]
    pub(crate) pids: Vec<u32>,
    /// Speak TLS; whatever certificate the server shows is taken
    #[arg(long, global = true)]
    pub(crate) tls: bool,
    /// With --tls: take up the session of an earlier connection, where there is one
    #[arg(long, global = true, requires = "tls")]
    pub(crate) resume: bool,
}

/// What is done to the server.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Send messages and wait for them to come back
    Echo(Echo),
    /// Let one connection speak and many listen
    Fanout(Fanout),
    /// Have a side process of examples/pusher.rs push to every connection
    Push(Push),
    /// Open connections, leave them alone and look at the server's memory
    Idle(Idle),
    /// Connect, echo once and close, so many times a second
    Churn(Churn),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Echo {
    /// Connections, all at work at the same time
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub(crate) connections: u32,
    /// Payload of a message in bytes
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MESSAGE_BYTES_MAX))]
    pub(crate) bytes: u64,
    /// Messages each connection sends at once; the next burst follows when all are back
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) burst: u32,
    #[command(flatten)]
    pub(crate) window: Window,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Fanout {
    /// Connections that listen
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..i64::from(CONNECTIONS_MAX)))]
    pub(crate) receivers: u32,
    /// Payload in bytes of the frame a receiver gets
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=MESSAGE_BYTES_MAX))]
    pub(crate) bytes: u64,
    /// Messages the speaker sends at once; the next burst follows when everyone has heard all of it
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) burst: u32,
    /// Speak the channel protocol (subscribe, then publish) instead of sending what all are to hear
    #[arg(long)]
    pub(crate) channels: bool,
    #[command(flatten)]
    pub(crate) window: Window,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Push {
    /// Connections that are pushed to
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..i64::from(CONNECTIONS_MAX)))]
    pub(crate) connections: u32,
    /// Bytes of a text
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(crate::push::TEXT_BYTES_MIN..=65_536))]
    pub(crate) bytes: u64,
    /// Texts that each connection gets in one round; the next round follows when everyone has heard all of it
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) burst: u32,
    /// The least time between the beginnings of two rounds, in seconds
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) every: Duration,
    #[command(flatten)]
    pub(crate) window: Window,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    /// Connections to open
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub(crate) connections: u32,
    /// How long the open connections are left alone, in seconds
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) hold: Duration,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Churn {
    /// Connections a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) rate: u32,
    /// Payload of the one message in bytes
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) bytes: u64,
    #[command(flatten)]
    pub(crate) window: Window,
}

/// The time that is measured and the time before it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Window {
    /// How long to measure, in seconds
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long to run before that, in seconds
    #[arg(long, default_value = "0.5", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) warmup: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected seconds from 0 to 86400, such as 3 or 0.5".to_owned()),
    }
}
