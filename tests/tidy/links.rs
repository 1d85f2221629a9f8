//! Links inside the repository lead somewhere.

use crate::{
    Findings,
    tree::{File, files, root},
};

#[test]
fn links_inside_the_repository_lead_somewhere() {
    let mut findings = Findings::default();
    let pages: Vec<File> = files().into_iter().filter(|file| file.ending() == "md").collect();
    for page in &pages {
        let directory = page.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (number, target) in links(page.text()) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let path = if file.is_empty() { page.path.clone() } else { resolved(directory, file) };
            if !root().join(&path).exists() {
                findings.add(
                    &page.path,
                    number,
                    format!("a link to {path}, which is not there; name what is"),
                );
                continue;
            }
            let linked = pages.iter().find(|page| page.path == path);
            if let Some(linked) = linked.filter(|_| !anchor.is_empty())
                && !anchors(linked.text()).iter().any(|known| known == anchor)
            {
                let known = anchors(linked.text()).join(", ");
                findings.add(
                    &page.path,
                    number,
                    format!("{path} has no heading #{anchor}; it has {known}"),
                );
            }
        }
    }
    findings.expect_none();
}

#[test]
fn every_page_has_one_title() {
    let mut findings = Findings::default();
    for page in files().iter().filter(|file| file.ending() == "md") {
        let titles = prose(page.text()).filter(|(_, line)| line.starts_with("# ")).count();
        if titles != 1 {
            findings.add(
                &page.path,
                0,
                format!("{titles} titles; a page has one `# ` line, and `## ` for the rest"),
            );
        }
    }
    findings.expect_none();
}

/// Lines outside of blocks of code, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((number + 1, line))
    })
}

/// The targets of links and pictures, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for part in line.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                let target = target.split(' ').next().unwrap_or(target);
                links.push((number, target.to_owned()));
            }
        }
        // `[name]: target` at the foot of a page.
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            links.push((number, target.trim().to_owned()));
        }
    }
    links
}

fn resolved(directory: &str, target: &str) -> String {
    let mut parts: Vec<&str> =
        if target.starts_with('/') { Vec::new() } else { directory.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

/// The anchors of a page's headings, as the usual viewers make them.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = anchors
            .iter()
            .filter(|known| **known == slug || known.starts_with(&format!("{slug}-")))
            .count();
        let is_new = !anchors.contains(&slug);
        anchors.push(if is_new { slug } else { format!("{slug}-{before}") });
    }
    anchors
}

#[test]
fn links_and_anchors_are_found() {
    let text = "# A & B\n[a](x.md#y \"title\") ![b](../c.png)\n```\n[no](no.md)\n```\n[d]: e.md\n## A `c` d\n## A `c` d";
    let found: Vec<String> = links(text).into_iter().map(|(_, target)| target).collect();
    assert_eq!(found, ["x.md#y", "../c.png", "e.md"]);
    assert_eq!(anchors(text), ["a--b", "a-c-d", "a-c-d-1"]);
    assert_eq!(resolved("docs/a", "../b.md"), "docs/b.md");
    assert_eq!(resolved("", "docs/b.md"), "docs/b.md");
}
