//! The probe: a small program in a node's place that does what it is asked and says what it saw.
//!
//! It knows nothing of faults. It is asked over TCP, one line a question, each answered by one line
//! that starts with `ok` or with the kernel's error number:
//!
//! | question | what it does | answer |
//! |---|---|---|
//! | `pid` | | its process id |
//! | `append FILE TEXT` | opens, writes at the end, closes | |
//! | `over FILE SECTORS LETTER` | opens, writes so many sectors of it over the start, closes | |
//! | `sync FILE` | opens, fsyncs, closes | |
//! | `read FILE` | | the bytes, in hexadecimal |
//! | `make DIRECTORY` | | |
//! | `names` | | what there is, sorted |
//! | `wall` | | its monotonic clock, its time since 1970, and the first again, in ns |
//! | `gap` | | the longest time in ms in which its clock thread did not get to run |
//!
//! To measure something else, add a question.

#![allow(
    clippy::disallowed_types,
    reason = "one question is for the wall clock"
)]

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ordeal_nemesis::{Node, network::address};

use crate::support::line::PORT;

pub(crate) const SECTOR: usize = 512;

/// The program: `probe NODE DIRECTORY`.
pub(crate) fn probe(args: &[String]) {
    let node: Node = args[0].parse().unwrap();
    let probe = Probe {
        folder: args[1].clone().into(),
        began: Instant::now(),
        gap_ms: Arc::default(),
    };
    let gap_ms = Arc::clone(&probe.gap_ms);
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            std::thread::sleep(Duration::from_millis(1));
            let took = u64::try_from(began.elapsed().as_millis()).unwrap();
            gap_ms.fetch_max(took, Relaxed);
        }
    });
    let listener = TcpListener::bind((address(node), PORT)).unwrap();
    for stream in listener.incoming() {
        let (stream, probe) = (stream.unwrap(), probe.clone());
        std::thread::spawn(move || probe.serve(&stream));
    }
}

#[derive(Clone)]
struct Probe {
    folder: PathBuf,
    began: Instant,
    gap_ms: Arc<AtomicU64>,
}

impl Probe {
    fn serve(&self, stream: &TcpStream) {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let answer = match self.answer(&line) {
                Ok(text) => format!("ok {text}\n"),
                Err(error) => format!("{}\n", error.raw_os_error().unwrap()),
            };
            // Whoever asked may be gone.
            let mut stream = stream;
            let _ = stream.write_all(answer.as_bytes());
        }
    }

    fn answer(&self, question: &str) -> io::Result<String> {
        let words: Vec<&str> = question.split(' ').collect();
        let at = |name: &str| self.folder.join(name);
        let nothing = |()| String::new();
        match words.as_slice() {
            ["pid"] => Ok(std::process::id().to_string()),
            ["append", name, text] => {
                let mut file = File::options().create(true).append(true).open(at(name))?;
                file.write_all(text.as_bytes()).map(nothing)
            }
            ["over", name, sectors, letter] => {
                let mut options = File::options();
                let file = options
                    .create(true)
                    .write(true)
                    .truncate(false)
                    .open(at(name))?;
                let bytes = letter.repeat(sectors.parse::<usize>().unwrap() * SECTOR);
                file.write_all_at(bytes.as_bytes(), 0).map(nothing)
            }
            ["sync", name] => File::open(at(name))?.sync_all().map(nothing),
            ["read", name] => Ok(hex(&fs::read(at(name))?)),
            ["make", name] => fs::create_dir(at(name)).map(nothing),
            ["names"] => names(&self.folder),
            ["wall"] => {
                let before = self.began.elapsed();
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let after = self.began.elapsed();
                let times = [before, wall, after].map(|time| time.as_nanos().to_string());
                Ok(times.join(" "))
            }
            ["gap"] => Ok(self.gap_ms.swap(0, Relaxed).to_string()),
            _ => panic!("no such question: {question}"),
        }
    }
}

fn names(folder: &Path) -> io::Result<String> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let names = entries.iter().map(fs::DirEntry::file_name);
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    Ok(names.join(" "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// A connection to a probe.
pub(crate) struct Asking(BufReader<TcpStream>);

impl Asking {
    /// From the calling thread's namespace; gives up after `patience`, as each question does.
    pub(crate) fn dial(node: Node, patience: Duration) -> io::Result<Self> {
        let to = SocketAddr::from((address(node), PORT));
        let stream = TcpStream::connect_timeout(&to, patience)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// How long it waits for an answer from now on.
    pub(crate) fn patience(&self, patience: Duration) {
        self.0.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    /// The answer. An error that the probe saw itself is the inner one, by its number.
    pub(crate) fn ask(&mut self, question: &str) -> io::Result<Result<String, i32>> {
        self.0
            .get_mut()
            .write_all(format!("{question}\n").as_bytes())?;
        self.heard()
    }

    /// What comes next, unasked.
    pub(crate) fn heard(&mut self) -> io::Result<Result<String, i32>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end_matches('\n');
        Ok(match line.strip_prefix("ok ") {
            Some(text) => Ok(text.to_owned()),
            None => Err(line.parse().unwrap()),
        })
    }

    /// The answer, where nothing is to go wrong.
    pub(crate) fn must(&mut self, question: &str) -> String {
        match self.ask(question) {
            Ok(Ok(text)) => text,
            other => panic!("{question}: {other:?}"),
        }
    }

    /// The error that the probe saw.
    pub(crate) fn errno(&mut self, question: &str) -> i32 {
        self.ask(question).unwrap().expect_err(question)
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&mut self, name: &str) -> Vec<u8> {
        unhex(&self.must(&format!("read {name}")))
    }

    /// The same as text.
    pub(crate) fn text(&mut self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }
}
