//! Reading Rust, a little: enough to tell code from sentences, and to follow `use` trees.

/// The text with comments and the insides of literals blanked out, line for line and column for
/// column.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let blank = blank_at(&chars, at);
        if blank == 0 {
            code.push(chars[at]);
            at += 1;
            continue;
        }
        code.extend(
            chars[at..at + blank]
                .iter()
                .map(|c| if *c == '\n' { '\n' } else { ' ' }),
        );
        at += blank;
    }
    code
}

/// How many characters from `at` on are a comment or a literal; 0 where code stands.
fn blank_at(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        ['r', '"' | '#', ..] if !inside_word => raw_string(rest),
        ['b', 'r', '"' | '#', ..] if !inside_word => 1 + raw_string(&rest[1..]),
        ['\'', '\\', ..] => quoted(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// 0 where it is `r#name` and no string.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end = |at: &usize| {
        rest[*at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    let close = (2 + hashes..rest.len()).find(end);
    close.map_or(rest.len(), |at| (at + 1 + hashes).min(rest.len()))
}

/// Every path in the code with its line, `use` trees spelled out: `use a::{b, c::d}` is `a::b` and
/// `a::c::d`.
pub(crate) fn paths_in(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut line = 1;
    for c in code.chars() {
        if c.is_alphanumeric() || c == '_' || c == ':' {
            path.push(c);
            continue;
        }
        if c == '{' && (path.ends_with("::") || (path.is_empty() && !prefixes.is_empty())) {
            let prefix = prefixes.last().cloned().unwrap_or_default();
            prefixes.push(prefix + &path);
        } else if !path.is_empty() {
            let prefix = prefixes.last().map_or("", String::as_str);
            found.push((line, format!("{prefix}{path}")));
        }
        path.clear();
        if c == '}' {
            prefixes.pop();
        }
        line += usize::from(c == '\n');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_left_of_comments_and_literals() {
        let text = "a(\"b\\\"c\", 'd', '\\'', r#\"e\"f\"#); // g\n/* h /* i */ */ j::<'k>(r#l);\n";
        let blank = |n: usize| " ".repeat(n);
        let code = format!(
            "a({}, {}, {}, {}); {}\n{} j::<'k>(r#l);\n",
            blank(6),
            blank(3),
            blank(4),
            blank(8),
            blank(4),
            blank(15),
        );
        assert_eq!(code_of(text), code);
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let code = "use a::{b, c::{d, e}};\nfn f() { g::h(x); }\n";
        let found: Vec<String> = paths_in(code).into_iter().map(|(_, path)| path).collect();
        for path in ["a::b", "a::c::d", "a::c::e", "g::h"] {
            assert!(
                found.iter().any(|known| known == path),
                "{path} in {found:?}"
            );
        }
        assert!(!found.iter().any(|known| known == "a::f"), "{found:?}");
    }
}
