//! Reading the file: the only contact of the configuration with the outside.
//!
//! Owns the bound on its size and the check that it is text. It does not know what is in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{ConfigError, Place};

/// The largest file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of the file, or one error about the file as a whole.
pub(super) fn load(path: &Path) -> Result<String, ConfigError> {
    let name = path.to_string_lossy().into_owned();
    let error = |problem: String| ConfigError::whole(Place::File { name: name.clone() }, problem);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| error(format!("cannot be read: {}", words(&cause))))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(error(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(error(format!("is not a text file: it has a zero byte at offset {at}")));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to();
        let line = cause.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        error(format!("is not UTF-8: line {line}, offset {at}"))
    })
}

/// The system's words without its number, in the lower case of a sentence that goes on.
fn words(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
