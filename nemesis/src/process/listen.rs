//! Whether anybody listens in a process's network namespace: who does not cannot serve.

use std::{fs, io};

use rustix::process::Pid;

use super::{ProcessError, slot::Slot};

impl Slot {
    pub(super) fn listens(&self) -> Result<bool, ProcessError> {
        let mut life = self.lock();
        let pid = self.alive("look at", &mut life)?.pid;
        let listens = ["tcp", "tcp6"]
            .into_iter()
            .map(|family| listens(pid, family));
        let listens: io::Result<Vec<bool>> = listens.collect();
        let listens = listens.map_err(|source| self.call("read /proc", source))?;
        Ok(listens.contains(&true))
    }
}

fn listens(pid: Pid, family: &str) -> io::Result<bool> {
    match fs::read_to_string(format!("/proc/{pid}/net/{family}")) {
        Ok(table) => Ok(table.lines().skip(1).any(is_listening)),
        // A kernel without IPv6 has no table of it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && family == "tcp6" => Ok(false),
        Err(error) => Err(error),
    }
}

/// `sl local_address rem_address st …`, where state `0A` is LISTEN.
fn is_listening(line: &str) -> bool {
    line.split_whitespace().nth(3) == Some("0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_told_by_its_state() {
        let line = "   0: 01004D0A:1B58 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert!(is_listening(line));
        let line = "   1: 01004D0A:1B58 FE004D0A:9C40 01 00000000:00000000 00:00000000 00000000";
        assert!(!is_listening(line));
        assert!(!is_listening(""));
    }
}
