//! The files of the repository, without what is built or fetched.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::code::{self, Code};

/// Directories that are not ours, by name.
const FOREIGN: [&str; 5] = [".git", "target", "node_modules", "__pycache__", ".venv"];

/// Endings of files that are text, besides the scripts, which have none.
const TEXT: [&str; 15] = [
    "css", "html", "js", "json", "lock", "md", "mjs", "php", "py", "rs", "service", "sh", "toml",
    "txt", "yml",
];

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path from the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_executable: bool,
}

impl File {
    /// Its text. Empty for a file that is none.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn ending(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or("", |(_, ending)| ending)
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(crate) fn is_script(&self) -> bool {
        self.bytes.starts_with(b"#!") && self.ending() != "rs"
    }

    pub(crate) fn is_text(&self) -> bool {
        self.is_script() || self.is_ours_to_write() || TEXT.contains(&self.ending())
    }

    /// Files without an ending that people write.
    fn is_ours_to_write(&self) -> bool {
        self.name().starts_with("LICENSE") || self.name() == ".gitignore"
    }
}

/// All files, in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 100, "this is not the repository: {} files", files.len());
    files
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, files: &mut Vec<File>) {
    use std::os::unix::fs::PermissionsExt;

    // Others may work on the tree: what has gone in the meantime was not ours to judge.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let (Ok(kind), Ok(facts)) = (entry.file_type(), entry.metadata()) else { continue };
        if kind.is_dir() {
            if !FOREIGN.iter().any(|foreign| entry.file_name() == *foreign) {
                collect(&path, files);
            }
        } else if kind.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            let is_executable = facts.permissions().mode() & 0o111 != 0;
            let path = relative.to_string_lossy().into_owned();
            files.push(File { path, bytes, is_executable });
        }
    }
}

/// A file of Rust.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and the insides of texts.
    pub(crate) code: Code,
    /// The same without what is compiled for tests only.
    pub(crate) shipped: Code,
    /// Whether it belongs to what is shipped: not to tests, examples or benchmarks.
    pub(crate) is_shipped: bool,
}

impl Source {
    pub(crate) fn is_below(&self, directories: &[&str]) -> bool {
        directories.iter().any(|directory| self.path.starts_with(&format!("{directory}/")))
    }
}

/// All files of Rust.
pub(crate) fn sources() -> &'static [Source] {
    // Every rule asks for them, and reading them takes longer than any rule.
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(read_sources)
}

fn read_sources() -> Vec<Source> {
    let files: Vec<File> = files().into_iter().filter(|file| file.ending() == "rs").collect();
    let mut for_tests = BTreeSet::new();
    for file in &files {
        for module in code::test_modules(&Code::of(file.text())) {
            for_tests.insert(format!("{}{module}", children_of(&file.path)));
        }
    }
    let is_for_tests = |path: &str| {
        for_tests.iter().any(|module| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    };
    files
        .iter()
        .map(|file| {
            let code = Code::of(file.text());
            let in_src = file.path.starts_with("src/") || file.path.contains("/src/");
            Source {
                path: file.path.clone(),
                text: file.text().to_owned(),
                shipped: code.without_tests(),
                code,
                is_shipped: in_src && !is_for_tests(&file.path),
            }
        })
        .collect()
}

/// Where the modules of a file lie, with the `/` at the end.
pub(crate) fn children_of(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{directory}/"),
        name => format!("{directory}/{}/", name.trim_end_matches(".rs")),
    }
}
