//! What a program says when it ends because of an error of its own, found in its log.

/// More of a panic's text than this is not worth showing.
const WORDS_MAX: usize = 600;

/// The text of the last panic, or of whatever else ends a program from inside: Rust, Go, the C++
/// runtime, C's `assert`, the JVM. On one line.
pub(super) fn of_panic(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let last = (0..lines.len()).rev().find(|index| begins(lines[*index]))?;
    let mut words = lines[last].trim().to_owned();
    // Rust says where on one line and why on the next ones; others say all on one.
    if words.ends_with(':') {
        let why = lines[last + 1..].iter().map(|line| line.trim());
        for line in why.take_while(|line| !ends(line)) {
            words.push(' ');
            words.push_str(line);
        }
    }
    if let Some((at, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(at);
        words.push('…');
    }
    Some(words)
}

/// Whether a line is about memory that was refused, be it to a heap or to the stack of a thread:
/// Rust, Go, the C and C++ libraries, the JVM, Python, shells.
pub(super) fn tell_of_memory(line: &str) -> bool {
    const WORDS: [&str; 14] = [
        "memory allocation of ",
        "out of memory",
        "outofmemory",
        "out of space",
        "cannot allocate memory",
        "can't allocate memory",
        "bad_alloc",
        "memoryerror",
        "memory exhausted",
        "enomem",
        "os error 12",
        "failed to spawn thread",
        "spawn worker thread",
        "failed to create new os thread",
    ];
    let line = line.to_ascii_lowercase();
    WORDS.iter().any(|words| line.contains(words))
}

fn begins(line: &str) -> bool {
    let line = line.trim_start();
    let rust = line.starts_with("thread '") && line.contains(" panicked at ");
    let go = line.starts_with("panic: ") || line.starts_with("fatal error: ");
    let runtime = line.starts_with("terminate called ") || line.starts_with("Exception in thread ");
    let memory = line.starts_with("memory allocation of ") && line.ends_with(" failed");
    let assert = line.contains("Assertion `") && line.ends_with("failed.");
    rust || go || runtime || memory || assert
}

/// What follows a panic's text.
fn ends(line: &str) -> bool {
    line.is_empty() || line.starts_with("note: ") || line.starts_with("stack backtrace:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_however_long_its_backtrace() {
        let backtrace =
            "   3: core::panicking::panic_fmt\n             at library/core\n".repeat(99);
        let log = format!(
            "serving\n\nthread 'main' (7) panicked at src/log.rs:3:5:\nthe log is corrupt\nat \
             entry 9\nstack backtrace:\n{backtrace}"
        );
        assert_eq!(
            of_panic(&log).unwrap(),
            "thread 'main' (7) panicked at src/log.rs:3:5: the log is corrupt at entry 9"
        );
    }

    #[test]
    fn each_runtime_has_its_own_words() {
        for line in [
            "panic: runtime error: index out of range [3] with length 3",
            "fatal error: all goroutines are asleep - deadlock!",
            "memory allocation of 67108864 bytes failed",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "node: log.c:7: append: Assertion `term > 0' failed.",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space",
        ] {
            let log = format!("started\n{line}\n\ngoroutine 1 [running]:\n");
            assert_eq!(of_panic(&log).as_deref(), Some(line));
        }
    }

    #[test]
    fn what_was_refused_is_told_from_what_was_not_there() {
        for line in [
            "memory allocation of 67108864 bytes failed",
            "runtime: out of memory: cannot allocate 4194304-byte block (3768320 in use)",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space",
            "sh: 1: Out of space",
            "mmap: Cannot allocate memory",
            "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
        ] {
            assert!(tell_of_memory(line), "{line}");
        }
        for line in [
            "thread 'applier' (7) panicked at src/log.rs:3:5: entry 9 is not there",
            "No space left on device (os error 28)",
            "",
        ] {
            assert!(!tell_of_memory(line), "{line}");
        }
    }

    #[test]
    fn the_last_one_counts_and_what_is_none_is_not_taken_for_one() {
        let log = "panic: first\npanic: second\nexit status 2\n";
        assert_eq!(of_panic(log).as_deref(), Some("panic: second"));
        assert_eq!(of_panic("I do not panic: never\nlistening\n"), None);
        let long = format!("panic: {}", "ü".repeat(WORDS_MAX));
        assert_eq!(of_panic(&long).unwrap().chars().count(), WORDS_MAX + 1);
    }
}
