//! Rust as far as the rules need it: code without comments and texts, and the paths that are used.

/// Code whose comments and texts are replaced by blanks: lines and columns stay where they were.
#[derive(Clone, Debug)]
pub(crate) struct Code(String);

impl Code {
    pub(crate) fn of(text: &str) -> Self {
        let mut blanked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (length, is_code) = token(rest, blanked.chars().next_back());
            let length = if length == 0 { first.len_utf8() } else { length };
            let (piece, behind) = rest.split_at(length);
            if is_code {
                blanked.push_str(piece);
            } else {
                blanked.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            }
            rest = behind;
        }
        Self(blanked)
    }

    /// Its lines, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.lines().enumerate().map(|(number, line)| (number + 1, line))
    }

    /// Lines with code in them.
    pub(crate) fn len(&self) -> usize {
        self.0.lines().filter(|line| !line.trim().is_empty()).count()
    }

    /// Without the items that are compiled for tests only.
    pub(crate) fn without_tests(&self) -> Self {
        let mut code = self.0.clone();
        while let Some(start) = code.find("#[cfg(test)]").or_else(|| code.find("#[cfg(all(test,")) {
            let end = item_end(&code[start..]).map_or(code.len(), |length| start + length);
            let blank: String =
                code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            code.replace_range(start..end, &blank);
        }
        Self(code)
    }

    /// Every path that a `use` names, braces undone, with the line of the `use`.
    pub(crate) fn used_paths(&self) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        let mut at = 0;
        while let Some(found) = self.0[at..].find("use ") {
            let start = at + found;
            at = start + 4;
            let before = self.0[..start].trim_end_matches(' ').chars().next_back();
            if !matches!(before, None | Some('\n' | ')' | 'b' | ';' | '{')) {
                continue;
            }
            let Some(length) = self.0[at..].find(';') else { break };
            let line = self.0[..start].matches('\n').count() + 1;
            let tree: String =
                self.0[at..at + length].split_whitespace().collect::<Vec<_>>().join(" ");
            let mut expanded = Vec::new();
            expand("", &tree, &mut expanded);
            paths.extend(expanded.into_iter().map(|path| (line, path)));
            at += length;
        }
        paths
    }

    /// The lines in which this path is used: named by a `use`, or written out.
    pub(crate) fn uses(&self, path: &str) -> Vec<usize> {
        let is_below = |used: &str| {
            used.strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ']))
        };
        let named = self.used_paths().into_iter().filter(|(_, used)| is_below(used));
        let written = self.lines().filter(|(_, line)| has_word(line, path));
        let mut lines: Vec<usize> =
            named.map(|(line, _)| line).chain(written.map(|(line, _)| line)).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

/// Whether the line has this word, or path of words, and not only as a part of a longer word.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let behind = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !behind.is_some_and(is_part)
    })
}

/// The modules in files of their own that are compiled for tests only.
pub(crate) fn test_modules(code: &Code) -> Vec<String> {
    let parts = code.0.split("#[cfg(test)]").skip(1);
    let names = parts.filter_map(|part| {
        let item = part.trim_start();
        let item = item.strip_prefix("pub(crate) ").unwrap_or(item);
        let (name, _) = item.strip_prefix("mod ")?.split_once(';')?;
        // With anything but a name before the `;`, the module is not a file of its own.
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        is_name.then(|| name.to_owned())
    });
    names.collect()
}

/// The length of the token at the front, 0 for one character of code, and whether it is code.
fn token(rest: &str, before: Option<char>) -> (usize, bool) {
    let until = |end: &str, from: usize| {
        rest.get(from..).and_then(|part| part.find(end)).map_or(rest.len(), |at| from + at)
    };
    if rest.starts_with("//") {
        return (until("\n", 0), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    let is_in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let quoted = ["r", "br", "cr"].into_iter().find_map(|prefix| {
        let hashes = rest.strip_prefix(prefix)?;
        let count = hashes.len() - hashes.trim_start_matches('#').len();
        hashes[count..].starts_with('"').then_some((prefix.len() + count + 1, count))
    });
    if let Some((start, hashes)) = quoted.filter(|_| !is_in_word) {
        let end = format!("\"{}", "#".repeat(hashes));
        return ((until(&end, start) + end.len()).min(rest.len()), false);
    }
    if rest.starts_with('"') {
        return (escaped(rest, '"'), false);
    }
    if rest.starts_with('\'') {
        // A lifetime has no second quote behind its first character.
        let mut characters = rest.chars().skip(1);
        let is_text = match (characters.next(), characters.next()) {
            (Some('\\'), _) | (Some(_), Some('\'')) => true,
            (_, _) => false,
        };
        return if is_text { (escaped(rest, '\''), false) } else { (1, true) };
    }
    (0, true)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(pair) = rest.as_bytes().get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a text in quotes in which a backslash takes the meaning from a quote.
fn escaped(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of an item with the attribute before it.
fn item_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            ';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Undoes the braces of a `use`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        if !tree.is_empty() {
            paths.push(format!("{prefix}{tree}"));
        }
        return;
    };
    let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
    let prefix = format!("{prefix}{}", before.trim());
    let (mut depth, mut start) = (0_usize, 0);
    for (at, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                expand(&prefix, &inside[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &inside[start..], paths);
}

#[test]
fn comments_and_texts_are_no_code() {
    for (text, words) in [
        ("a // b\nc", "a c"),
        ("a /* b /* c */ d */ e", "a e"),
        ("a(\"b // c\") d", "a( ) d"),
        ("a(\"b \\\" c\") d", "a( ) d"),
        ("a(r\"b\\\") c", "a( ) c"),
        ("a(r#\"b \" c\"#) d", "a( ) d"),
        ("a(b\"c\", br\"d\")", "a(b , )"),
        ("fn a<'b>(c: &'b str) { 'd'; '\\''; '\"'; e }", "fn a<'b>(c: &'b str) { ; ; ; e }"),
        ("for_r\"a\"", "for_r"),
    ] {
        let code = Code::of(text);
        assert_eq!(code.0.len(), text.len(), "{text}");
        let found: Vec<&str> = code.0.split_whitespace().collect();
        let expected: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_is_for_tests_only_is_told_apart() {
    let text = "fn a() {}\n#[cfg(test)]\nmod b;\nfn c() {}\n#[cfg(test)]\nmod d {\n fn e() {}\n}\nfn f() {}";
    let code = Code::of(text);
    assert_eq!(test_modules(&code), ["b"]);
    let shipped = code.without_tests();
    let words: Vec<&str> = shipped.0.split_whitespace().collect();
    assert_eq!(words, ["fn", "a()", "{}", "fn", "c()", "{}", "fn", "f()", "{}"]);
    assert_eq!((code.len(), shipped.len()), (9, 3));
}

#[test]
fn uses_are_found_however_they_are_written() {
    let text = "use std::{\n    fs::{self, File},\n    io,\n};\npub use a::b;\nfn f() { std::env::args(); c::d() }";
    let code = Code::of(text);
    let paths: Vec<String> = code.used_paths().into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["std::fs::self", "std::fs::File", "std::io", "a::b"]);
    for (path, lines) in [
        ("std::fs", vec![1]),
        ("std::io", vec![1]),
        ("std::env", vec![6]),
        ("a", vec![5]),
        ("c::d", vec![6]),
        ("std::f", vec![]),
        ("std::net", vec![]),
    ] {
        assert_eq!(code.uses(path), lines, "{path}");
    }
    assert!(has_word("unsafe { x }", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
