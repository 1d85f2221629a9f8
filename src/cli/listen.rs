//! The address of `--listen`. Its spellings are those of the file.

use crate::config::ListenAddress;

/// Reads an address, or says what was expected.
pub(super) fn parse(text: &str) -> Result<ListenAddress, String> {
    text.parse().map_err(|error| format!("expected {error}"))
}
