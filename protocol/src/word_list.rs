//! Words in a sentence, as a list: "a, b and c".

/// The words, with commas between them and "and" before the last one.
#[must_use]
pub fn with_and(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::with_and;

    #[test]
    fn the_last_two_words_have_an_and_between_them() {
        let lists = [with_and(&[]), with_and(&["a"]), with_and(&["a", "b"])];
        assert_eq!(lists, ["", "a", "a and b"]);
        assert_eq!(with_and(&["a", "b", "c"]), "a, b and c");
    }
}
