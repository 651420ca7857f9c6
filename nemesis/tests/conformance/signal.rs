//! Kills and pauses, as those see it who talk to them, and as `/proc` tells it.

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use ordeal_nemesis::sandbox::Sandbox;

use crate::{
    Measured, measured_here,
    probe::Asking,
    rig::{N1, N2, Rig},
};

pub(crate) fn rows() -> Vec<Measured> {
    measured_here! {
        "`kill n1`": "its connections end, new ones are refused; afterwards another process serves",
            "signals": signal::kill;
        "`pause n1`": "every thread in state T, no answer; afterwards the same process answers, \
                       its clock stood still for as long",
            "signals": signal::pause;
    }
}

pub(crate) fn kill(sandbox: &Sandbox) {
    let rig = Rig::plain(sandbox);
    let (mut client, mut peer) = (rig.dial(N1), rig.dial_from(N2, N1));
    let before = client.must("pid");
    assert_eq!(peer.must("pid"), before);
    let _ = rig.during("kill n1", || {
        for asking in [&mut client, &mut peer] {
            let ended = asking.heard().unwrap_err().kind();
            assert_eq!(ended, ErrorKind::UnexpectedEof);
        }
        assert!(!Path::new("/proc").join(&before).exists());
        let refused = Asking::dial(N1, Duration::from_secs(10)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        rig.dial(N2).must("pid");
    });
    assert_ne!(rig.dial(N1).must("pid"), before);
}

/// The state letters of a process's threads.
fn letters(pid: &str) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let letter = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    tasks.map(|task| letter(task.unwrap())).collect()
}

pub(crate) fn pause(sandbox: &Sandbox) {
    const SILENCE: Duration = Duration::from_millis(300);
    let rig = Rig::plain(sandbox);
    let mut client = rig.dial(N1);
    let before = client.must("pid");
    client.must("gap");
    let _ = rig.during("pause n1", || {
        let letters = letters(&before);
        assert!(letters.len() > 1 && letters.iter().all(|letter| *letter == 'T'));
        // Its kernel accepts, and it does not answer.
        let mut new = Asking::dial(N1, SILENCE).unwrap();
        assert_eq!(new.ask("pid").unwrap_err().kind(), ErrorKind::WouldBlock);
        rig.dial(N2).must("pid");
    });
    assert_eq!(client.must("pid"), before);
    let gap_ms: u128 = client.must("gap").parse().unwrap();
    assert!(gap_ms >= SILENCE.as_millis(), "{gap_ms} ms");
    assert!(!letters(&before).contains(&'T'));
}
