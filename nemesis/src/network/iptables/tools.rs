//! The programs that this backend needs, and how they are run: in a node's namespace, with a batch
//! on stdin, and not for ever.

use std::{
    env, fmt,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::network::{Namespace, NetworkError};

/// Which kernel interface `iptables` talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// Whichever the machine's `iptables` is.
    #[default]
    Installed,
    /// nf_tables.
    Nft,
    /// The older one.
    Legacy,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Variant; 3] = [Self::Installed, Self::Nft, Self::Legacy];

    fn program(self, verb: &str) -> String {
        match self {
            Self::Installed => format!("iptables-{verb}"),
            Self::Nft => format!("iptables-nft-{verb}"),
            Self::Legacy => format!("iptables-legacy-{verb}"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "iptables",
            Self::Nft => "iptables-nft",
            Self::Legacy => "iptables-legacy",
        })
    }
}

/// No call of these programs takes longer, unless something is badly wrong.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Tools {
    restore: PathBuf,
    save: PathBuf,
    tc: PathBuf,
}

impl Tools {
    pub(super) fn find(variant: Variant) -> Result<Self, NetworkError> {
        let iptables = |verb| find(&variant.program(verb), "iptables");
        Ok(Self {
            restore: iptables("restore")?,
            save: iptables("save")?,
            tc: find("tc", "iproute2")?,
        })
    }

    /// Runs a batch of rules as one transaction, beside the rules that there are. Returns what the
    /// batch has asked for.
    pub(super) fn restore(&self, inside: &Namespace, rules: &str) -> Result<String, NetworkError> {
        let mut command = Command::new(&self.restore);
        command.args(["--noflush", "--wait", "5"]);
        run(command, inside, rules)
    }

    /// An answer of `iptables-restore` that cannot be read.
    pub(super) fn unreadable(&self, answer: &str) -> NetworkError {
        NetworkError::Tool {
            program: self.restore.display().to_string(),
            said: format!(
                "it does not tell which rules there are: `{}`",
                answer.trim().replace('\n', "; ")
            ),
        }
    }

    /// The rules that there are, with their counters.
    pub(super) fn save(&self, inside: &Namespace) -> Result<String, NetworkError> {
        let mut command = Command::new(&self.save);
        command.args(["-c", "-t", "filter"]);
        run(command, inside, "")
    }

    /// Runs a batch of `tc` commands, up to the first that fails. Returns what it has asked for.
    pub(super) fn tc(&self, inside: &Namespace, commands: &str) -> Result<String, NetworkError> {
        if commands.is_empty() {
            return Ok(String::new());
        }
        let mut command = Command::new(&self.tc);
        command.args(["-batch", "-"]);
        run(command, inside, commands)
    }

    /// Runs all of a batch, whichever of its commands fail, and then what asks how things are.
    /// Returns the answer to that.
    pub(super) fn tc_all(
        &self,
        inside: &Namespace,
        commands: &str,
        look: &str,
    ) -> Result<String, NetworkError> {
        let mut command = Command::new(&self.tc);
        command.args(["-force", "-batch", "-"]);
        // Which of them failed is not asked: the look says what came of them.
        let _ = run(command, inside, commands);
        self.tc(inside, look)
    }
}

/// A plain user's PATH often lacks the folders that administrators' programs are in.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

fn find(program: &str, package: &'static str) -> Result<PathBuf, NetworkError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = MORE_FOLDERS.iter().map(PathBuf::from);
    let mut candidates = env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(program));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| NetworkError::Missing {
            program: program.to_owned(),
            package,
        })
}

fn run(mut command: Command, inside: &Namespace, input: &str) -> Result<String, NetworkError> {
    // The lock guards one namespace's rules: as a file of its own in each it needs no right to
    // write to /run, and namespaces do not wait for each other.
    command.env("XTABLES_LOCKFILE", "/proc/self/ns/net");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    inside.contain(&mut command);
    let name = Path::new(command.get_program()).display().to_string();
    let failed = |said: String| NetworkError::Tool {
        program: name.clone(),
        said,
    };
    let mut child = command.spawn().map_err(|source| NetworkError::NotStarted {
        program: name.clone(),
        source,
    })?;
    let answered = converse(&mut child, input);
    if !matches!(answered, Ok(Some(_))) {
        // It may have ended by now; then there is nothing to kill.
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| failed(format!("cannot be waited for: {error}")))?;
    match answered {
        Err(error) => Err(failed(error.to_string())),
        Ok(None) => Err(failed(format!("did not end within {DEADLINE:?}"))),
        Ok(Some((answer, _))) if status.success() => Ok(answer),
        Ok(Some((_, complaint))) => Err(failed(format!(
            "{status}: {}",
            complaint.trim().replace('\n', "; ")
        ))),
    }
}

/// Gives a program its input and reads what it says; `None` when it does not end in time.
fn converse(child: &mut Child, input: &str) -> io::Result<Option<(String, String)>> {
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that refuses its first line does not read the rest; it says why by itself.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let reading = std::thread::Builder::new()
        .name("read a tool's answer".to_owned())
        .spawn(move || read_all(File::from(std::os::fd::OwnedFd::from(stdout))))?;
    let complaining = std::thread::Builder::new()
        .name("read a tool's complaint".to_owned())
        .spawn(move || read_all(File::from(std::os::fd::OwnedFd::from(stderr))))?;
    if !ends_in_time(child)? {
        return Ok(None);
    }
    let joined = [reading, complaining].map(|thread| thread.join().unwrap_or_default());
    let [answer, complaint] = joined;
    Ok(Some((answer, complaint)))
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read up to an error is what there is.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ends_in_time(child: &Child) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pidfd_open(pid.expect("a process id is positive"), PidfdFlags::empty())?;
    let until = std::time::Instant::now() + DEADLINE;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
