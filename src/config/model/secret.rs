//! A text that must never be shown: not in a log, not in an error, not in `config show`.
//!
//! Owns the redaction. It does not wipe memory.

use std::fmt;

use serde::{Serialize, Serializer};
use subtle::ConstantTimeEq;
use wsmaster_settings::text;

/// What stands in the place of a secret wherever it would be shown.
pub(crate) const REDACTED: &str = "(not shown)";

/// A key or password. `Debug`, `Display` and `Serialize` show `(not shown)` instead of it.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether no secret was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is the secret, in a time that does not tell how much of it was right.
    /// An empty secret matches nothing, so a key that was not set opens no door.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(presented.as_bytes()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

text! {
    Secret: |secret| secret.expose().to_owned(), |text| Some(Self::new(text));
}

/// Whether a variable with this name holds a secret, as such names are.
pub(crate) fn is_name_of_one(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "CREDENTIAL"]
        .iter()
        .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for (name, expected) in [
            ("DB_PASSWORD", true),
            ("github_token", true),
            ("STRIPE_API_KEY", true),
            ("NODE_ENV", false),
            ("KEYBOARD", false),
            ("PATH", false),
        ] {
            assert_eq!(is_name_of_one(name), expected, "{name}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2-hunter2");
        let json = serde_json::to_string(&secret).expect("a string serialises");
        for shown in [format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}"), json] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn only_the_whole_secret_matches_and_an_empty_one_matches_nothing() {
        let secret = Secret::new("abcdef");
        assert!(secret.matches("abcdef"));
        for wrong in ["", "abcde", "abcdeg", "abcdefg"] {
            assert!(!secret.matches(wrong), "{wrong}");
        }
        assert!(!Secret::default().matches(""));
    }
}
