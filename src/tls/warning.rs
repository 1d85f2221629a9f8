//! What can be used as it is, and should not stay so: in the words of the log, and as a value for who knows a remedy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One file that something is amiss with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Warning {
    /// The key of the configuration that names the file, such as `tls.cert_file`.
    pub(crate) key: String,
    /// The file.
    pub(crate) file: String,
    pub(crate) flaw: Flaw,
}

/// What is amiss. Days are of the calendar, in UTC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Flaw {
    /// A private key that everybody on the machine can read.
    Exposed,
    /// A certificate that is for no name (subjectAltName).
    Nameless,
    /// A certificate whose last day is over.
    Expired { on: String },
    /// A certificate whose first day is still to come.
    Early { from: String },
    /// A certificate whose last day is near.
    Ending { on: String, days: i64 },
}

/// One line without its end: `tls.key_file: /etc/key.pem can be read by everybody on this machine: chmod 600 it`.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.key, self.file, self.flaw)
    }
}

/// To be read behind the name of the file.
impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed => f.write_str("can be read by everybody on this machine: chmod 600 it"),
            Self::Nameless => {
                f.write_str("is for no name (subjectAltName): most clients refuse it")
            }
            Self::Expired { on } => write!(f, "expired on {on}: clients refuse it"),
            Self::Early { from } => write!(f, "is not valid before {from}: clients refuse it"),
            Self::Ending { on, days } => write!(f, "expires on {on}, in {days} days"),
        }
    }
}
