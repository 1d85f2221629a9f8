//! The flags that stand behind a command in a hint, so that it can be pasted and is about the same server. Pure.

use std::path::{Path, absolute};

use crate::{
    cli::Target,
    config::{Config, Origin},
};

/// The flags that a command was given to find its server, each with a blank before it.
pub(super) fn flags_given(target: &Target) -> String {
    let Target { config, pid_file } = target;
    let config = config.as_deref().map(|path| format!(" -c {}", quoted(&path.to_string_lossy())));
    let pid_file = pid_file.as_deref().map(|path| format!(" --pid-file {}", quoted(path)));
    config.unwrap_or_default() + &pid_file.unwrap_or_default()
}

/// The flags that a command needs to find the server with this configuration, from whichever directory; none when it finds it by
/// itself.
pub(super) fn flags_of(config: &Config) -> String {
    let absolute = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_owned());
    let pid_file = absolute(&config.server.pid_file).to_string_lossy().into_owned();
    let target = match config.origin("server.pid_file") {
        None | Some(Origin::Default) => Target::default(),
        Some(Origin::File { name, .. }) => {
            Target { config: Some(absolute(Path::new(name))), pid_file: None }
        }
        // The other terminal may have another environment. `stop` waits as long as the file says.
        Some(Origin::Environment { .. } | Origin::Flag { .. }) => Target {
            config: config.sources.file.as_deref().map(|file| absolute(Path::new(file))),
            pid_file: Some(pid_file),
        },
    };
    flags_given(&target)
}

/// As a word that a shell leaves as it is.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,@".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_flags_as_they_were_given() {
        let flags = |config: Option<&str>, pid_file: Option<&str>| {
            let pid_file = pid_file.map(str::to_owned);
            flags_given(&Target { config: config.map(Into::into), pid_file })
        };
        assert_eq!(flags(None, None), "");
        assert_eq!(flags(Some("w.toml"), None), " -c w.toml");
        assert_eq!(flags(Some("my $x.toml"), None), " -c 'my $x.toml'");
        assert_eq!(flags(None, Some("it's")), " --pid-file 'it'\\''s'");
        assert_eq!(flags(Some("/a"), Some("")), " -c /a --pid-file ''");
    }
}
