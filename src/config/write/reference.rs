//! The reference of the documentation, `docs/configuration.md`, written from the table of keys.
//!
//! Owns the page. A test holds the file in the repository against it.

use wsmaster_settings::{Key, Presence, Schema};

use crate::config::{
    model::tables::{KeyId, TABLES, keys},
    read::swoole::{Support, UNSUPPORTED},
};

/// What stands above the tables.
const INTRODUCTION: &str = r#"# Configuration

wsmaster runs without any configuration. What should differ from the defaults is said in one TOML
file, in the environment or on the command line:

| source | example | wins over |
|---|---|---|
| built-in defaults | | |
| the file named by `--config` or `WSMASTER_CONFIG` | `[server]` `port = 9600` | the defaults |
| the environment | `WSMASTER_SERVER_PORT=9600` | the file |
| the command line | `--listen 127.0.0.1:9600` | all others |

No file is searched for. Relative paths count from the directory in which the command is run.

- `wsmaster config default` prints a complete file with every setting explained and at its default.
- `wsmaster config check -c wsmaster.toml` says all that is wrong with a file, at once.
- `wsmaster config show -c wsmaster.toml` prints the effective values and where each came from.

A variable is called `WSMASTER_`, the section, `_` and the key, in capitals. Every variable that
starts with `WSMASTER_` must be a known one. In the environment and on the command line quotes are
left out, and `1` and `0` also stand for `true` and `false`.

**Durations** are `"10s"`, `"500ms"`, `"2m"`, `"1h"`, or a whole number of seconds.
**Sizes** are a whole number of bytes, or `"64KiB"`, `"1MiB"`, `"1GiB"`, short `"64k"`, `"1M"`,
`"1G"`, in capitals or not. All of these are powers of 1024: `1k` is 1024 bytes, `1M` is 1048576.
`KB` and `MB` are refused, because not everybody means the same by them.
**Words** such as `"drop_newest"` may have `-` in the place of `_`, and the other way round.

What is wrong is said with its place, what was expected and what was found; the exit code is 2:

```text
wsmaster.toml:4:8: server.port: expected an integer from 0 to 65535, found "abc" (a string)
wsmaster.toml:7:1: server.worksrs: unknown key; did you mean "workers"?
environment: WSMASTER_SERVER_PROT: unknown variable; did you mean WSMASTER_SERVER_PORT?
```
"#;

/// The text of `docs/configuration.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for schema in TABLES {
        text.push_str(&format!("\n## {}\n\n{}\n", schema.header(), schema.about()));
        if let Some(array) = &schema.place.array {
            text.push_str(&format!(
                "{}\nThere may be {} of these tables{}\nIn messages, `{}` is the first of them.\n",
                array.example,
                array.most,
                array.bounds,
                schema.subject(0)
            ));
        }
        text.extend(schema.keys.iter().map(|key| entry(schema, key)));
    }
    text + &aliases() + &unsupported()
}

fn entry(schema: &Schema, key: &Key) -> String {
    let is_array = schema.place.array.is_some();
    let title = if is_array { schema.path(key) } else { key.name.to_owned() };
    let presence = match key.presence {
        Presence::Required { .. } => "Must be given".to_owned(),
        Presence::Default(_) | Presence::Automatic { .. } => {
            format!("Default: `{}`", key.default_literal())
        }
    };
    let mut text = format!(
        "\n### {title}\n\n{}\n\n- {}\n- {presence}\n",
        escape(key.about()),
        escape(&key.accepted()),
    );
    if !is_array {
        text.push_str(&format!("- Variable: `{}`\n", schema.variable(key)));
        let others: Vec<String> = key
            .aliases
            .iter()
            .filter(|alias| **alias != key.name)
            .map(|alias| format!("`{alias}`"))
            .collect();
        if !others.is_empty() {
            text.push_str(&format!("- Also: {}\n", others.join(", ")));
        }
    }
    text
}

fn aliases() -> String {
    let mut text = String::from(
        "\n## Names of the Swoole family\n\nThese names are understood in `[server]` and at the \
         top of the file, before the first section.\nA setting that is given twice, under whatever \
         names, is an error.\n\n| name | sets |\n|---|---|\n",
    );
    for id in keys() {
        let (_, key) = id.get();
        for alias in key.aliases {
            text.push_str(&format!("| `{alias}` | `{}` |\n", KeyId::path(id)));
        }
    }
    text
}

fn unsupported() -> String {
    let mut text = String::from(
        "\nThese are known and refused, so that nobody relies on a setting that does nothing:\n\n\
         | name | why, or what instead |\n|---|---|\n",
    );
    for entry in UNSUPPORTED {
        let names: Vec<_> = entry.names.iter().map(|name| format!("`{name}`")).collect();
        let yet = match entry.support {
            Support::Later => "not yet; ",
            Support::Never => "",
        };
        text.push_str(&format!("| {} | {yet}{} |\n", names.join(", "), escape(entry.instead)));
    }
    text
}

/// Keeps Markdown from taking what is meant literally.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '_' | '*' | '|' | '<' | '>' | '~' | '`') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
