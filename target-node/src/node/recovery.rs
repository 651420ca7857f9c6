//! From a data directory to a core, in a thread of its own: so the node answers meanwhile that it
//! is starting.

use std::thread;

use tokio::sync::oneshot;

use super::mode::{self, Core};
use super::{Life, NodeError};
use crate::failpoint::Site;
use crate::raft::{LogId, Recovered};
use crate::storage::{Identity, Storage};

/// What a data directory holds, ready to be driven.
pub(super) struct Restored {
    pub(super) storage: Storage,
    pub(super) core: Core,
}

/// Reads the data directory back. Nobody waits for the thread of a node that is told to stop: what
/// it does to the disk may be cut short at any point, as by a crash.
pub(super) async fn recover(life: Life) -> Result<Restored, NodeError> {
    let (report, restored) = oneshot::channel();
    let thread = thread::Builder::new().name("recovery".to_owned());
    let spawned = thread.spawn(move || {
        let _ = report.send(life.restore());
    });
    spawned.map_err(|source| NodeError::Io {
        doing: "start a thread",
        source,
    })?;
    restored.await.map_err(|_| NodeError::RecoveryPanicked)?
}

impl Life {
    fn restore(&self) -> Result<Restored, NodeError> {
        let failpoints = &self.settings.failpoints;
        failpoints.pass(Site::BeforeRecover);
        // Flags that make no sense leave no data directory behind that has taken their side.
        let told = &self.settings.initial_voters;
        mode::core(&self.settings, told, Recovered::default(), self.boot)?;
        let (storage, recovered) = self.open()?;
        let founders = storage.founders();
        if founders != told {
            self.console.say(format_args!(
                "keeps to the voters of its first start, {founders:?}, and to what the log says of \
                 them; {told:?}, as told now, has no effect"
            ));
        }
        let core = mode::core(&self.settings, founders, recovered, self.boot)?;
        failpoints.pass(Site::AfterRecover);
        Ok(Restored { storage, core })
    }

    /// Opens the data directory, and tells what is in it.
    fn open(&self) -> Result<(Storage, Recovered), NodeError> {
        let Self {
            settings, console, ..
        } = self;
        let membership = &settings.membership;
        let identity = Identity {
            cluster: membership.realm(),
            node: membership.id,
            founders: settings.initial_voters.clone(),
        };
        let (storage, recovered, repair) =
            Storage::open(&settings.data_dir, &identity, &settings.failpoints)?;
        if repair.torn_bytes > 0 {
            let bytes = repair.torn_bytes;
            console.say(format_args!(
                "dropped {bytes} bytes of a write that a crash cut short"
            ));
        }
        if let Some(last) = repair.unreadable {
            console.say(format_args!(
                "cannot read the snapshot at {last}, and set it aside: begins with an older state \
                 and all entries since"
            ));
        }
        let state = recovered.hard_state;
        let (last, base) = (recovered.last(), recovered.base);
        let snapshot = recovered.snapshot.as_ref();
        let snapshot = snapshot.map_or(LogId::ZERO, |snapshot| snapshot.last);
        console.say(format_args!(
            "recovered term {}, vote {:?}, snapshot at {snapshot}, log from {base} to {last}",
            state.term, state.vote
        ));
        Ok((storage, recovered))
    }
}
