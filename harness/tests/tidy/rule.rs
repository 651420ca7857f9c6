//! The rules: each looks at one file and answers with the lines that break it.

use crate::code::{code_of, paths_in};
use std::fmt;

/// Each folder, its package, and the packages it may build on: the arrows of ARCHITECTURE.md.
const LAYERS: &[(&str, &str, &[&str])] = &[
    ("checker", "ordeal-checker", &[]),
    ("workloads", "ordeal-workloads", &["ordeal-checker"]),
    ("nemesis", "ordeal-nemesis", &[]),
    ("target-node", "target-node", &[]),
    ("harness", "ordeal", EVERY_OTHER),
];
const EVERY_OTHER: &[&str] = &[
    "ordeal-checker",
    "ordeal-workloads",
    "ordeal-nemesis",
    "target-node",
];
/// What only the tests of a folder may build on: folder, package.
const FOR_TESTS: &[(&str, &str)] = &[("target-node", "ordeal-checker")];
/// Folders without clock, I/O or async: what they say must depend on their input alone.
const PURE: &[&str] = &["checker", "workloads"];
/// What a pure folder may not build on.
const IMPURE_PACKAGES: &[&str] = &["tokio", "reqwest", "axum", "nix", "libc", "rustix"];
/// All that the tester may know of the system under test.
const NODE_FACE: &[&str] = &["protocol", "NodeCommand", "run", "defect"];
/// What the Raft core may not touch: its clock, disk, network and dice are inputs.
const RAFT_FOREIGN: &[&str] = &[
    "tokio",
    "axum",
    "std::fs",
    "std::time",
    "std::net",
    "std::io",
    "std::env",
    "std::thread",
    "rand::rng",
    "crate::storage",
    "crate::server",
    "crate::peer",
];

pub(crate) const FUNCTION_LINES_MAX: usize = 70;
pub(crate) const FILE_LINES_MAX: usize = 400;
pub(crate) const TESTED_FILE_LINES_MAX: usize = 600;
pub(crate) const COLUMNS_MAX: usize = 100;
pub(crate) const README_LINES_MAX: usize = 200;

/// A line that breaks a rule.
#[derive(Debug, PartialEq)]
pub(crate) struct Offence {
    pub(crate) file: String,
    pub(crate) line: usize,
    rule: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// One file of the tree: its path from the root, its text, and its code alone.
pub(crate) struct Source {
    pub(crate) path: String,
    text: String,
    code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let rust = path.ends_with(".rs");
        let code = if rust { code_of(text) } else { String::new() };
        Source {
            path: path.into(),
            text: text.into(),
            code,
        }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The top folder, which is the crate.
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn offence(&self, line: usize, rule: impl Into<String>) -> Offence {
        Offence {
            file: self.path.clone(),
            line,
            rule: rule.into(),
        }
    }

    /// The lines, counted from 1, of `text` that `breaks` finds fault with, each with its words.
    fn offences(&self, text: &str, breaks: impl Fn(&str) -> Option<String>) -> Vec<Offence> {
        let lines = text.lines().enumerate();
        lines
            .filter_map(|(at, line)| Some(self.offence(at + 1, breaks(line)?)))
            .collect()
    }
}

pub(crate) type Rule = fn(&Source) -> Vec<Offence>;

/// Every rule by name. Each has a bad snippet in the tests, or a test fails.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("manifest", manifest),
    ("layering", layering),
    ("node_face", node_face),
    ("raft_core", raft_core),
    ("first_line", first_line),
    ("columns", columns),
    ("file_length", file_length),
    ("function_length", function_length),
    ("names", names),
    ("unfinished", unfinished),
    ("readme_length", readme_length),
    ("whitespace", whitespace),
    ("paths", paths),
];

/// Why `folder` may not build on `package`, if so.
fn forbidden(folder: &str, package: &str) -> Option<String> {
    let (_, own, allowed) = LAYERS.iter().find(|(known, ..)| *known == folder)?;
    let ours = LAYERS.iter().any(|(_, known, _)| *known == package);
    let above = ours && package != *own && !allowed.contains(&package);
    let impure = PURE.contains(&folder) && IMPURE_PACKAGES.contains(&package);
    (above || impure).then(|| format!("{folder} may not build on {package}: see ARCHITECTURE.md"))
}

/// A manifest names only the packages its folder may build on, and takes the workspace's lints.
fn manifest(source: &Source) -> Vec<Offence> {
    let Some(folder) = source.path.strip_suffix("/Cargo.toml") else {
        return Vec::new();
    };
    if !LAYERS.iter().any(|(known, ..)| *known == folder) {
        return vec![source.offence(1, format!("{folder} has no place in the table of layers"))];
    }
    let mut section = "";
    let mut lints = false;
    let mut offences = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']', ' ']);
        }
        lints |= section == "lints" && line.trim() == "workspace = true";
        let package = match section.rsplit_once("dependencies.") {
            Some((_, package)) if line.starts_with('[') => package,
            None if section.ends_with("dependencies") => {
                line.split(['.', '=', ' ']).next().unwrap_or_default()
            }
            _ => continue,
        };
        if section.starts_with("dev-dependencies") && FOR_TESTS.contains(&(folder, package)) {
            continue;
        }
        offences.extend(forbidden(folder, package).map(|rule| source.offence(at + 1, rule)));
    }
    if !lints {
        offences.push(source.offence(1, "add `[lints]` with `workspace = true`"));
    }
    offences
}

/// Code names only the packages its folder may build on.
fn layering(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (line, path) in paths_in(&source.code) {
        let root = path.trim_start_matches(':').split("::").next();
        let package = root.unwrap_or_default().replace('_', "-");
        let folder = source.folder();
        let is_test = source.path.starts_with(&format!("{folder}/tests/"));
        if is_test && FOR_TESTS.contains(&(folder, &package)) {
            continue;
        }
        let rule = forbidden(folder, &package);
        offences.extend(rule.map(|rule| source.offence(line, rule)));
    }
    offences
}

/// Of the node the harness knows its protocol, its entry point and its list of defects.
fn node_face(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    if source.folder() == "harness" {
        for (line, path) in paths_in(&source.code) {
            let Some(rest) = path.strip_prefix("target_node::") else {
                continue;
            };
            let item = rest.split("::").next().unwrap_or_default();
            if !NODE_FACE.contains(&item) {
                let rule = format!("of target-node only {NODE_FACE:?} may be used, not {item}");
                offences.push(source.offence(line, rule));
            }
        }
    }
    offences
}

/// The Raft core has no clock, disk, network, task or dice of its own.
fn raft_core(source: &Source) -> Vec<Offence> {
    let core = source.path.strip_prefix("target-node/src/raft");
    if !core.is_some_and(|rest| rest.starts_with(['.', '/'])) {
        return Vec::new();
    }
    let mut offences = Vec::new();
    for (line, path) in paths_in(&source.code) {
        let foreign = RAFT_FOREIGN.iter().find(|foreign| {
            path.strip_prefix(**foreign)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        if let Some(foreign) = foreign {
            offences.push(source.offence(line, format!("the Raft core may not use {foreign}")));
        }
    }
    offences
}

/// Every Rust file says first what it is.
fn first_line(source: &Source) -> Vec<Offence> {
    if source.is_rust() && !source.text.starts_with("//! ") {
        return vec![source.offence(1, "begin with a `//!` line that says what this file is")];
    }
    Vec::new()
}

/// No line is wider than a page, but one that holds an address.
fn columns(source: &Source) -> Vec<Offence> {
    if !source.is_rust() {
        return Vec::new();
    }
    source.offences(&source.text, |line| {
        let columns = line.chars().count();
        (columns > COLUMNS_MAX && !line.contains("https://"))
            .then(|| format!("{columns} columns, at most {COLUMNS_MAX}"))
    })
}

/// A file is one thing, and fits into a head.
fn file_length(source: &Source) -> Vec<Offence> {
    let tested = source.code.contains("#[cfg(test)]") || source.path.contains("/tests/");
    let most = if tested {
        TESTED_FILE_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    let lines = source.text.lines().count();
    if source.is_rust() && lines > most {
        return vec![source.offence(most + 1, format!("{lines} lines, at most {most}: split it"))];
    }
    Vec::new()
}

/// A function fits on a screen. Relies on rustfmt: its end is the brace below its first letter.
fn function_length(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    let lines: Vec<&str> = source.code.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let heads = trimmed
            .split(' ')
            .take_while(|word| is_modifier(word))
            .count();
        if trimmed.split(' ').nth(heads) != Some("fn") || line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let body = lines[at..]
            .iter()
            .position(|candidate| candidate.trim_end() == end);
        let length = body.map_or(0, |length| length + 1);
        if length > FUNCTION_LINES_MAX {
            let rule = format!("a function of {length} lines, at most {FUNCTION_LINES_MAX}");
            offences.push(source.offence(at + 1, rule));
        }
    }
    offences
}

fn is_modifier(word: &str) -> bool {
    word.starts_with("pub") || ["const", "async", "unsafe", "extern"].contains(&word)
}

/// A name says what a thing is; these say only that there is one.
fn names(source: &Source) -> Vec<Offence> {
    const HUMPS: &[&str] = &["Manager", "Helper", "Util"];
    const MODULES: &[&str] = &[
        "manager", "helper", "helpers", "util", "utils", "data", "common",
    ];
    if !source.is_rust() {
        return Vec::new();
    }
    let mut offences = source.offences(&source.code, |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let word = words.find(|word| HUMPS.iter().any(|hump| has_hump(word, hump)))?;
        Some(format!(
            "`{word}`: name it after what it is, not that it helps"
        ))
    });
    let stem = source.name().trim_end_matches(".rs");
    if MODULES.contains(&stem) {
        offences.push(source.offence(1, format!("`{stem}`: a file is the noun it defines")));
    }
    // Under `tests/` the name has a meaning: shared by several tests, and no test itself.
    if source.name() == "mod.rs" && source.path.contains("/src/") {
        offences.push(source.offence(1, "`mod.rs`: write `name.rs` beside `name/`"));
    }
    offences
}

/// True where `hump` stands in a camel-case word and ends there, perhaps as a plural.
fn has_hump(word: &str, hump: &str) -> bool {
    word.match_indices(hump).any(|(at, _)| {
        let rest = &word[at + hump.len()..];
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        !rest.starts_with(|c: char| c.is_lowercase())
    })
}

/// What is here is finished.
fn unfinished(source: &Source) -> Vec<Offence> {
    const MARKS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];
    source.offences(&source.code, |line| {
        let mark = MARKS.iter().find(|mark| line.contains(**mark))?;
        Some(format!("`{mark}`: finish it or leave it out"))
    })
}

/// A README is read to its end; its tables are looked up.
fn readme_length(source: &Source) -> Vec<Offence> {
    let is_read = |line: &&str| !line.starts_with('|');
    let lines = source.text.lines().filter(is_read).count();
    if source.name() == "README.md" && lines >= README_LINES_MAX {
        let rule = format!("{lines} lines beside tables, at most {README_LINES_MAX}");
        return vec![source.offence(README_LINES_MAX, rule)];
    }
    Vec::new()
}

/// No tabs, nothing after the last letter of a line, one newline at the end.
fn whitespace(source: &Source) -> Vec<Offence> {
    let mut offences = source.offences(&source.text, |line| {
        if line.contains('\t') {
            return Some("a tab: use spaces".into());
        }
        line.ends_with([' ', '\r'])
            .then(|| "white space at the end of the line".into())
    });
    if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
        let rule = "end the file with one newline";
        offences.push(source.offence(source.text.lines().count().max(1), rule));
    }
    offences
}

/// No path that exists only where somebody wrote it.
fn paths(source: &Source) -> Vec<Offence> {
    const HOMES: &[&str] = &[
        concat!("/", "home/"),
        concat!("/", "root/"),
        concat!("/", "Users/"),
        concat!("/", "work/"),
        concat!("C:", "\\"),
    ];
    source.offences(&source.text, |line| {
        let found = HOMES.iter().find(|home| {
            line.match_indices(**home).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-/~}".contains(c))
            })
        });
        found.map(|home| format!("`{home}…`: a path of one machine"))
    })
}
