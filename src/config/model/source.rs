//! Where a whole configuration came from.
//!
//! Owns the record only; the words of `config show` are made elsewhere from it.

use std::fmt;

use wsmaster_settings::printable_path;

use super::tables::Tables;

/// Where a whole configuration came from. The lists name also what was overruled by a later source: it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// The name of the file; `None` when there was none.
    pub file: Option<String>,
    /// The variables that set something, each once.
    pub environment: Vec<String>,
    /// The flags that set something, each once.
    pub flags: Vec<&'static str>,
    /// What they give to each table.
    pub(crate) tables: Tables,
}

/// One line for the log: `wsmaster.toml, WSMASTER_SERVER_PORT, --workers`.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(printable_path);
        f.write_str(file.as_deref().unwrap_or("built-in defaults"))?;
        for name in self.environment.iter().map(String::as_str).chain(self.flags.iter().copied()) {
            write!(f, ", {name}")?;
        }
        Ok(())
    }
}
