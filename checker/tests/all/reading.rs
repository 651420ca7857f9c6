//! Files that end too early, and files that begin like another format's.

use std::io::{Cursor, Write};

use ordeal_checker::format::{Format, Reading};
use ordeal_checker::history::Event;
use ordeal_checker::judge::{JudgeError, Options, Report, Subject, check_file};
use ordeal_checker::verdict::Validity;
use serde_json::json;

/// What is read: the events, or the line of the error; the torn line; and the format.
type Read = (Result<Vec<Event>, usize>, Option<usize>, Format);

fn read(text: &[u8], format: Option<Format>) -> Read {
    let mut reading = Reading::open(Cursor::new(text.to_vec()), format)
        .unwrap()
        .expect("its format can be told");
    let events = reading.by_ref().map(|line| line.map(|(_, event)| event));
    let events: Result<Vec<Event>, _> = events.collect();
    let (torn, format) = (reading.torn(), reading.format());
    (events.map_err(|error| error.line), torn, format)
}

fn judge(text: &str, format: Option<Format>) -> Result<Report, JudgeError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let options = Options {
        format,
        ..Options::default()
    };
    check_file(file.path(), &options)
}

/// A write and a read of another value, one event a line, in each format that has such lines.
fn lines(format: Format) -> [String; 4] {
    let events = [
        (1, "invoke", "write", Some(5), 10),
        (1, "ok", "write", Some(5), 20),
        (2, "invoke", "read", None, 30),
        (2, "ok", "read", Some(614), 40),
    ];
    let mut index = 0;
    events.map(|(process, kind, f, value, time)| {
        index += 1;
        match format {
            Format::Edn => {
                let value = value.map_or("nil".into(), |value| value.to_string());
                format!(
                    "#jepsen.history.Op{{:process {process}, :type :{kind}, :f :{f}, \
                     :value {value}, :time {time}, :error \"é\\u00e9\\n\"}}"
                )
            }
            Format::Console => {
                let value = value.map_or("nil".into(), |value| value.to_string());
                format!("INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{value}")
            }
            Format::Jsonl | Format::Json => json!({
                "index": index - 1, "process": process, "type": kind, "f": f, "value": value,
                "time": time, "node": "né{\"",
            })
            .to_string(),
        }
    })
}

#[test]
fn a_file_that_is_cut_anywhere_in_its_last_line_is_judged_without_it() {
    for (_, format) in Format::ALL {
        let lines = lines(format);
        let before = lines[..3].join("\n") + "\n";
        let whole = before.clone() + &lines[3] + "\n";
        let judged = judge(&whole, Some(format)).unwrap();
        assert_eq!(
            (judged.finding.validity, judged.torn),
            (Validity::Invalid, None)
        );
        let kept = read(before.as_bytes(), Some(format)).0;
        for cut in 1..lines[3].len() {
            let text = [before.as_bytes(), &lines[3].as_bytes()[..cut]].concat();
            let (events, torn, _) = read(&text, Some(format));
            assert_eq!(events, kept, "{format} cut at {cut}");
            // A line of words is no operation before it says so.
            let is_said = format != Format::Console || cut >= "INFO  jepsen.util - ".len();
            assert_eq!(torn, is_said.then_some(4), "{format} cut at {cut}");
        }
        let cut = &whole[..whole.len() - 3];
        let judged = judge(cut, Some(format)).unwrap();
        // The read may have come back with anything.
        assert_eq!(judged.finding.validity, Validity::Valid, "{format}");
        assert_eq!((judged.torn, judged.events), (Some(4), 3), "{format}");
        let found = judge(cut, None).unwrap();
        assert_eq!((found.torn, found.events), (Some(4), 3), "{format}");
    }
}

#[test]
fn a_last_line_that_is_whole_counts_without_its_end_where_that_can_be_told() {
    for (_, format) in Format::ALL {
        let (events, torn, _) = read(lines(format).join("\n").as_bytes(), Some(format));
        let is_words = format == Format::Console;
        let counted = if is_words { (3, Some(4)) } else { (4, None) };
        assert_eq!((events.unwrap().len(), torn), counted, "{format}");
    }
}

#[test]
fn what_is_wrong_elsewhere_stays_an_error() {
    let [asked, answered, ..] = lines(Format::Jsonl);
    let half = &asked[..asked.len() - 4];
    let edn = lines(Format::Edn);
    let half_edn = &edn[0][..edn[0].len() - 4];
    let other = asked.replace("\"time\":10", "\"time\":\"10\"");
    for (format, text, line) in [
        // Its end is there.
        (Format::Jsonl, format!("{asked}\n{half}\n"), 2),
        // It is not the last.
        (Format::Jsonl, format!("{half}\n{answered}"), 1),
        // It is whole, or not JSON, or wrong before it is cut.
        (Format::Jsonl, format!("{asked}\n{other}"), 2),
        (Format::Jsonl, format!("{asked}\n{{]"), 2),
        (Format::Edn, format!("{}\n{half_edn}\n", edn[0]), 3),
        // The map has lines of its own.
        (
            Format::Edn,
            format!("{}\n{{:process 1,\n :type :ok", edn[0]),
            3,
        ),
        // So has what is no map of lines.
        (Format::Edn, format!("[{}\n{half_edn}", edn[0]), 2),
        // It shares its line.
        (Format::Edn, format!("{}\n{} {half_edn}", edn[0], edn[1]), 2),
        (Format::Edn, format!("{}\n:process", edn[0]), 2),
        (Format::Json, format!("[{asked},\n{half}"), 2),
        (Format::Json, format!("{asked}\n{{\n\"process\": 1"), 3),
        (Format::Json, format!("{asked}\n{answered}, {half}"), 2),
    ] {
        let (events, torn, _) = read(text.as_bytes(), Some(format));
        assert_eq!((events, torn), (Err(line), None), "{format}: {text}");
    }
}

#[test]
fn nothing_but_a_torn_line_is_nothing_to_judge() {
    for (_, format) in Format::ALL {
        let line = &lines(format)[0];
        let error = judge(&line[..line.len() - 3], Some(format)).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("line 1: the file ends"), "{format}: {words}");
    }
}

#[test]
fn brackets_close_as_they_opened() {
    let map = "{:process 1, :type :invoke, :f :read}";
    for (text, line) in [
        (format!("[{map}\n{map})"), 2),
        (format!("({map}\n{map}]"), 2),
        (format!("[{map}}}"), 1),
        (format!("{map}]"), 1),
        (format!("[{map}\n#tag ]"), 2),
        (format!("{map}\n#tag\n"), 3),
        (format!("[{map}\n #_]"), 2),
    ] {
        assert_eq!(
            read(text.as_bytes(), Some(Format::Edn)).0,
            Err(line),
            "{text}"
        );
    }
    for text in [format!("[{map}] ({map})"), format!("({map} #_ 1)")] {
        assert!(read(text.as_bytes(), Some(Format::Edn)).0.is_ok(), "{text}");
    }
}

/// Many lines that say what both tools say, more than is looked at for a guess.
fn common(count: u64) -> String {
    let lines = (0..count).flat_map(|write| {
        [("invoke", 2 * write), ("ok", 2 * write + 1)].map(|(kind, index)| {
            json!({
                "index": index, "process": write % 5, "type": kind, "f": "write",
                "value": write, "time": 10 * index,
            })
            .to_string()
        })
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn json_lines_are_jepsens_from_the_first_that_only_jepsen_writes() {
    let common = common(2_000);
    assert!(common.len() > 128 << 10, "more than any buffer");
    let at = |index: u64, process: serde_json::Value, more: serde_json::Value| {
        let mut line = json!({
            "index": index, "process": process, "type": "info", "f": "read", "value": null,
            "time": 10 * index,
        });
        let more = more.as_object().unwrap().clone();
        line.as_object_mut().unwrap().extend(more);
        line.to_string() + "\n"
    };
    let nemesis = at(
        4_000,
        json!("nemesis"),
        json!({"f": "start", "value": "n1"}),
    );
    let asked = |index: u64| at(index, json!(1), json!({"type": "invoke"}));
    let lost = |index: u64| at(index, json!(1), json!({}));
    for (only_jepsens, is_jepsen) in [
        (nemesis.clone(), true),
        (
            asked(4_000) + &at(4_001, json!(1), json!({"error": "timeout"})),
            true,
        ),
        (
            asked(4_000) + &at(4_001, json!(1), json!({"error": ["lost", "so", 1]})),
            true,
        ),
        // A process goes on after an unknown outcome.
        (asked(4_000) + &lost(4_001) + &asked(4_002), true),
        (asked(4_000) + &lost(4_001), false),
    ] {
        let next = 4_000 + only_jepsens.lines().count() as u64;
        let after = at(next, json!(9), json!({"type": "invoke"}));
        let text = common.clone() + &only_jepsens + &after;
        let (events, _, format) = read(text.as_bytes(), None);
        let (as_jepsens, _, _) = read(text.as_bytes(), Some(Format::Json));
        assert!(events == as_jepsens, "{only_jepsens}");
        let expected = if is_jepsen {
            Format::Json
        } else {
            Format::Jsonl
        };
        assert_eq!(format, expected, "{only_jepsens}");
        let is_ours = read(text.as_bytes(), Some(Format::Jsonl)).0.is_ok();
        let goes_on = only_jepsens.lines().count() == 3;
        assert_eq!(is_ours, !is_jepsen || goes_on, "{only_jepsens}");
        let report = judge(&text, None).unwrap();
        assert_eq!(
            (report.format, report.finding.validity),
            (expected, Validity::Valid)
        );
    }
}

#[test]
fn a_wrong_line_of_ours_is_not_taken_for_jepsens() {
    let text = common(2_000);
    let wrong = text.replacen("\"time\":39990", "\"time\":-1", 1);
    assert_ne!(wrong, text);
    let error = judge(&wrong, None).unwrap_err().to_string();
    let words =
        "line 4000: field \"time\": expected nanoseconds as a whole number from 0, found -1";
    assert!(error.ends_with(words), "{error}");
}

fn said(model: Subject, text: &str) -> Result<Validity, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let options = Options {
        model: Some(model),
        ..Options::default()
    };
    let report = check_file(file.path(), &options);
    report
        .map(|report| report.finding.validity)
        .map_err(|error| error.to_string())
}

/// `write 1 nil nil`: what is done, with what, and what comes back.
fn alone(steps: &[[&str; 3]]) -> String {
    let lines = steps.iter().map(|[f, asked, answered]| {
        format!(
            "{{:process 1, :type :invoke, :f :{f}, :value {asked}}}\n\
             {{:process 1, :type :ok, :f :{f}, :value {answered}}}\n"
        )
    });
    lines.collect()
}

#[test]
fn nil_is_written_where_it_is_read() {
    use Validity::{Invalid, Valid};
    for (steps, validity) in [
        ("write 1 1; write nil nil; read nil nil", Valid),
        ("write 1 1; write nil nil; read nil 1", Invalid),
        (
            "write [7,1] nil; write [7,nil] nil; read [7,nil] [7,nil]",
            Valid,
        ),
        (
            "write [7,1] nil; write [8,nil] nil; read [7,nil] [7,nil]",
            Invalid,
        ),
        ("write 1 1; cas [1,nil] [1,nil]; read nil nil", Valid),
        ("write 1 1; cas [2,nil] true", Invalid),
        ("write 1 1; cas [nil,nil] false", Valid),
        (
            "write [7,1] nil; cas [7,[1,nil]] [7,true]; read [7,nil] [7,1]",
            Invalid,
        ),
    ] {
        let steps = steps.split("; ").map(|step| {
            let words: Vec<&str> = step.split(' ').collect();
            words.try_into().unwrap()
        });
        let text = alone(&steps.collect::<Vec<[&str; 3]>>());
        assert_eq!(said(Subject::Register, &text), Ok(validity), "{text}");
    }
    for (seen, validity) in [("nil", Valid), ("\"\"", Valid), ("\"a\"", Invalid)] {
        let steps = [
            ["put", "\"a\"", "nil"],
            ["put", "nil", "nil"],
            ["get", "nil", seen],
        ];
        assert_eq!(said(Subject::Kv, &alone(&steps)), Ok(validity), "{seen}");
    }
    // There nil is that nothing is there.
    let refused = said(Subject::Queue, &alone(&[["enqueue", "nil", "nil"]])).unwrap_err();
    let words = "line 1: p1 enqueue: expected an integer, found null";
    assert!(refused.contains(words), "{refused}");
}

#[test]
fn the_clients_of_a_lock_are_not_mistaken_for_each_other() {
    let line = |process: u64, kind: &str, f: &str, value: &str| {
        format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n")
    };
    let large = (1 << 32) + 5;
    // Who has it asks again, and then the second gives it back.
    let lock = |second: u64, end: &str| {
        [
            line(5, "invoke", "acquire", "nil"),
            line(5, "ok", "acquire", "1"),
            line(5, "invoke", "acquire", "nil"),
            line(5, end, "acquire", "nil"),
            line(second, "invoke", "release", "nil"),
            line(second, "ok", "release", "nil"),
        ]
        .concat()
    };
    for model in [Subject::Mutex, Subject::FencedLock] {
        let refused = said(model, &lock(large, "fail")).unwrap_err();
        let words = "line 5: p5′ release: its process has the number 4294967301, and the clients";
        assert!(refused.contains(words), "{model}: {refused}");
        // The later life of a client that retired gives back what that one got.
        assert_eq!(
            said(model, &lock(large, "info")),
            Ok(Validity::Valid),
            "{model}"
        );
        assert_eq!(
            said(model, &lock(6, "info")),
            Ok(Validity::Invalid),
            "{model}"
        );
    }
    // Elsewhere a number is a name.
    let write = alone(&[["write", "1", "1"]]).replace(":process 1", ":process 4294967301");
    assert_eq!(said(Subject::Register, &write), Ok(Validity::Valid));
}
