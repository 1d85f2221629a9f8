//! What was probably meant by a name that is not known.
//!
//! Owns the distance at which two names count as near. It never decides that a name is wrong.

use super::keys::{Key, Section};
use super::table::KEYS;

/// Names longer than this are not compared: the distance costs the product of the lengths, and a
/// name can be as long as the file.
const COMPARED_BYTES_MAX: usize = 64;

/// The candidate nearest to `text`; `None` when none is near.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if text.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let typed = plain(text);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The setting that was meant by `name`, found in `section` or, for `None`, at the top of the file.
///
/// A name that is right but stands in the wrong place, or that another server uses, is better than
/// any near one; of the near ones those of the same section come first.
pub(super) fn nearest_key(name: &str, section: Option<Section>) -> Option<&'static Key> {
    let named = |key: &&Key| key.name == name || key.aliases.contains(&name);
    if let Some(key) = KEYS.iter().find(named) {
        return Some(key);
    }
    let here = KEYS.iter().filter(|key| Some(key.section) == section);
    if let Some(found) = nearest(name, here.map(|key| key.name)) {
        return KEYS.iter().find(|key| Some(key.section) == section && key.name == found);
    }
    let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    let found = nearest(name, names.copied())?;
    KEYS.iter().find(|key| key.name == found || key.aliases.contains(&found))
}

/// Names that differ only in case or in the kind of dash are the same to a person.
fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        for (name, section, meant) in [
            ("worksrs", Some(Section::Server), Some("server.workers")),
            ("Port", Some(Section::Server), Some("server.port")),
            ("pid-file", Some(Section::Server), Some("server.pid_file")),
            ("port", Some(Section::Limits), Some("server.port")),
            ("message_bytes_max", None, Some("limits.message_bytes_max")),
            ("worker_nun", None, Some("server.workers")),
            ("key", Some(Section::Server), Some("api.key")),
            ("xyzzy", Some(Section::Server), None),
            ("", Some(Section::Server), None),
        ] {
            let found = nearest_key(name, section).map(Key::path);
            assert_eq!(found.as_deref(), meant, "{name}");
        }
        let long = "port".repeat(1 << 18);
        assert!(nearest_key(&long, None).is_none());
    }
}
