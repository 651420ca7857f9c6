//! No bytes make a parser panic, and an error names its line.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p ordeal-checker --test all fuzz` is a campaign.

use std::io::{BufReader, Cursor, Write};
use std::sync::OnceLock;

use ordeal_checker::budget::Budget;
use ordeal_checker::format::{Format, events};
use ordeal_checker::history::Event;
use ordeal_checker::judge::{Options, Subject, check_file};
use proptest::prelude::*;

const SAMPLES: [&str; 4] = [
    "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"key\":1,\
     \"value\":3,\"time\":12}\n\
     {\"index\":1,\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"key\":1,\
     \"value\":null,\"time\":19}\n",
    "[{:process 1, :type :invoke, :f :cas, :value [1 2]} ; so\n {:process :nemesis :type :info}\n \
     {:process 1, :type :ok, :f :cas, :value #jepsen/tuple [1 #{2}], :error \"a\\\"b\"}]",
    "[{\"process\":1,\"type\":\"invoke\",\"value\":[[\"append\",1,2]]},\n \
     {\"process\":1,\"type\":\"ok\"}]",
    "INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1   :fail   :cas    [1 2]\n",
];

fn read(bytes: Vec<u8>, format: Format) -> Result<Vec<Event>, usize> {
    let lines = events(Cursor::new(bytes), format);
    lines
        .map(|line| line.map(|(_, event)| event).map_err(|error| error.line))
        .collect()
}

#[test]
fn the_samples_are_read() {
    for (sample, (_, format)) in SAMPLES.iter().zip(Format::ALL) {
        assert_eq!(Format::guess(sample), Some(format));
        let events = read(sample.as_bytes().to_vec(), format).unwrap();
        assert_eq!(events.len(), 2, "{format}");
    }
}

#[test]
fn where_a_buffer_ends_makes_no_difference() {
    for (sample, (_, format)) in SAMPLES.iter().zip(Format::ALL) {
        let whole = read(sample.as_bytes().to_vec(), format);
        for capacity in 1..40 {
            let input = BufReader::with_capacity(capacity, Cursor::new(sample.as_bytes()));
            let lines: Result<Vec<Event>, usize> = events(input, format)
                .map(|line| line.map(|(_, event)| event).map_err(|error| error.line))
                .collect();
            assert_eq!(lines, whole, "{format}, {capacity} bytes at a time");
        }
    }
}

#[test]
fn comments_tags_and_equal_keys_are_read_as_edn_has_them() {
    let text = b"; {:process 9}\n[#jepsen.op{:process 1 :type :ok, ; so\n :f :read :value 1 \
        :time 5 :value -2.5e1}\n#_{:process 2} {:process +3N, :type :info, :time 7, \"f\" \"read\" \
        :error \\(} #_ ignored] #_ [:too] #_{}";
    let events = read(text.to_vec(), Format::Edn).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].value, serde_json::json!(-25.0));
    assert_eq!((events[1].process.0, events[1].time.0), (3, 7));
    assert_eq!(events[1].f, "read");
    assert_eq!(events[1].error.as_ref().unwrap().message, "(");
    let after = b"[{:process 1 :type :ok}] #_{} [{:process 1, :type :info";
    assert_eq!(
        read(after.to_vec(), Format::Edn),
        Err(1),
        "it goes on after what is ignored"
    );
    assert_eq!(read(b"[{:process 1 :type}]".to_vec(), Format::Edn), Err(1));
    assert_eq!(read(b"\n[:process]".to_vec(), Format::Edn), Err(2));
}

#[test]
fn an_error_names_its_line() {
    assert_eq!(
        read(
            b"{:process 1, :type :invoke}\n{:process 1\n :type}".to_vec(),
            Format::Edn
        ),
        Err(3)
    );
    assert_eq!(read(b"\n{\"process\":-1}".to_vec(), Format::Jsonl), Err(2));
}

/// The beginnings of the histories with known verdicts, where they are at hand.
fn real_files() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| {
        let samples = SAMPLES.iter().map(|sample| sample.as_bytes().to_vec());
        let known = crate::support::files::all().into_iter().map(|path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(4_000);
            bytes
        });
        samples.chain(known).collect()
    })
}

/// What goes wrong with a file: a byte changes, a piece is missing, stands twice, or at its end.
#[derive(Clone, Debug)]
enum Edit {
    Byte(prop::sample::Index, u8),
    Drop(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (at(), 1..200_usize).prop_map(|(at, length)| Edit::Drop(at, length)),
        (at(), 1..200_usize).prop_map(|(at, length)| Edit::Double(at, length)),
        (at(), prop::sample::select(WORDS)).prop_map(|(at, word)| Edit::Insert(at, word)),
        at().prop_map(Edit::Cut),
    ]
}

/// What parsers stumble over.
const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "(",
    "#{",
    "#_",
    "#x ",
    "\"",
    "\\",
    "\\u00",
    "nil",
    "-1",
    "1e999",
    ":",
    "99999999999999999999",
    "[[[[[[[[",
    "\n",
    "\u{feff}",
    ":info",
    ":ok ",
    "\"value\":",
    "null",
];

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let length = bytes.len();
        let place = |at: &prop::sample::Index| if length == 0 { 0 } else { at.index(length) };
        match edit {
            Edit::Byte(at, byte) if length > 0 => bytes[place(at)] = *byte,
            Edit::Byte(..) => {}
            Edit::Drop(at, count) => {
                let from = place(at);
                bytes.drain(from..(from + count).min(length));
            }
            Edit::Double(at, count) => {
                let from = place(at);
                let piece = bytes[from..(from + count).min(length)].to_vec();
                bytes.splice(from..from, piece);
            }
            Edit::Insert(at, word) => {
                let from = place(at);
                bytes.splice(from..from, word.bytes());
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, format) in Format::ALL {
            let _ = read(bytes.clone(), format);
        }
    }

    #[test]
    fn mutated_files_never_panic_and_errors_name_a_line_of_them(
        file in any::<prop::sample::Index>(),
        edits in proptest::collection::vec(edit(), 1..8),
    ) {
        let bytes = edited(file.get(real_files()).clone(), &edits);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        for (_, format) in Format::ALL {
            if let Err(line) = read(bytes.clone(), format) {
                prop_assert!((1..=lines).contains(&line), "{format}: line {line} of {lines}");
            }
        }
    }

    /// Whatever is left of a history: a verdict or an error.
    #[test]
    fn mutated_files_are_judged_or_refused(
        file in any::<prop::sample::Index>(),
        edits in proptest::collection::vec(edit(), 1..4),
        model in prop::option::of(prop::sample::select(&Subject::ALL[..])),
    ) {
        let mut file = {
            let bytes = edited(file.get(real_files()).clone(), &edits);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            file
        };
        file.flush().unwrap();
        let options = Options {
            model: model.map(|(_, model)| model),
            budget: Budget::states(10_000),
            ..Options::default()
        };
        if let Err(error) = check_file(file.path(), &options) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
