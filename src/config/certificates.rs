//! `[[tls.certificate]]`: certificates beside the first one, as plain data.
//!
//! Owns their keys, from the document to the documentation. It opens no file: whether a certificate is one is found out
//! by whoever uses it.

use std::path::PathBuf;

use toml_edit::{Item, Key as TomlKey, TableLike, Value as TomlValue};

use super::Config;
use super::document::{FileReading, key_start, value_start};
use super::render::{comment, with_origin};
use super::rules::is_file_path;
use super::source::Origin;
use super::suggest::nearest;
use super::value::{Kind, Value};

/// The most `[[tls.certificate]]` tables of a configuration.
pub const CERTIFICATES_MAX: usize = 64;

/// The name of the array in its section.
pub(super) const NAME: &str = "certificate";

/// How each of its tables begins.
const HEADER: &str = "[[tls.certificate]]";

const ABOUT: &str = "A further certificate, for clients that ask for one of its names (SNI). \
                     A name that no certificate is for gets the first.";

const KIND: Kind = Kind::Text { expected: "the path of a file", accepts: is_file_path };

/// The two keys, with what they are about.
const KEYS: [(&str, &str); 2] = [
    ("cert_file", "The certificate and those it is signed with, in PEM form, its own first."),
    ("key_file", "Its private key, in PEM form and without a passphrase."),
];

/// One `[[tls.certificate]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// The chain, in PEM form.
    pub cert_file: PathBuf,
    /// The private key, in PEM form.
    pub key_file: PathBuf,
}

/// What one table gives, by the position of the key.
#[derive(Debug, Default)]
pub(super) struct GivenCertificate([Option<(String, Origin)>; KEYS.len()]);

impl GivenCertificate {
    pub(super) fn assemble(&self) -> CertificateConfig {
        let path = |key: usize| {
            let given = self.0.get(key).and_then(Option::as_ref);
            given.map(|(path, _)| PathBuf::from(path)).unwrap_or_default()
        };
        CertificateConfig { cert_file: path(0), key_file: path(1) }
    }

    /// Where the value of each key came from.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let origin = |given: &Option<(String, Origin)>| {
            given.as_ref().map_or(Origin::Default, |(_, origin)| origin.clone())
        };
        self.0.iter().map(origin).collect()
    }
}

/// Takes the certificates from `item`.
pub(super) fn read<'doc>(file: &mut FileReading<'_, 'doc>, key: &TomlKey, item: &'doc Item) {
    let tables: Vec<(usize, Option<&'doc dyn TableLike>)> = match item {
        Item::ArrayOfTables(tables) => {
            let start = |table: &toml_edit::Table| table.span().map_or(key_start(key), |s| s.start);
            tables.iter().map(|table| (start(table), Some(table as &dyn TableLike))).collect()
        }
        Item::Value(TomlValue::Array(array)) => {
            let start = |value: &TomlValue| value.span().map_or(key_start(key), |s| s.start);
            let table = |value: &'doc TomlValue| {
                value.as_inline_table().map(|table| table as &dyn TableLike)
            };
            array.iter().map(|value| (start(value), table(value))).collect()
        }
        Item::None | Item::Table(_) | Item::Value(_) => {
            let found = file.raw(item).type_name();
            let problem = format!("expected an array of tables, found {found}; write {HEADER}");
            let at = value_start(item).unwrap_or(key_start(key));
            return file.refuse(at, "tls.certificate", problem);
        }
    };
    if let Some((at, _)) = tables.get(CERTIFICATES_MAX) {
        let problem =
            format!("expected at most {CERTIFICATES_MAX} certificates, found {}", tables.len());
        file.refuse(*at, &subject(CERTIFICATES_MAX), problem);
    }
    for (number, (at, table)) in tables.into_iter().enumerate().take(CERTIFICATES_MAX) {
        let mut given = GivenCertificate::default();
        match table {
            Some(table) => read_one(file, number, at, table, &mut given),
            None => file.refuse(at, &subject(number), "expected a table"),
        }
        file.reading.certificates.push(given);
    }
}

fn read_one<'doc>(
    file: &mut FileReading<'_, 'doc>,
    number: usize,
    at: usize,
    table: &'doc dyn TableLike,
    given: &mut GivenCertificate,
) {
    let mut tried = [false; KEYS.len()];
    for (name, _) in table.iter() {
        let Some((key, item)) = table.get_key_value(name) else { continue };
        let subject = format!("{}.{name}", subject(number));
        let names = KEYS.iter().map(|(name, _)| *name);
        let Some(index) = KEYS.iter().position(|(known, _)| *known == name) else {
            let problem = match nearest(name, names) {
                Some(meant) => format!("unknown key; did you mean \"{meant}\"?"),
                None => "unknown key".to_owned(),
            };
            file.refuse(key_start(key), &subject, problem);
            continue;
        };
        let at = value_start(item).unwrap_or(key_start(key));
        let read = KIND.read(&file.raw(item), None);
        if let Some(tried) = tried.get_mut(index) {
            *tried = true;
        }
        match (read, given.0.get_mut(index)) {
            (Ok(Value::Text(path)), Some(place)) => *place = Some((path, file.origin(at))),
            (Ok(_), _) => {}
            (Err(problem), _) => file.refuse(at, &subject, problem),
        }
    }
    if file.is_whole {
        for ((name, _), _) in KEYS.iter().zip(tried).filter(|(_, tried)| !tried) {
            let problem = format!("expected a {name} (the path of a file), found none");
            file.refuse(at, &subject(number), problem);
        }
    }
}

fn subject(number: usize) -> String {
    format!("tls.{NAME}[{number}]")
}

/// The origin of `tls.certificate[0].cert_file`; `None` if there is no such certificate or key.
pub(super) fn origin<'a>(config: &'a Config, path: &str) -> Option<&'a Origin> {
    let (number, name) = path.strip_prefix("tls.certificate[")?.split_once("].")?;
    let number: usize = number.parse().ok()?;
    config.tls.certificates.get(number)?;
    let key = KEYS.iter().position(|(known, _)| *known == name)?;
    Some(config.sources.certificate_origin(number, key))
}

/// A table with both keys explained, put out of force.
pub(super) fn example_toml() -> String {
    let mut text = format!("\n{}#{HEADER}\n", comment(ABOUT));
    for (name, about) in KEYS {
        text.push_str(&format!(
            "\n{}#{name} = \"/etc/wsmaster/other.{}\"\n",
            comment(about),
            &name[..3]
        ));
    }
    text
}

/// The effective values, each with its origin behind it.
pub(super) fn show(config: &Config) -> String {
    let mut text = String::new();
    for (number, certificate) in config.tls.certificates.iter().enumerate() {
        text.push_str(&format!("\n{HEADER}\n"));
        let paths = [&certificate.cert_file, &certificate.key_file];
        for (key, ((name, _), path)) in KEYS.iter().zip(paths).enumerate() {
            let value = Value::Text(path.to_string_lossy().into_owned());
            let line = format!("{name} = {}", KIND.to_toml(&value, None));
            let origin = config.sources.certificate_origin(number, key);
            text.push_str(&with_origin(&line, &origin.to_string()));
        }
    }
    text
}

/// The section of the documentation.
pub(super) fn reference_markdown() -> String {
    let mut text = format!(
        "\n### {HEADER}\n\n{ABOUT}\nThere may be {CERTIFICATES_MAX} of these tables. They have no \
         variables and no flags. In messages, `tls.certificate[0]` is the first of them.\n\n"
    );
    for (name, about) in KEYS {
        text.push_str(&format!("- `{name}`: {about} Must be given.\n"));
    }
    text
}
