//! What can be said of the certificates that a configuration names.

use crate::{
    config::{Config, ConfigErrors},
    tls::{TlsSummary, files},
};

/// Reads and checks the files in this process, and says what can be told of them. Their contents are not kept. `None` when
/// TLS is off.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn check(config: &Config, now_unix_s: i64) -> Result<Option<TlsSummary>, ConfigErrors> {
    if !config.tls.is_on() {
        return Ok(None);
    }
    let (_, told) =
        files::read(config, now_unix_s).map_err(|faults| files::errors(config, &faults))?;
    Ok(Some(told))
}
