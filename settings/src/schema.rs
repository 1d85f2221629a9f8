//! What a declaration says: the tables of the file, their keys, and the way from a key to its field.
//!
//! Owns the types, and the words that follow from them. The keys themselves stand in declarations.

use std::{fmt, path::PathBuf};

use crate::{
    setting::WrongType,
    value::{Kind, Raw, Value},
};

/// A table of the file: a section, or one of an array.
#[derive(Debug)]
pub struct Schema {
    /// Where it stands.
    pub place: Place,
    /// What it is about, line by line.
    pub about: &'static str,
    /// Every setting, in the order of the file.
    pub keys: &'static [Key],
}

/// Where a table stands in the file.
#[derive(Debug)]
pub struct Place {
    /// Its name, such as `server` or `tls.certificate`.
    pub path: &'static str,
    /// `None`: a section, which is there once.
    pub array: Option<Array>,
}

/// What is said of an array of tables.
#[derive(Debug)]
pub struct Array {
    /// What several of them are called.
    pub plural: &'static str,
    /// The most tables of a configuration.
    pub most: usize,
    /// What is said behind that number in the documentation, with a stop at its end.
    pub bounds: &'static str,
    /// One of them, for the documentation.
    pub example: &'static str,
}

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What it accepts.
    pub arity: Arity,
    /// What it is where it is not given.
    pub presence: Presence,
    /// Of a section: names of the Swoole family, understood in `[server]` and at the top of the file. Of an array: what others
    /// call it; that is not understood, but it is known what was meant.
    pub aliases: &'static [&'static str],
    about: &'static str,
}

/// How many values a key has.
#[derive(Clone, Copy, Debug)]
pub enum Arity {
    /// One.
    One(Kind),
    /// An array; none of a set is in it twice.
    List {
        /// Of its elements.
        each: Kind,
        /// Whether none is in it twice.
        is_set: bool,
    },
    /// A table.
    Table {
        /// Of its values.
        each: Kind,
        /// Of the names in it.
        names: Names,
    },
}

/// Whether a key may be left out, and what it is then.
#[derive(Clone, Copy, Debug)]
pub enum Presence {
    /// As it would be given in the environment. Arrays and tables are empty.
    Default(&'static str),
    /// The server works it out.
    Automatic {
        /// The word that says so.
        word: &'static str,
        /// What the server does then.
        meaning: &'static str,
    },
    /// It may not be left out.
    Required {
        /// What it could be.
        example: &'static str,
    },
}

/// The names that a table may have.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// What they are, to be read after "expected names of".
    pub expected: &'static str,
    /// Whether a text is one.
    pub accepts: fn(&str) -> bool,
}

/// The ways to the field of a key in `T`.
#[derive(Debug)]
pub struct Access<T> {
    /// What is in it.
    pub read: fn(&T) -> Value,
    /// Fills it.
    pub write: fn(&mut T, &Value) -> Result<(), WrongType>,
    /// Works it out, once all others of the table are known; `None` where "automatic" is a value of the field.
    pub compute: Option<fn(&mut T, &Machine)>,
}

/// A type that [`settings!`](crate::settings) declares.
pub trait Settings: Sized + 'static {
    /// What is declared.
    const SCHEMA: &'static Schema;
    /// One for each key of the schema.
    const ACCESS: &'static [Access<Self>];

    /// All at its default; what must be given is as in its example, and what the server works out is not worked out yet.
    #[must_use]
    fn blank() -> Self;
}

/// What the values depend on that the server works out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The user the process runs as.
    pub uid: u32,
    /// CPUs the process may use.
    pub cpus: usize,
    /// `$XDG_RUNTIME_DIR`, where it is an absolute path.
    pub runtime_dir: Option<PathBuf>,
}

impl Machine {
    /// Takes the directory from the environment `env`.
    #[must_use]
    pub fn new(env: &[(String, String)], uid: u32, cpus: usize) -> Self {
        let runtime_dir = env
            .iter()
            .find(|(name, _)| name == "XDG_RUNTIME_DIR")
            .map(|(_, path)| PathBuf::from(path))
            .filter(|path| path.is_absolute());
        Self { uid, cpus, runtime_dir }
    }

    /// One of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self { uid: 0, cpus: 1, runtime_dir: None }
    }
}

impl Schema {
    /// Whether this is that table.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.place.path == other.place.path
    }

    /// `server`, or `process[0]`.
    #[must_use]
    pub fn subject(&self, number: usize) -> String {
        match self.place.array {
            None => self.place.path.to_owned(),
            Some(_) => format!("{}[{number}]", self.place.path),
        }
    }

    /// `[server]`, or `[[process]]`.
    #[must_use]
    pub fn header(&self) -> String {
        match self.place.array {
            None => format!("[{}]", self.place.path),
            Some(_) => format!("[[{}]]", self.place.path),
        }
    }

    /// What it is about.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.about.trim()
    }

    /// The place of a key among the others.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.name == name)
    }

    /// The table and the key of `server.port` or `process[0].restart`; `None` if that is no key of this one.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(usize, usize)> {
        let rest = path.strip_prefix(self.place.path)?;
        let (number, name) = match self.place.array {
            None => (0, rest.strip_prefix('.')?),
            Some(_) => {
                let (number, name) = rest.strip_prefix('[')?.split_once("].")?;
                (number.parse().ok()?, name)
            }
        };
        Some((number, self.position(name)?))
    }

    /// `server.port`
    #[must_use]
    pub fn path(&self, key: &Key) -> String {
        format!("{}.{}", self.place.path, key.name)
    }

    /// `WSMASTER_SERVER_PORT`
    #[must_use]
    pub fn variable(&self, key: &Key) -> String {
        format!("WSMASTER_{}_{}", self.place.path, key.name).to_ascii_uppercase()
    }
}

impl Key {
    /// A setting as it is declared.
    #[must_use]
    pub const fn new(
        name: &'static str,
        about: &'static str,
        presence: Presence,
        arity: Arity,
        aliases: &'static [&'static str],
    ) -> Self {
        Self { name, arity, presence, aliases, about }
    }

    /// What it is about.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.about.trim()
    }

    /// Whether it has this name, or this is another name for it.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The word that leaves the value to the server.
    #[must_use]
    pub fn automatic_word(&self) -> Option<&'static str> {
        match self.presence {
            Presence::Automatic { word, .. } => Some(word),
            Presence::Default(_) | Presence::Required { .. } => None,
        }
    }

    /// What it is where it is not given; what must be given is as in its example. `None`: the declaration is wrong.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        match (&self.arity, self.presence) {
            (Arity::List { .. }, _) => Some(Value::List(Vec::new())),
            (Arity::Table { .. }, _) => Some(Value::Table([].into())),
            (Arity::One(_), Presence::Automatic { .. }) => Some(Value::Automatic),
            (Arity::One(kind), Presence::Default(text) | Presence::Required { example: text }) => {
                kind.value(&Raw::Word(text))
            }
        }
    }

    /// A value as it is written in the file.
    #[must_use]
    pub fn to_toml(&self, value: &Value) -> String {
        self.arity.element().to_toml(value, self.automatic_word())
    }

    /// The default as it is written in the file, or for what must be given an example of it.
    #[must_use]
    pub fn default_literal(&self) -> String {
        self.default_value().map_or_else(String::new, |value| self.to_toml(&value))
    }

    /// Whether no message and no listing may show what it is set to.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.arity.element(), Kind::Secret { .. })
    }

    /// What it accepts, to be read after "expected".
    #[must_use]
    pub fn expected(&self) -> String {
        let element = self.arity.element().expected(self.automatic_word());
        match &self.arity {
            Arity::One(_) => element,
            Arity::List { is_set: false, .. } => format!("an array, each element {element}"),
            Arity::List { is_set: true, .. } => {
                format!("an array without repetitions, each element {element}")
            }
            Arity::Table { names, .. } => {
                format!("a table, each value {element}, each name {}", names.expected)
            }
        }
    }

    /// What it accepts, as a sentence.
    #[must_use]
    pub fn accepted(&self) -> String {
        let mut sentence = format!("Accepts {}.", self.expected());
        if let Presence::Automatic { word, meaning } = self.presence {
            sentence.push_str(&format!(" \"{word}\" is {meaning}."));
        }
        sentence
    }

    /// What is said in place of a value that is a secret.
    fn hidden(&self, value: &Value) -> Option<String> {
        match value {
            Value::Table(texts) if self.is_secret() && !texts.is_empty() => {
                let names: Vec<_> = texts.keys().map(String::as_str).collect();
                Some(format!("sets {} (values not shown)", names.join(", ")))
            }
            Value::Text(text) if self.is_secret() && !text.is_empty() => {
                Some("is set (not shown)".to_owned())
            }
            _ => None,
        }
    }

    /// `name = value`; a comment where that is a secret, so that no server runs with the example.
    #[must_use]
    pub fn assignment(&self, value: &Value) -> String {
        match self.hidden(value) {
            Some(words) => format!("# {} {words}", self.name),
            None => format!("{} = {}", self.name, self.to_toml(value)),
        }
    }
}

impl Arity {
    /// The kind of the value, or of each in it.
    #[must_use]
    pub const fn element(&self) -> Kind {
        match self {
            Self::One(kind) => *kind,
            Self::List { each, .. } | Self::Table { each, .. } => *each,
        }
    }
}

/// The settings by name, without what is secret.
///
/// # Errors
/// `f` cannot be written to.
pub fn debug<T: Settings>(this: &T, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut shown = f.debug_struct(name);
    for (key, access) in T::SCHEMA.keys.iter().zip(T::ACCESS) {
        let value = (access.read)(this);
        let text = key.hidden(&value).unwrap_or_else(|| key.to_toml(&value));
        shown.field(key.name, &format_args!("{text}"));
    }
    shown.finish_non_exhaustive()
}
