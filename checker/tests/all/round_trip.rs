//! What is exported as EDN is the same history with the same verdict when it is read again:
//! for every model, from every format.

use std::io::Cursor;
use std::path::Path;

use ordeal_checker::format::{Format, events, write_edn};
use ordeal_checker::history::{Event, EventKind};
use ordeal_checker::judge::{Options, Report, Subject, check_file};
use ordeal_checker::verdict::Validity;
use serde_json::{Value, json};

/// A good and a bad history of each model: process, type, operation, value.
const HISTORIES: [(Subject, &str, &str); 11] = [
    (
        Subject::Register,
        "1 invoke write 3; 1 ok write 3; 2 invoke cas [3,4]; 3 invoke read null; 3 ok read 4; \
         2 info cas null; 4 invoke cas [9,8]; 4 ok cas false",
        "1 invoke write 3; 1 ok write 3; 2 invoke read null; 2 ok read null",
    ),
    (
        Subject::Kv,
        r#"1 invoke put "a\"b"; 1 ok put null; 2 invoke append "\u0007é\\"; 2 info append null;
           3 invoke get null; 3 ok get "a\"b\u0007é\\""#,
        r#"1 invoke append "x"; 1 ok append null; 3 invoke get null; 3 ok get "y""#,
    ),
    (
        Subject::Set,
        "1 invoke add 5; 1 ok add 5; 2 invoke remove 5; 2 fail remove null; \
         3 invoke read-set null; 3 ok read-set [5]; 3 invoke contains 6; 3 ok contains false",
        "1 invoke add 5; 1 ok add 5; 3 invoke read-set null; 3 ok read-set [1,2]",
    ),
    (
        Subject::Queue,
        "1 invoke enqueue 1; 1 ok enqueue 1; 2 invoke dequeue null; 2 ok dequeue 1; \
         2 invoke dequeue null; 2 ok dequeue null",
        "1 invoke enqueue 1; 1 ok enqueue 1; 2 invoke dequeue null; 2 ok dequeue null",
    ),
    (
        Subject::Stack,
        "1 invoke push 1; 1 ok push 1; 1 invoke push 2; 1 ok push 2; 2 invoke pop null; 2 ok pop 2",
        "1 invoke push 1; 1 ok push 1; 1 invoke push 2; 1 ok push 2; 2 invoke pop null; 2 ok pop 1",
    ),
    (
        Subject::Counter,
        "1 invoke add 2; 1 ok add 2; 2 invoke add -1; 2 info add null; \
         3 invoke read null; 3 ok read 1",
        "1 invoke add 2; 1 ok add 2; 3 invoke read null; 3 ok read 1",
    ),
    (
        Subject::Mutex,
        "1 invoke acquire null; 1 ok acquire null; 1 invoke release null; 1 ok release null; \
         2 invoke acquire null; 2 ok acquire null",
        "1 invoke acquire null; 1 ok acquire null; 2 invoke acquire null; 2 ok acquire null",
    ),
    (
        Subject::FencedLock,
        "1 invoke acquire null; 1 ok acquire 3; 1 invoke release null; 1 ok release null; \
         2 invoke acquire null; 2 ok acquire 4",
        "1 invoke acquire null; 1 ok acquire 3; 1 invoke release null; 1 ok release null; \
         2 invoke acquire null; 2 ok acquire 3",
    ),
    (
        Subject::Registers,
        r#"1 invoke txn [["w",1,5],["r",2,null]]; 1 ok txn [["w",1,5],["r",2,null]];
           2 invoke txn [["r",1,null],["w",1,5]]; 2 ok txn [["r",1,5],["w",1,5]]"#,
        r#"1 invoke txn [["w",1,5]]; 1 ok txn [["w",1,5]];
           2 invoke txn [["r",1,null]]; 2 ok txn [["r",1,null]]"#,
    ),
    (
        Subject::ListAppend,
        r#"1 invoke txn [["append","x",1]]; 1 ok txn [["append","x",1]];
           2 invoke txn [["r","x",null]]; 2 ok txn [["r","x",[1]]]"#,
        r#"1 invoke txn [["append","x",1]]; 1 ok txn [["append","x",1]];
           2 invoke txn [["r","x",null]]; 2 ok txn [["r","x",[]]];
           3 invoke txn [["r","x",null]]; 3 ok txn [["r","x",[1]]]"#,
    ),
    (
        Subject::RwRegister,
        r#"1 invoke txn [["w","x",1]]; 1 ok txn [["w","x",1]];
           2 invoke txn [["r","x",null]]; 2 ok txn [["r","x",1]]"#,
        r#"1 invoke txn [["w","x",1],["r","x",null]]; 1 ok txn [["w","x",1],["r","x",7]]"#,
    ),
];

/// Those events, with everything else that an event can say.
fn events_of(text: &str, key: Option<&Value>) -> Vec<Event> {
    let lines = (0..).zip(text.split(';'));
    lines
        .map(|(index, line)| {
            let mut words = line.trim().splitn(4, ' ');
            let mut word = || words.next().unwrap();
            let (process, kind, f, value) = (word(), word(), word(), word());
            let mut event = json!({
                "index": index, "process": process.parse::<u64>().unwrap(), "type": kind, "f": f,
                "value": serde_json::from_str::<Value>(value).unwrap(), "time": index * 10 + 7,
                "node": "n1",
            });
            if let Some(key) = key {
                event["key"] = key.clone();
            }
            match kind {
                "ok" => (event["term"], event["log_index"]) = (json!(3), json!(index)),
                "info" => event["error"] = json!({"code": "TIMEOUT", "message": "\"1s\"\n"}),
                "fail" => event["error"] = json!({"code": "", "message": "refused"}),
                _ => event["phase"] = json!("final"),
            }
            serde_json::from_value(event).unwrap()
        })
        .collect()
}

fn kind(event: &Event) -> &'static str {
    match event.kind {
        EventKind::Invoke => "invoke",
        EventKind::Ok => "ok",
        EventKind::Fail => "fail",
        EventKind::Info => "info",
    }
}

/// The key where Jepsen has it.
fn folded(mut event: Event) -> Event {
    if let Some(key) = event.key.take() {
        event.value = json!([key, event.value]);
    }
    event
}

/// The same history in a format; nothing where that format cannot say it.
fn written(events: &[Event], format: Format) -> Option<String> {
    let mut text = Vec::new();
    match format {
        Format::Edn => write_edn(events, &mut text).unwrap(),
        Format::Jsonl => {
            for event in events {
                text.extend(serde_json::to_vec(event).unwrap());
                text.push(b'\n');
            }
        }
        Format::Json => {
            let objects = events.iter().cloned().map(folded).map(|event| {
                json!({
                    "process": event.process.0, "type": kind(&event), "f": event.f,
                    "value": event.value, "time": event.time.0, "node": event.node,
                    "error": event.error.map(|error| json!([error.code, error.message])),
                })
            });
            text = serde_json::to_vec(&objects.collect::<Vec<Value>>()).unwrap();
        }
        Format::Console => {
            let words = ["read", "write", "cas"];
            if !events.iter().all(|event| words.contains(&event.f.as_str())) {
                return None;
            }
            for event in events {
                let (mut kind, mut value) = (kind(event), &event.value);
                // There it is a failure that names what was asked.
                if (event.f.as_str(), value) == ("cas", &json!(false)) {
                    let mut asked = events.iter().filter(|other| other.process == event.process);
                    (kind, value) = ("fail", &asked.next().unwrap().value);
                }
                let value = value.to_string().replace("null", "nil").replace(',', " ");
                let (process, f) = (event.process.0, &event.f);
                let line = format!("INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{value}\n");
                text.extend(line.bytes());
            }
        }
    }
    Some(String::from_utf8(text).unwrap())
}

fn read(text: &str, format: Format) -> Vec<Event> {
    let lines = events(Cursor::new(text.to_owned()), format);
    lines.map(|line| line.unwrap().1).collect()
}

fn judged(text: &str, format: Format, model: Option<Subject>) -> Report {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let options = Options {
        format: Some(format),
        model,
        ..Options::default()
    };
    check_file(file.path(), &options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a report says, but for where in the file.
fn said(report: &Report) -> (Validity, usize, Vec<(String, Option<String>)>) {
    let anomalies = report.finding.anomalies.iter();
    let anomalies = anomalies.map(|anomaly| (anomaly.kind.clone(), anomaly.key.clone()));
    (report.finding.validity, report.events, anomalies.collect())
}

/// Exports, imports, and compares.
fn round_trip(text: &str, format: Format, model: Option<Subject>) -> Report {
    let before = read(text, format);
    let mut exported = Vec::new();
    write_edn(&before, &mut exported).unwrap();
    let exported = String::from_utf8(exported).unwrap();
    let after = read(&exported, Format::Edn);
    let before: Vec<Event> = before.into_iter().map(folded).collect();
    let numbered = (0..)
        .zip(&before)
        .all(|(index, event)| event.index == index);
    assert!(numbered, "numbered in the order of the file:\n{text}");
    assert_eq!(after, before, "{format}:\n{exported}");
    let report = judged(text, format, model);
    let again = judged(&exported, Format::Edn, model);
    assert_eq!(said(&again), said(&report), "{format}:\n{exported}");
    report
}

#[test]
fn every_model_comes_back_from_every_format() {
    let mut trips = 0;
    for (model, good, bad) in HISTORIES {
        let keyed = [Subject::Register, Subject::Kv, Subject::Set].contains(&model);
        let keys = [None, Some(json!(12)), Some(json!("k 1"))];
        for key in keys.iter().filter(|key| keyed || key.is_none()) {
            for (text, validity) in [(good, Validity::Valid), (bad, Validity::Invalid)] {
                let events = events_of(text, key.as_ref());
                for (_, format) in Format::ALL {
                    if format == Format::Console && key.is_some() {
                        continue;
                    }
                    let Some(file) = written(&events, format) else {
                        continue;
                    };
                    let report = round_trip(&file, format, Some(model));
                    assert_eq!(
                        report.finding.validity, validity,
                        "{model} as {format}:\n{file}"
                    );
                    trips += 1;
                }
            }
        }
    }
    assert_eq!(
        trips,
        (11 + 3 * 2) * 2 * 3 + 2,
        "each model, key and format"
    );
}

#[test]
fn every_known_history_comes_back() {
    let files = crate::support::files::all();
    if files.is_empty() {
        println!("skipped: no folder of histories here; set ORDEAL_HISTORIES to one");
    }
    for path in files {
        if path.ends_with("bank.edn") {
            continue;
        }
        let model = path.ends_with("counter.edn").then_some(Subject::Counter);
        let text = std::fs::read_to_string(Path::new(&path)).unwrap();
        let format = Format::guess(&text).unwrap();
        round_trip(&text, format, model);
    }
}
