//! No bytes make a parser panic, and an error names its line.

#![allow(clippy::unwrap_used)]

use std::io::{BufReader, Cursor};

use ordeal_checker::format::{Format, events, write_edn};
use ordeal_checker::history::Event;
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
    let text = b"; {:process 9}\n#jepsen.op{:process 1 :type :ok, ; so\n :f :read :value 1 \
        :value -2.5e1}\n#_{:process 2} {:process +3N, :type :info, :time 7, \"f\" \"read\"}";
    let events = read(text.to_vec(), Format::Edn).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].value, serde_json::json!(-25.0));
    assert_eq!((events[1].process.0, events[1].time.0), (3, 7));
    assert_eq!(events[1].f, "read");
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

#[test]
fn what_is_written_as_edn_is_read_back() {
    let events = read(SAMPLES[0].as_bytes().to_vec(), Format::Jsonl).unwrap();
    let mut text = Vec::new();
    write_edn(&events, &mut text).unwrap();
    let back = read(text, Format::Edn).unwrap();
    assert_eq!(back[0].value, serde_json::json!([1, 3]));
    assert_eq!(
        (back[0].kind, back[0].time, &back[0].f),
        (events[0].kind, events[0].time, &events[0].f)
    );
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, format) in Format::ALL {
            let _ = read(bytes.clone(), format);
        }
    }

    #[test]
    fn mutated_files_never_panic(
        sample in 0..SAMPLES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = SAMPLES[sample].as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for (_, format) in Format::ALL {
            let _ = read(bytes.clone(), format);
        }
    }
}
