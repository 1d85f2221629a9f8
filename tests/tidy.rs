//! The rules of the house as tests of the tree: style is not argued about in reviews.
//!
//! Each rule says, when it is broken, where and what to do instead. A rule that needs an exception names it here with its
//! reason. Nothing here runs the program.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/claims.rs"]
mod claims;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

/// Where a rule is broken, and what to do: one line each.
#[derive(Debug, Default)]
struct Findings(Vec<String>);

impl Findings {
    /// `line` counts from 1; 0 is the file as a whole.
    fn add(&mut self, path: &str, line: usize, what: impl std::fmt::Display) {
        let place = if line == 0 { path.to_owned() } else { format!("{path}:{line}") };
        self.0.push(format!("{place}: {what}"));
    }

    #[track_caller]
    fn expect_none(self) {
        assert!(self.0.is_empty(), "{} findings\n{}\n", self.0.len(), self.0.join("\n"));
    }
}
