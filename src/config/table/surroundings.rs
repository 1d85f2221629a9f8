//! The keys of what processes are put into: the mask of their files, their root, their rank, their CPUs.
//!
//! Owns their declaration. How the texts among them are spelled stands with their types.

use super::super::access::field;
use super::super::keys::{Automatic, Key, Section};
use super::super::rules::is_absolute_path;
use super::super::surroundings::{is_cpu_affinity, is_file_mask};
use super::super::value::{Kind, Value};

pub(super) const UMASK: Key = Key {
    section: Section::Server,
    name: "umask",
    kind: Kind::Text {
        expected: "an octal mask from \"000\" to \"077\" in quotes, or \"\"",
        accepts: is_file_mask,
    },
    default: "",
    automatic: None,
    aliases: &[],
    about: "The rights that files lack which the server and its side processes make. Empty: as \
            it was started.",
    access: field!(server.umask),
};

pub(super) const CHROOT: Key = Key {
    section: Section::Server,
    name: "chroot",
    kind: Kind::Text {
        expected: "the whole path of a directory, or \"\"",
        accepts: is_absolute_path,
    },
    default: "",
    automatic: None,
    aliases: &["chroot"],
    about: "The directory that the workers see as the root of all files when root starts the \
            server; set user too. Side processes and the master stay outside. Empty: none.",
    access: field!(server.chroot),
};

pub(super) const RLIMIT_NOFILE: Key = Key {
    section: Section::Server,
    name: "rlimit_nofile",
    kind: Kind::Integer { min: 128, max: 1_073_741_816 },
    default: "hard",
    automatic: Some(Automatic {
        word: "hard",
        meaning: "as many as the hard limit allows that the server is started with",
        compute: |_, _| Value::Automatic,
    }),
    aliases: &[],
    about: "Descriptors that each process may open; a connection takes one. More than the hard \
            limit needs root.",
    access: field!(server.rlimit_nofile),
};

pub(super) const NICE: Key = Key {
    section: Section::Server,
    name: "nice",
    kind: Kind::Signed { min: -20, max: 19 },
    default: "unchanged",
    automatic: Some(Automatic {
        word: "unchanged",
        meaning: "as the server was started",
        compute: |_, _| Value::Automatic,
    }),
    aliases: &[],
    about: "The nice value of workers and side processes: the higher, the more others come \
            first. The master keeps its own. A lower one than it has needs root.",
    access: field!(server.nice),
};

pub(super) const CPU_AFFINITY: Key = Key {
    section: Section::Server,
    name: "cpu_affinity",
    kind: Kind::Text {
        expected: "\"auto\", a list of CPUs such as \"0-3,6\", or \"\"",
        accepts: is_cpu_affinity,
    },
    default: "",
    automatic: None,
    aliases: &[],
    about: "The CPUs that the workers run on. \"auto\" gives each worker one of its own, in turn; \
            a list is for all of them. Empty: as the server was started.",
    access: field!(server.cpu_affinity),
};

pub(super) const OOM_SCORE_ADJ: Key = Key {
    section: Section::Server,
    name: "oom_score_adj",
    kind: Kind::Signed { min: -1000, max: 1000 },
    default: "unchanged",
    automatic: Some(Automatic {
        word: "unchanged",
        meaning: "as the server was started",
        compute: |_, _| Value::Automatic,
    }),
    aliases: &[],
    about: "What the kernel adds to the score of workers and side processes when it looks for a \
            process to kill because memory has run out. The master's is kept below that, so that it \
            goes last. A lower one than it has needs root.",
    access: field!(server.oom_score_adj),
};
