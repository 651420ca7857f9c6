//! Places in the code where a node can be made to crash, to stand still, or to get an error.
//!
//! Each place asks the table when it is reached. As long as nothing is to be done anywhere, that
//! is one load of a flag.

#![allow(
    clippy::disallowed_methods,
    reason = "to stand still is what is asked for"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thiserror::Error;

use crate::protocol::{self, FailpointAction, FailpointRequest, FailpointState, SystemError};

/// Declares the closed list: one line a place, with where it is and whether it stands for a system
/// call, which can fail.
macro_rules! sites {
    ($($variant:ident $name:literal $fails:literal $summary:literal)*) => {
        /// A place in the code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Site {
            $(#[doc = $summary] $variant,)*
        }

        impl Site {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// True where an error can be told, as of a system call.
            const fn can_fail(self) -> bool {
                match self { $(Self::$variant => $fails,)* }
            }
        }
    };
}

sites! {
    BeforeRecover "before_recover" false "the start, before the data directory is read"
    AfterRecover "after_recover" false
        "the start, after the data directory was read, before clients are served"
    BeforePersist "before_persist" false "the driver, before it hands a batch to the log's thread"
    BeforeSend "before_send" false
        "the driver, before messages leave that may run ahead of the disk"
    BeforePromise "before_promise" false "the driver, before votes and acknowledgements leave"
    AfterPromise "after_promise" false "the driver, after votes and acknowledgements left"
    BeforeApply "before_apply" false "the driver, before each entry is applied"
    AfterApply "after_apply" false "the driver, after each entry was applied, before its answer"
    AfterReply "after_reply" false "the driver, after a client was answered"
    BeforeInstall "before_install" false "the driver, before the state becomes that of a snapshot"
    AfterInstall "after_install" false "the driver, after the state became that of a snapshot"
    BeforeSnapshot "before_snapshot" false "the driver, before a snapshot is taken"
    AfterSnapshot "after_snapshot" false
        "the driver, after a snapshot was taken, before it is written"
    BeforeWrite "before_write" true "the log, before records are written"
    BeforeSync "before_sync" true "the log, after records were written, before they are synced"
    AfterSync "after_sync" true "the log, after records were synced, before anybody is told"
    BeforeSnapshotWrite "before_snapshot_write" true "the storage, before a snapshot is written"
    BeforeSnapshotRename "before_snapshot_rename" true
        "the storage, after a snapshot was written and synced under a temporary name"
    AfterSnapshotRename "after_snapshot_rename" true "the storage, after a snapshot got its name"
    BeforePurge "before_purge" true "the storage, before a file of the log is removed"
    AfterPurge "after_purge" true "the storage, after a file of the log was removed"
}

impl Site {
    fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|site| site.name()).collect()
    }
}

/// Why nothing is to be done somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FailpointError {
    #[error("there is no place {0:?}; there are: {places}", places = Site::names().join(", "))]
    NoSite(String),
    #[error("at {0} there is no system call that could fail: crash or sleep")]
    CannotFail(&'static str),
}

/// The table; whoever has a clone has the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failpoints {
    table: Arc<Table>,
}

#[derive(Debug, Default)]
struct Table {
    is_armed: AtomicBool,
    points: Mutex<BTreeMap<Site, FailpointState>>,
}

impl Failpoints {
    /// The node comes by a place that stands for a system call.
    pub(crate) fn hit(&self, site: Site) -> io::Result<()> {
        match self.table.is_armed.load(Ordering::Relaxed) {
            true => self.act(site),
            false => Ok(()),
        }
    }

    /// The node comes by a place where nothing can fail.
    pub(crate) fn pass(&self, site: Site) {
        debug_assert!(!site.can_fail(), "{site:?} has an error to tell");
        let done = self.hit(site);
        done.expect("no error is taken in for a place that cannot fail");
    }

    fn act(&self, site: Site) -> io::Result<()> {
        let action = {
            let mut points = self.points();
            let Some(point) = points.get_mut(&site) else {
                return Ok(());
            };
            point.hits += 1;
            let is_over = point
                .request
                .limit
                .is_some_and(|limit| point.fired >= limit);
            if point.hits <= point.request.skip || is_over {
                return Ok(());
            }
            point.fired += 1;
            point.request.action
        };
        match action {
            FailpointAction::Crash => {
                let sent = kill(Pid::this(), Signal::SIGKILL);
                unreachable!("the process outlives its SIGKILL: {sent:?}")
            }
            FailpointAction::Sleep { ms } => {
                thread::sleep(Duration::from_millis(ms));
                Ok(())
            }
            FailpointAction::Error(error) => Err(io::Error::from(match error {
                SystemError::Io => Errno::EIO,
                SystemError::NoSpace => Errno::ENOSPC,
            })),
        }
    }

    /// What is to be done from the start on.
    pub(crate) fn of(requests: &[FailpointRequest]) -> Result<Self, FailpointError> {
        let failpoints = Self::default();
        requests
            .iter()
            .try_for_each(|request| failpoints.set(request.clone()))?;
        Ok(failpoints)
    }

    /// From now on this is to be done; it replaces what was to be done there.
    pub(crate) fn set(&self, request: FailpointRequest) -> Result<(), FailpointError> {
        let site = find(&request.site)?;
        if matches!(request.action, FailpointAction::Error(_)) && !site.can_fail() {
            return Err(FailpointError::CannotFail(site.name()));
        }
        let point = FailpointState {
            request,
            hits: 0,
            fired: 0,
        };
        self.points().insert(site, point);
        self.table.is_armed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Nothing is to be done there any more; without a name: anywhere.
    pub(crate) fn clear(&self, site: Option<&str>) -> Result<(), FailpointError> {
        let site = site.map(find).transpose()?;
        let mut points = self.points();
        points.retain(|&point, _| site.is_some_and(|site| point != site));
        self.table
            .is_armed
            .store(!points.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn list(&self) -> protocol::Failpoints {
        protocol::Failpoints {
            set: self.points().values().cloned().collect(),
            sites: Site::names().into_iter().map(str::to_owned).collect(),
        }
    }

    fn points(&self) -> MutexGuard<'_, BTreeMap<Site, FailpointState>> {
        self.table
            .points
            .lock()
            .expect("no holder of this lock panics")
    }
}

fn find(name: &str) -> Result<Site, FailpointError> {
    let found = Site::ALL.iter().copied().find(|site| site.name() == name);
    found.ok_or_else(|| FailpointError::NoSite(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(site: &str, action: FailpointAction) -> FailpointRequest {
        FailpointRequest {
            site: site.to_owned(),
            action,
            skip: 0,
            limit: None,
        }
    }

    #[test]
    fn a_point_acts_after_so_many_hits_and_so_often_as_told() {
        let failpoints = Failpoints::default();
        let error = FailpointAction::Error(SystemError::Io);
        let wanted = FailpointRequest {
            skip: 1,
            limit: Some(2),
            ..request("before_sync", error)
        };
        failpoints.set(wanted).unwrap();
        let results: Vec<bool> = (0..5)
            .map(|_| failpoints.hit(Site::BeforeSync).is_ok())
            .collect();
        assert_eq!(results, [true, false, false, true, true]);
        assert!(failpoints.hit(Site::BeforeWrite).is_ok());
        let listed = failpoints.list();
        assert_eq!((listed.set[0].hits, listed.set[0].fired), (5, 2));
        failpoints.clear(Some("before_sync")).unwrap();
        assert!(failpoints.list().set.is_empty());
    }

    #[test]
    fn an_unknown_place_and_an_error_where_none_can_be_told_are_refused() {
        let failpoints = Failpoints::default();
        let unknown = failpoints.set(request("before_lunch", FailpointAction::Crash));
        assert_eq!(
            unknown,
            Err(FailpointError::NoSite("before_lunch".to_owned()))
        );
        let error = FailpointAction::Error(SystemError::NoSpace);
        let refused = failpoints.set(request("before_apply", error));
        assert_eq!(refused, Err(FailpointError::CannotFail("before_apply")));
        assert!(failpoints.clear(Some("before_lunch")).is_err());
    }
}
