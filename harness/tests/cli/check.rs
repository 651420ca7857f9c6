//! `ordeal check`: good files, bad files, and files that are none.

use crate::{ordeal, stderr, stdout};
use ordeal_checker::verdict::Validity;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

const GOOD: &str = "\
{:process 1, :type :invoke, :f :write, :value 1}
{:process 1, :type :ok, :f :write, :value 1}
{:process 2, :type :invoke, :f :read, :value nil}
{:process 2, :type :ok, :f :read, :value 1}
";

const BAD: &str = "\
{:process 1, :type :invoke, :f :write, :value 1}
{:process 1, :type :ok, :f :write, :value 1}
{:process 1, :type :invoke, :f :write, :value 2}
{:process 1, :type :ok, :f :write, :value 2}
{:process 2, :type :invoke, :f :read, :value nil}
{:process 2, :type :ok, :f :read, :value 1}
";

/// A folder of files to judge.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn check(args: &[&str]) -> Output {
    let output = ordeal(&[&["check"], args].concat()).output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

fn ends(args: &[&str], code: i32, words: &[&str]) {
    let output = check(args);
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{args:?} does not say {word:?}: {said}"
        );
    }
}

/// A run's own line: an operation of the main phase, or of the one that is said.
fn line(index: u64, who: u64, kind: &str, f: &str, value: &Value, phase: Option<&str>) -> String {
    let key = if f == "add" || f == "read-set" {
        Value::Null
    } else {
        json!(1)
    };
    let mut event = json!({
        "index": index, "process": who, "type": kind, "f": f, "value": value,
        "time": index * 1_000_000, "node": "n1",
    });
    if !key.is_null() {
        event["key"] = key;
    }
    if let Some(phase) = phase {
        event["phase"] = json!(phase);
    }
    format!("{event}\n")
}

/// Two acknowledged writes and a final read of `seen`.
fn run_of_registers(seen: i64) -> String {
    let nil = Value::Null;
    [
        line(0, 1, "invoke", "write", &json!(1001), Some("warm-up")),
        line(1, 1, "ok", "write", &nil, Some("warm-up")),
        line(2, 1, "invoke", "write", &json!(2001), None),
        line(3, 1, "ok", "write", &nil, None),
        line(4, 2, "invoke", "read", &nil, Some("final")),
        line(5, 2, "ok", "read", &json!(seen), Some("final")),
    ]
    .concat()
}

/// Two acknowledged elements and a final read.
fn run_of_a_set(seen: &Value) -> String {
    let nil = Value::Null;
    [
        line(0, 1, "invoke", "add", &json!(1001), Some("warm-up")),
        line(1, 1, "ok", "add", &nil, Some("warm-up")),
        line(2, 1, "invoke", "add", &json!(2001), None),
        line(3, 1, "ok", "add", &nil, None),
        line(4, 2, "invoke", "read-set", &nil, Some("final")),
        line(5, 2, "ok", "read-set", seen, Some("final")),
    ]
    .concat()
}

#[test]
fn a_good_file_ends_with_0_and_says_what_was_guessed() {
    let files = Files::new();
    let good = files.put("good.edn", GOOD);
    ends(
        &[&good],
        0,
        &[
            "VALID",
            "judged as register, read as edn (format and model guessed)",
            "4 events",
        ],
    );
    let told = stdout(&check(&["--model", "register", "--format", "edn", &good]));
    assert!(!told.contains("guessed"), "{told}");
}

#[test]
fn a_bad_file_ends_with_1_and_says_why() {
    let files = Files::new();
    let bad = files.put("bad.edn", BAD);
    ends(
        &[&bad],
        1,
        &[
            "INVALID",
            "p2's read → 1",
            "cannot follow: the object holds 2",
        ],
    );
    ends(
        &["--explain", &bad],
        1,
        &["cannot be explained", "show it", "├"],
    );
}

#[test]
fn a_queue_out_of_order_is_told_in_its_own_words() {
    let files = Files::new();
    let mut text = String::new();
    for (f, value) in [("enqueue", 1), ("enqueue", 2), ("dequeue", 2)] {
        text += &format!("{{:process 1, :type :invoke, :f :{f}, :value {value}}}\n");
        text += &format!("{{:process 1, :type :ok, :f :{f}, :value {value}}}\n");
    }
    let bad = files.put("queue.edn", text);
    ends(
        &["--explain", &bad],
        1,
        &[
            "judged as queue",
            "dequeue → 2",
            "cannot come next: there it would return 1",
        ],
    );
}

#[test]
fn a_spent_budget_ends_with_2() {
    let files = Files::new();
    let bad = files.put(
        "bad.edn",
        BAD.replace(":value 2", ":value 1").replace(":read", ":cas"),
    );
    // Not a compare-and-set at all: refused, not undecided.
    ends(&[&bad], 64, &["line 5", "[expected new]"]);
    let hard = files.put("hard.edn", hard());
    ends(
        &["--budget", "1", &hard],
        2,
        &[
            "UNKNOWN",
            "undecided, 0 operations open, longest consistent prefix up to line ",
        ],
    );
    ends(&[&hard], 0, &["VALID"]);
}

/// Writes of the same few values, all at once, and reads that want them in another order.
fn hard() -> String {
    let mut text = String::new();
    for process in 0..12 {
        let value = process % 3;
        text += &format!("{{:process {process}, :type :invoke, :f :write, :value {value}}}\n");
    }
    for (at, value) in [2, 0, 1, 2, 1, 0].iter().enumerate() {
        let process = 20 + at;
        text += &format!("{{:process {process}, :type :invoke, :f :read, :value nil}}\n");
        text += &format!("{{:process {process}, :type :ok, :f :read, :value {value}}}\n");
    }
    for process in 0..12 {
        let value = process % 3;
        text += &format!("{{:process {process}, :type :ok, :f :write, :value {value}}}\n");
    }
    text
}

#[test]
fn several_files_are_summed_up_and_the_worst_outranks() {
    let files = Files::new();
    let (good, bad) = (files.put("good.edn", GOOD), files.put("bad.edn", BAD));
    let none = files.put("none.edn", "{:process 1");
    ends(
        &[&good, &none, &bad],
        1,
        &[
            "3 files: 1 valid, 0 unknown, 1 invalid, 1 refused",
            "line 1",
        ],
    );
    ends(
        &[&good, &none],
        64,
        &["2 files: 1 valid, 0 unknown, 0 invalid, 1 refused"],
    );
    ends(&[&good, &good], 0, &["2 files: 2 valid"]);
}

#[test]
fn json_has_every_verdict_and_nothing_else_on_its_stream() {
    let files = Files::new();
    let (good, bad) = (files.put("good.edn", GOOD), files.put("bad.edn", BAD));
    let missing = files.0.path().join("missing").display().to_string();
    let output = check(&["--json", &good, &bad, &missing]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all[0]["validity"], json!(Validity::Valid));
    assert_eq!(all[0]["guessed"], json!(["format", "model"]));
    assert_eq!(all[1]["validity"], json!(Validity::Invalid));
    assert_eq!(
        all[1]["findings"][0]["anomalies"][0]["kind"],
        "nonlinearizable"
    );
    assert!(all[1]["explanation"].as_str().unwrap().contains("├"));
    assert!(all[2]["error"].as_str().unwrap().contains("No such file"));
}

#[test]
fn a_runs_own_history_gets_the_checks_of_its_workload() {
    let files = Files::new();
    let good = files.put("good/history.jsonl", run_of_registers(2001));
    let lost = files.put("lost/history.jsonl", run_of_registers(1001));
    let kept = files.put("kept.jsonl", run_of_a_set(&json!([1001, 2001])));
    let short = files.put("short.jsonl", run_of_a_set(&json!([1001])));
    ends(
        &[&good],
        0,
        &["a run's register workload", "no final read of 1 register"],
    );
    ends(&[&lost], 1, &["not linearizable", "lost"]);
    ends(
        &["--explain", &lost],
        1,
        &[
            "├",
            "cannot come next: there it would",
            "was acknowledged to",
        ],
    );
    ends(&[&kept], 0, &["a run's set workload"]);
    ends(&[&short], 1, &["1 of 2 acknowledged elements are lost"]);
    let foreign = "\"write\" is no operation of this workload";
    ends(&["--workload", "set", &good], 64, &[foreign]);
    let folder = files.0.path().join("lost").display().to_string();
    ends(&[&folder], 1, &["lost/history.jsonl"]);
}

#[test]
fn a_long_run_of_a_set_is_known_by_its_first_operation() {
    let files = Files::new();
    let (mut text, none) = (String::new(), json!(null));
    for at in 0..6_000 {
        text += &line(2 * at, 1, "invoke", "add", &json!(at), Some("warm-up"));
        text += &line(2 * at + 1, 1, "ok", "add", &json!(at), Some("warm-up"));
    }
    text += &line(12_000, 2, "invoke", "read-set", &none, Some("final"));
    let all: Vec<u64> = (1..6_000).collect();
    text += &line(12_001, 2, "ok", "read-set", &json!(all), Some("final"));
    let path = files.put("history.jsonl", &text);
    let words = ["set workload", "1 of 6000 acknowledged elements are lost"];
    ends(&[&path], 1, &words);
    // As somebody else's, the read at the end tells what it is.
    let foreign = text
        .replace("\"warm-up\"", "null")
        .replace("read-set", "read");
    ends(&[&files.put("foreign.jsonl", foreign)], 1, &["as set"]);
    ends(
        &["--workload", "register", &path],
        64,
        &["no operation of this workload"],
    );
}

#[test]
fn what_comes_through_a_pipe_is_read_once_and_whole() {
    let files = Files::new();
    let mut text = String::new();
    for at in 0..200 {
        let value = json!(if at == 0 { 7 } else { 1 });
        text += &line(2 * at, 1, "invoke", "write", &value, None);
        text += &line(2 * at + 1, 1, "ok", "write", &value, None);
    }
    text += &line(400, 2, "invoke", "read", &json!(null), None);
    text += &line(401, 2, "ok", "read", &json!(2), None);
    let file = fs::File::open(files.put("h.jsonl", text)).unwrap();
    let mut cat = std::process::Command::new("cat");
    let mut cat = cat
        .stdin(file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let piped = cat.stdout.take().unwrap();
    let output = ordeal(&["check", "-"]).stdin(piped).output().unwrap();
    assert!(cat.wait().unwrap().success());
    assert!(
        stdout(&output).contains("402 events"),
        "{}",
        stdout(&output)
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn keys_are_objects_of_their_own_whatever_the_object() {
    let files = Files::new();
    let locks = "\
{:process 1, :type :invoke, :f :acquire, :value [:a nil]}
{:process 1, :type :ok, :f :acquire, :value [:a nil]}
{:process 2, :type :invoke, :f :acquire, :value [:b nil]}
{:process 2, :type :ok, :f :acquire, :value [:b nil]}
";
    ends(
        &[&files.put("locks.edn", locks)],
        0,
        &["as mutex", "2 operations on 2 keys"],
    );
    let one = files.put("one.edn", locks.replace(":b", ":a"));
    ends(&[&one], 1, &["not linearizable"]);
    let counters = "\
{:process 1, :type :invoke, :f :add, :value [1 5]}
{:process 1, :type :ok, :f :add, :value [1 5]}
{:process 2, :type :invoke, :f :read, :value [2 nil]}
{:process 2, :type :ok, :f :read, :value [2 0]}
";
    ends(&[&files.put("counters.edn", counters)], 0, &["as counter"]);
    let other = counters.replace(":value [2 0]", ":value [3 0]");
    ends(
        &[&files.put("other.edn", other)],
        64,
        &["line 4", "answered of key 3"],
    );
}

#[test]
fn what_cannot_be_judged_is_refused_and_not_called_valid() {
    let files = Files::new();
    let cases = [
        (
            "nemesis.edn",
            "[{:process :nemesis, :type :info, :f :start}]",
            "no operation of a client",
        ),
        ("empty.edn", "[]", "cannot tell the format"),
        (
            "time.edn",
            "{:process 1, :type :invoke, :f :read, :time -5}",
            "no whole number",
        ),
        (
            "half.edn",
            "{:process 1 :type :invoke :f :read :time 5}\n{:process 1 :type :ok :f :read}",
            "line 2",
        ),
        (
            "other.edn",
            "{:process 1 :type :invoke :f :write :value 1}\n{:process 1 :type :ok :f :read}",
            "did not ask",
        ),
        (
            "array.json",
            "[{\"process\": 1, \"type\": \"invoke\", \"f\": \"read\"},",
            "ends within an array",
        ),
    ];
    for (name, text, why) in cases {
        ends(&["--model", "register", &files.put(name, text)], 64, &[why]);
    }
}

#[test]
fn a_torn_last_line_is_left_out_and_said() {
    let files = Files::new();
    let lost = run_of_registers(1001);
    let run = files.put("run/history.jsonl", &lost[..lost.len() - 9]);
    let words = "line 6, the last, is cut off, as by a kill of its writer: it is left out";
    ends(
        &[&run],
        2,
        &["a run's register workload", "5 events", words],
    );
    let edn = files.put("torn.edn", &BAD[..BAD.len() - 4]);
    ends(&[&edn], 0, &["VALID", "5 events", words]);
    let output = check(&["--json", &edn, &run]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!([&all[0]["torn_line"], &all[1]["torn_line"]], [6, 6]);
    let good = files.put("good.edn", GOOD);
    let output = check(&["--json", &good]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all[0].get("torn_line"), None);
    let rows = [
        "valid    ",
        "torn.edn (without line 6, cut off)\n",
        "good.edn\n",
    ];
    ends(&[&edn, &good], 0, &rows);
    // Its end is there: it was not torn, it is wrong.
    let ended = files.put("ended.jsonl", format!("{}\n", &lost[..lost.len() - 9]));
    ends(&[&ended], 64, &["line 6: no JSON"]);
    let only = files.put("only/history.jsonl", &lost[..60]);
    let words = "line 1: the file ends within this line";
    ends(&["--workload", "register", &only], 64, &[words]);
}

fn export(args: &[&str]) -> Output {
    let output = ordeal(&[&["export"], args].concat()).output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

#[test]
fn an_export_gets_the_verdict_of_what_it_was_made_from() {
    let files = Files::new();
    let run = run_of_a_set(&json!([1001]));
    let registers = run_of_registers(1001);
    let console = "INFO  jepsen.util - 1\t:invoke\t:write\t3\n\
                   INFO  jepsen.util - 1\t:ok\t:write\t3\n";
    let transactions = r#"[{"process":1,"type":"invoke","value":[["append",1,2]]},
                           {"process":1,"type":"ok","value":[["append",1,2]]}]"#;
    for (name, text, code) in [
        ("good.edn", GOOD, 0),
        ("bad.edn", BAD, 1),
        ("set.jsonl", &run, 1),
        ("registers/history.jsonl", &registers, 1),
        ("etcd.log", console, 0),
        ("txn.json", transactions, 0),
    ] {
        let from = files.put(name, text);
        let folder = PathBuf::from(&from).parent().unwrap().display().to_string();
        let from = if name.contains('/') { folder } else { from };
        let output = export(&[&from]);
        let end = (output.status.code(), stderr(&output));
        assert_eq!(end, (Some(0), String::new()));
        let edn = files.put(&format!("{name}.edn"), &output.stdout);
        ends(&[&from], code, &[]);
        ends(&[&edn], code, &["read as edn"]);
        // What is exported again is the same.
        assert_eq!(stdout(&export(&[&edn])), stdout(&output), "{name}");
    }
    let told = stdout(&export(&[&files.put("again.jsonl", &registers)]));
    let first = "{:index 0, :process 1, :type :invoke, :f :write, :value [1 1001], :time 0, \
                 :node \"n1\", :phase \"warm-up\"}\n";
    assert!(told.starts_with(first), "{told}");
}

#[test]
fn what_cannot_be_exported_is_refused_with_the_place() {
    let files = Files::new();
    let output = export(&[&files.put("torn.edn", &BAD[..BAD.len() - 4])]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output).lines().count(), 5);
    let said = stderr(&output);
    assert!(said.contains("line 6, the last, is cut off"), "{said}");
    let half = "[{:process 1, :type :invoke, :f :read}\n{:process";
    for (name, text, words) in [
        ("half.edn", half, "line 2: the file ends"),
        ("noise", "\0", "cannot tell the format"),
        (
            "nemesis.edn",
            "[{:process :nemesis, :type :info}]",
            "nothing to export",
        ),
    ] {
        let output = export(&[&files.put(name, text)]);
        assert_eq!(output.status.code(), Some(64), "{name}");
        let said = stderr(&output);
        assert!(said.contains(words), "{name}: {said}");
    }
    assert_eq!(export(&["/nowhere/at.all"]).status.code(), Some(64));
    assert_eq!(export(&["--format", "edn"]).status.code(), Some(64));
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let good = files.put("good.edn", GOOD);
    let output = ordeal(&["export", &good]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let said = stderr(&output);
    assert!(said.contains("cannot write the export"), "{said}");
}

#[test]
fn a_verdict_that_cannot_be_written_is_an_error_unless_nobody_reads_on() {
    let files = Files::new();
    let (good, bad) = (files.put("good.edn", GOOD), files.put("bad.edn", BAD));
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for args in [
        &["check", &good][..],
        &["check", "--json", &good],
        &["list"],
        &["run", "--dry-run", "--seed", "1"],
    ] {
        let output = ordeal(args).stdout(full()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(70), "{args:?}: {said}");
        assert!(said.contains("cannot write to stdout: No space"), "{said}");
    }
    // A violation outranks it.
    let output = ordeal(&["check", &bad]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write to stdout"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = ordeal(&["check", &good]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn files_that_are_no_histories_are_refused_with_the_place() {
    let files = Files::new();
    let bank = "{:process 1, :type :invoke, :f :transfer, :value 1}\n\
                {:process 2, :type :invoke, :f :read, :value nil}\n";
    let twice = format!("{}{}", &GOOD[..49], &GOOD[..49]);
    for (name, text, words) in [
        (
            "empty",
            &b""[..],
            &["cannot tell the format", "--format jsonl, edn"][..],
        ),
        ("noise", b"\xff\xfe\x00\x01", &["cannot tell the format"]),
        ("half.jsonl", b"{\"index\":0,\"process\":1", &["line 1"]),
        (
            "bank.edn",
            bank.as_bytes(),
            &[
                "cannot tell the model",
                "read, transfer",
                "with one of register, kv, set",
            ],
        ),
        ("twice.edn", twice.as_bytes(), &["line 2"]),
    ] {
        let path = files.put(name, text);
        ends(&[&path], 64, words);
        ends(&[&path], 64, &[&path]);
    }
}

#[test]
fn bad_usage_is_refused_with_what_there_is() {
    let files = Files::new();
    let good = files.put("good.edn", GOOD);
    ends(&[], 64, &["FILE"]);
    ends(
        &["--model", "bank", &good],
        64,
        &["bank", "register", "list-append"],
    );
    ends(&["--format", "xml", &good], 64, &["xml", "jsonl"]);
    ends(
        &["--workload", "bank", &good],
        64,
        &["bank", "register, set"],
    );
    ends(&["--budget", "lots", &good], 64, &["lots", "30s"]);
    ends(&["--format", "jsonl", &good], 64, &["line 1"]);
    ends(&["/nowhere/at.all"], 64, &["/nowhere/at.all"]);
}
