//! What was probably meant by a name that is not known.
//!
//! Owns the distance at which two names count as near. It never decides that a name is wrong.

/// Names longer than this are not compared: the distance costs the product of the lengths, and a
/// name can be as long as the file.
const COMPARED_BYTES_MAX: usize = 64;

/// The candidate nearest to `text`; `None` when none is near.
#[must_use]
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

/// Names that differ only in case or in the kind of dash are the same to a person.
fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace('-', "_")
}
