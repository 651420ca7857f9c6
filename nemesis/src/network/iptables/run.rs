//! Runs one program: its input, its answer, and not for ever.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::network::NetworkError;

/// No call of these programs takes longer, unless something is badly wrong.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `command` with `input`. Returns what it has told when that is all there is to come, by
/// `is_told`, and otherwise when it has ended.
///
/// A program that has told all of it and not ended yet is seen to its end by a thread of its own.
pub(super) fn run(
    mut command: Command,
    input: &str,
    is_told: impl Fn(&str) -> bool,
) -> Result<String, NetworkError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let name = Path::new(command.get_program()).display().to_string();
    let failed = |said: String| NetworkError::Tool {
        program: name.clone(),
        said,
    };
    let child = command.spawn().map_err(|source| NetworkError::NotStarted {
        program: name.clone(),
        source,
    })?;
    let mut running = Running::new(child, input);
    let is_told = |answer: &[u8]| is_told(&String::from_utf8_lossy(answer));
    match running.listen(is_told) {
        Ok(Heard::All) => {
            let answer = running.answer();
            running.end_later();
            return Ok(answer);
        }
        Ok(Heard::Ends) => {}
        Err(error) => {
            running.stop();
            return Err(failed(error.to_string()));
        }
    }
    let status = running.end();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(running.answer());
    }
    let complaint = String::from_utf8_lossy(&running.complaint);
    let complaint = complaint.trim().replace('\n', "; ");
    Err(failed(format!("{status}: {complaint}")))
}

/// How a program's answer ended.
enum Heard {
    /// All is told that was asked.
    All,
    /// It says nothing more.
    Ends,
}

struct Running {
    child: Child,
    until: Instant,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    told: Vec<u8>,
    complaint: Vec<u8>,
}

impl Running {
    fn new(mut child: Child, input: &str) -> Self {
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that refuses its first line does not read the rest; it says why by itself.
        let _ = stdin.write_all(input.as_bytes());
        Self {
            until: Instant::now() + DEADLINE,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            told: Vec::new(),
            complaint: Vec::new(),
            child,
        }
    }

    fn answer(&self) -> String {
        String::from_utf8_lossy(&self.told).into_owned()
    }

    /// Takes in what it says.
    fn listen(&mut self, is_told: impl Fn(&[u8]) -> bool) -> io::Result<Heard> {
        while self.stdout.is_some() || self.stderr.is_some() {
            let both = [
                self.stdout.as_ref().map(|stdout| stdout.as_fd()),
                self.stderr.as_ref().map(|stderr| stderr.as_fd()),
            ];
            let watched = both.iter().flatten();
            let mut watched: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            wait(&mut watched, self.until)?;
            let mut ready = watched.iter().map(|fd| !fd.revents().is_empty());
            let mut is_ready = |open: bool| open && ready.next().unwrap_or(false);
            let speaks = is_ready(self.stdout.is_some());
            let complains = is_ready(self.stderr.is_some());
            if speaks {
                take_in(&mut self.stdout, &mut self.told)?;
                if is_told(&self.told) {
                    return Ok(Heard::All);
                }
            }
            if complains {
                take_in(&mut self.stderr, &mut self.complaint)?;
            }
        }
        Ok(Heard::Ends)
    }

    /// Waits for its end.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process id is positive");
        let ended = pidfd_open(pid, PidfdFlags::empty())
            .map_err(io::Error::from)
            .and_then(|pidfd| wait(&mut [PollFd::new(&pidfd, PollFlags::IN)], self.until));
        if ended.is_err() {
            self.stop();
        }
        ended.and_then(|()| self.child.wait())
    }

    /// Sees it to its end while others go on.
    fn end_later(mut self) {
        // What it was to do is done, and was looked at: how it ends does not matter any more.
        let seen_to = thread::Builder::new()
            .name("see a tool to its end".to_owned())
            .spawn(move || drop(self.end()));
        // Without a thread it remains until this process ends, as a zombie of some bytes.
        drop(seen_to);
    }

    fn stop(&mut self) {
        // It may have ended by now; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what there is from a pipe, and closes it at its end.
fn take_in<R: io::Read>(pipe: &mut Option<R>, into: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = pipe else {
        return Ok(());
    };
    let mut bytes = [0; 4096];
    let count = open.read(&mut bytes)?;
    into.extend_from_slice(&bytes[..count]);
    if count == 0 {
        *pipe = None;
    }
    Ok(())
}

/// Waits until one of these is ready; fails when it takes too long.
fn wait(watched: &mut [PollFd<'_>], until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(watched, Some(&left)) {
            Ok(0) => {
                let late = format!("did not end within {DEADLINE:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, late));
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
