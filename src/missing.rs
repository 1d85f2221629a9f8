//! Which directory is missing when a file cannot be opened or made: `ENOENT` does not say which part of the path it means.

use std::path::Path;

/// The directory on the way to a file that is not there, as part of a message; `None` when all are there, or when that cannot be found out.
pub(crate) fn directory(file: &Path) -> Option<String> {
    let Ok(whole) = std::path::absolute(file) else {
        return Some("the working directory was deleted".to_owned());
    };
    if file.is_relative() && std::env::current_dir().is_err() {
        return Some("the working directory was deleted".to_owned());
    }
    let is_missing = |directory: &&Path| directory.try_exists().is_ok_and(|exists| !exists);
    let highest = whole.ancestors().skip(1).filter(is_missing).last()?;
    Some(format!("there is no directory {}", highest.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_directory_that_is_not_there_is_named() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("gone");
        let words = format!("there is no directory {}", gone.display());
        assert_eq!(directory(&gone.join("w.log")), Some(words.clone()));
        assert_eq!(directory(&gone.join("deeper/w.log")), Some(words));
        assert_eq!(directory(&gone), None);
    }
}
