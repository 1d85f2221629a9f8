//! The arguments of the commands that look into a running server.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// The longest name of a channel or a user that can be looked for, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// Which connections are listed, and how.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only subscribers of this channel
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub channel: Option<String>,
    /// Only connections of this user, as the application has named it
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub user: Option<String>,
    /// Only connections of this worker
    #[arg(long, value_name = "N")]
    pub worker: Option<u16>,
    /// At most so many connections; 0 is all [default: 100]
    #[arg(long, value_name = "N", default_value_t = 100, hide_default_value = true)]
    pub limit: usize,
    /// List the largest first; all are looked at before the first is printed
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<SortBy>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// By which column connections are sorted, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// Open for the longest time
    Age,
    /// Silent for the longest time
    Idle,
    /// Most bytes waiting to be sent
    Queued,
    /// Most messages received
    In,
    /// Most messages sent
    Out,
    /// Most channels
    Channels,
}

/// Seconds between two looks: from a tenth of a second to an hour.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("expected seconds from 0.1 to 3600".to_owned()),
    }
}

fn name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=NAME_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("expected a name of 1 to {NAME_BYTES_MAX} bytes")),
    }
}
