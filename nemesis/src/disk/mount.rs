//! A file system of ours at a path, from mount to unmount. No helper program is run.

use std::{
    fs::OpenOptions,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use fuser::{BackgroundSession, Config, INodeNo, Session, SessionACL};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{getegid, geteuid},
};

use super::{DiskError, advice, served::Served};

/// A mounted file system; dropping it unmounts.
pub(super) struct Mount {
    path: PathBuf,
    session: BackgroundSession,
}

impl Mount {
    pub(super) fn new(path: &Path, served: Served) -> Result<Self, DiskError> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let device: OwnedFd = device
            .map_err(|source| {
                let advice = advice(&source);
                DiskError::Fuse { source, advice }
            })?
            .into();
        let failed = |call| {
            move |source: io::Error| DiskError::Call {
                path: path.to_owned(),
                call,
                source,
            }
        };
        let data = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions,allow_other",
            device.as_raw_fd(),
            geteuid(),
            getegid()
        );
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(
            Some("ordeal"),
            path,
            Some("fuse.ordeal"),
            flags,
            Some(data.as_str()),
        )
        .map_err(|errno| failed("mount")(errno.into()))?;
        let config = Config::default();
        let session = Session::from_fd(served, device, SessionACL::All, config)
            .and_then(Session::spawn)
            .map_err(|source| {
                // Nobody would ever answer: it must not stay.
                let _ = umount2(path, MntFlags::MNT_DETACH);
                failed("serve")(source)
            })?;
        let path = path.to_owned();
        Ok(Self { path, session })
    }

    /// Makes the kernel drop the pages that it has cached of these files.
    pub(super) fn forget_pages(&self, files: &[u64]) {
        let notifier = self.session.notifier();
        for number in files {
            // One that the kernel does not know has nothing cached.
            let _ = notifier.inval_inode(INodeNo(*number), 0, 0);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It is ours and there; a second name of it, in a namespace of somebody else, cannot be.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}
