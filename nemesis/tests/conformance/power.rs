//! Power losses, as the machine's own programs see it afterwards, and as its peers do meanwhile.

use std::{io::ErrorKind, time::Duration};

use ordeal_nemesis::sandbox::Sandbox;

use crate::{
    backend::{Auto, Backend},
    probe::{Asking, SECTOR},
    rig::{N1, N2, Rig},
};

/// Long enough for what a kernel says at the end of a process.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) fn loses_exactly_the_unsynced<B: Backend>(sandbox: &Sandbox) {
    let Some(rig) = Rig::with_disks::<B>(sandbox) else {
        return;
    };
    let (mut client, mut peer) = (rig.dial(N1), rig.dial_from(N2, N1));
    let before = client.must("pid");
    peer.must("append log synced");
    peer.must("sync log");
    peer.must("append log -not");
    peer.must("append new not");
    rig.dial(N2).must("append log here");
    let _ = rig.during("power-loss n1", || {
        // The way is cut both ways, for nodes and for clients.
        let dial = || Asking::dial(N1, SILENCE).err().unwrap().kind();
        assert_eq!(dial(), ErrorKind::TimedOut);
        let dialing = rig.network.namespace(N2).spawn("dial", dial).unwrap();
        assert_eq!(dialing.join().unwrap(), ErrorKind::TimedOut);
    });
    for asking in [&mut client, &mut peer] {
        asking.patience(SILENCE);
        let heard = asking.heard().unwrap_err().kind();
        assert_eq!(heard, ErrorKind::WouldBlock, "neither an end nor a reset");
        asking.patience(Duration::from_secs(10));
        let asked = asking.ask("pid").unwrap_err().kind();
        assert_eq!(
            asked,
            ErrorKind::ConnectionReset,
            "nobody knows of it any more"
        );
    }
    let mut probe = rig.dial(N1);
    assert_ne!(probe.must("pid"), before);
    assert_eq!(probe.must("names"), "log");
    assert_eq!(probe.text("log"), "synced");
    assert_eq!(rig.dial(N2).text("log"), "here", "its power was on");
}

/// What each of 16 sectors holds after a power loss that met two writes of eight over them.
fn survivors(rig: &Rig, keep: &str) -> String {
    let mut probe = rig.dial(N1);
    probe.must("over log 16 .");
    probe.must("sync log");
    for write in ["over log 16 a", "over log 8 b"] {
        probe.must(write);
    }
    let _ = rig.during(&format!("power-loss n1: {keep}"), || {});
    let bytes = rig.dial(N1).bytes("log");
    assert_eq!(bytes.len(), 16 * SECTOR);
    let letter = |sector: &[u8]| {
        let is_whole = sector.iter().all(|byte| *byte == sector[0]);
        assert!(is_whole, "in whole sectors of {SECTOR} bytes");
        char::from(sector[0])
    };
    bytes.chunks(SECTOR).map(letter).collect()
}

pub(crate) fn keeps_some(sandbox: &Sandbox) {
    let Some(rig) = Rig::with_disks::<Auto>(sandbox) else {
        return;
    };
    let [a, b, old] = ["aaaaaaaa", "bbbbbbbb", "........"];
    let any = [(old, old), (a, a), (b, old), (b, a)].map(|(one, other)| format!("{one}{other}"));
    let first = survivors(&rig, "some");
    assert!(any.contains(&first), "each write or none of it: {first}");
    assert_eq!(survivors(&rig, "some"), first);
}

pub(crate) fn keeps_sectors(sandbox: &Sandbox) {
    let Some(rig) = Rig::with_disks::<Auto>(sandbox) else {
        return;
    };
    let first = survivors(&rig, "torn");
    let is_torn = first[..8] != first[..1].repeat(8) || first[8..] != first[8..9].repeat(8);
    assert!(is_torn, "with this seed, a write in part: {first}");
    assert_eq!(survivors(&rig, "torn"), first);
}
