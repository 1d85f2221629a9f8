//! Reading the file: the only contact of the configuration with the outside.
//!
//! Owns the bound on its size and the check that it is text. It does not know what is in it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::config::model::error::{ConfigError, Place};

/// The largest file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// The bit of a file's mode that lets everybody read it.
const READABLE_BY_ALL: u32 = 0o004;

/// A file that was read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FileText {
    /// As it was asked for.
    pub(crate) name: String,
    pub(crate) text: String,
    /// It can be read again. What comes out of a pipe comes once.
    pub(crate) is_regular: bool,
    /// Every user of the machine may read it.
    pub(crate) is_open_to_all: bool,
}

/// Without the text, which may hold secrets.
impl fmt::Debug for FileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileText").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The file, or one error about it as a whole.
pub(crate) fn load(path: &Path) -> Result<FileText, ConfigError> {
    read(path).map_err(|problem| error(path, problem))
}

/// That there is something wrong with the file as a whole.
pub(crate) fn error(path: &Path, problem: String) -> ConfigError {
    ConfigError::whole(Place::File { name: name(path) }, problem)
}

/// The file, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<FileText, String> {
    let mut bytes = Vec::new();
    let facts = File::open(path)
        .and_then(|file| {
            let facts = file.metadata()?;
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
            Ok(facts)
        })
        .map_err(|cause| unreadable(&cause))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("is not a text file: it has a zero byte at offset {at}"));
    }
    let text = String::from_utf8(bytes).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to();
        let line = cause.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8: line {line}, offset {at}")
    })?;
    let is_regular = facts.is_file();
    let is_open_to_all = is_regular && facts.mode() & READABLE_BY_ALL != 0;
    Ok(FileText { name: name(path), text, is_regular, is_open_to_all })
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// That the file cannot be read, and why.
pub(crate) fn unreadable(cause: &io::Error) -> String {
    format!("cannot be read: {}", words(cause))
}

/// The system's words without its number, in the lower case of a sentence that goes on.
fn words(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
