//! Conversation files: blocks of commands, each with its full outcome.

use std::fs;
use std::path::{Path, PathBuf};

/// One block: its text up to `----`, and what was expected.
struct Block {
    remarks: String,
    commands: Vec<String>,
    expected: String,
}

fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut remarks = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            remarks += &format!("{line}\n");
            continue;
        }
        let mut commands = vec![line.to_owned()];
        commands.extend(
            lines
                .by_ref()
                .take_while(|line| *line != "----")
                .map(str::to_owned),
        );
        let mut expected = String::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty()) {
            expected += &format!("{line}\n");
        }
        blocks.push(Block {
            remarks: std::mem::take(&mut remarks),
            commands,
            expected,
        });
    }
    blocks
}

/// Plays a conversation; its text with the outcomes as they were, and the first that differs.
fn play(text: &str, mut act: impl FnMut(&str) -> String) -> (String, Option<String>) {
    let mut played = String::new();
    let mut difference = None;
    for Block {
        remarks,
        commands,
        expected,
    } in parse(text)
    {
        let outcome: String = commands.iter().map(|command| act(command)).collect();
        let outcome = if outcome.is_empty() {
            "nothing\n".to_owned()
        } else {
            outcome
        };
        let commands = commands.join("\n");
        played += &format!("{remarks}{commands}\n----\n{outcome}");
        if outcome != expected && difference.is_none() {
            difference = Some(format!(
                "{commands}\n---- expected\n{expected}---- but\n{outcome}"
            ));
        }
    }
    (played, difference)
}

/// The conversations in a folder of `tests/testdata`.
fn files(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/testdata")
        .join(folder);
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Plays every conversation of a folder, each on a stage of its own, and stops where an outcome
/// is not the one written down; with `CONVERSATION_UPDATE` set it writes the outcomes anew.
pub(crate) fn play_all<A: FnMut(&str) -> String>(folder: &str, mut stage: impl FnMut() -> A) {
    let is_update = std::env::var_os("CONVERSATION_UPDATE").is_some();
    let mut failures = String::new();
    let files = files(folder);
    assert!(!files.is_empty(), "no conversation in {folder:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (played, difference) = play(&text, stage());
        if is_update {
            fs::write(&path, played).unwrap();
        } else if let Some(difference) = difference {
            failures += &format!("{}:\n{difference}\n", path.display());
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
