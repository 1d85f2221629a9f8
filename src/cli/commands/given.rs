//! The configuration as a start was given it: its file is read once, and again at each reload.

use std::{io, os::fd::AsFd, os::unix::fs::FileExt, path::Path, time::Duration};

use wsmaster_ipc::sys::{memory::sealed_file, resource, socket};

use crate::{
    apart,
    config::{self, Config, ConfigErrors, FILE_BYTES_MAX, FileText, Overrides},
};

/// How long the file may take to be read again. The master serves nobody meanwhile, but a disk that hangs must not hang it.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is said of a file beside its text.
const REPORT_BYTES_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Given {
    flags: Overrides,
    /// The file, if there is one.
    pub(super) file: Option<FileText>,
}

impl Given {
    /// Reads all.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn read(flags: &Overrides) -> Result<(Self, Config), ConfigErrors> {
        let file = match config::file_path(flags, &environment()) {
            Some(path) => Some(config::load_file(&path)?),
            None => None,
        };
        let given = Self { flags: flags.clone(), file };
        let config = given.assemble(given.file.as_ref())?;
        Ok((given, config))
    }

    /// Reads the file once more, for a reload. What came out of a pipe cannot be read again, and stays in force. To be called
    /// in a process with one thread.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn read_again(&self) -> Result<Config, ConfigErrors> {
        let Some(file) = &self.file else { return self.assemble(None) };
        if !file.is_regular {
            log::warn!(
                "the configuration came from {}, which is no regular file and cannot be read again: it stays as it is",
                file.name
            );
            return self.assemble(Some(file));
        }
        let path = Path::new(&file.name);
        let file = read_apart(path)
            .unwrap_or_else(|error| Err(config::unreadable(&error)))
            .map_err(|problem| config::file_error(path, problem))?;
        self.assemble(Some(&file))
    }

    fn assemble(&self, file: Option<&FileText>) -> Result<Config, ConfigErrors> {
        let env = environment();
        let (uid, cpus) = (resource::effective_uid(), resource::cpus_available());
        Config::of_file(file, &self.flags, &env, uid, cpus)
    }
}

/// Has another process read the file, whose text comes in a memory file. What is wrong with it is the inner error.
fn read_apart(path: &Path) -> io::Result<Result<FileText, String>> {
    let (report, text) = apart::ask(PATIENCE, REPORT_BYTES_MAX, |line| {
        let read = read_regular(path);
        let text = match read.as_ref().map(|file| sealed_file(file.text.as_bytes())) {
            Ok(Ok(memory)) => Some(memory),
            Ok(Err(_)) => return 1,
            Err(_) => None,
        };
        let report = read.map(|file| (file.text.len(), file.is_open_to_all));
        let Ok(report) = serde_json::to_vec(&report) else { return 1 };
        let sent = socket::send_packet(line, &report, text.as_ref().map(AsFd::as_fd));
        i32::from(!matches!(sent, Ok(socket::Sent::Whole)))
    })?;
    let report: Result<(usize, bool), String> = serde_json::from_slice(&report)?;
    let (length, is_open_to_all) = match report {
        Ok(report) => report,
        Err(problem) => return Ok(Err(problem)),
    };
    let memory = text.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; length.min(FILE_BYTES_MAX as usize)];
    std::fs::File::from(memory).read_exact_at(&mut bytes, 0)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let name = path.to_string_lossy().into_owned();
    Ok(Ok(FileText { name, text, is_regular: true, is_open_to_all }))
}

/// A file that was read before, and must be a regular one still: reading anything else might never end.
fn read_regular(path: &Path) -> Result<FileText, String> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => {
            Err("is no regular file any more, and only such is read again".to_owned())
        }
        Ok(_) => config::read_file(path),
        Err(cause) => Err(config::unreadable(&cause)),
    }
}

/// The environment, as far as it can be read.
pub(super) fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    let readable = variables.filter_map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => Some((name, value)),
            // Ours come with U+FFFD for what is not UTF-8, and are refused for it; others are no business of ours.
            Err(value) if name.starts_with("WSMASTER_") => {
                Some((name, value.to_string_lossy().into_owned()))
            }
            Err(_) => None,
        }
    });
    readable.collect()
}
