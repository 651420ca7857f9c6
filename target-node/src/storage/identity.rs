//! Whose data a directory holds. A node on the data of another would vote twice, or forget what
//! it has promised; so every directory says to whom it belongs.

use std::io;
use std::path::Path;

use super::vfs::Vfs;
use super::{StorageError, sync_dir};
use crate::raft::NodeId;

const NAME: &str = "identity";

/// One node of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster: String,
    pub(crate) node: NodeId,
}

/// What a directory says about its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// This node has used it.
    Ours,
    /// Nobody has.
    Unclaimed,
}

impl Identity {
    /// A number that stands in every segment of the log, so that a file copied from another node
    /// is noticed. Never 0.
    pub(crate) fn owner(&self) -> u64 {
        let hash = crc32fast::hash(self.cluster.as_bytes());
        (u64::from(hash) << 32) ^ self.node.wrapping_add(1)
    }

    /// Checks that the directory is this node's, or nobody's.
    pub(super) fn find(&self, files: &dyn Vfs, dir: &Path) -> Result<Claim, StorageError> {
        let path = dir.join(NAME);
        let foreign = |reason| {
            Err(StorageError::Foreign {
                path: dir.to_owned(),
                reason,
            })
        };
        let corrupt = |reason: &str| {
            let (path, reason) = (path.clone(), reason.to_owned());
            Err(StorageError::Corrupt {
                path,
                offset: 0,
                reason,
            })
        };
        match files.read(&path) {
            Ok(bytes) => match str::from_utf8(&bytes).ok().and_then(Self::parse) {
                Some(found) if found == *self => Ok(Claim::Ours),
                Some(Self { cluster, node }) => foreign(format!(
                    "belongs to node {node} of cluster {cluster:?}, not to node {} of cluster {:?}",
                    self.node, self.cluster
                )),
                None => corrupt("the identity is not what was written"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => match stranger_in(files, dir)?
            {
                Some(stranger) => foreign(format!("has no identity, but holds {stranger:?}")),
                None => Ok(Claim::Unclaimed),
            },
            Err(error) => Err(StorageError::io("read", &path)(error)),
        }
    }

    /// Makes the directory this node's. The log is made before: an identity without a log then
    /// means that the log was lost, and not that the first start was cut short.
    pub(super) fn claim(&self, files: &dyn Vfs, dir: &Path) -> Result<(), StorageError> {
        let path = dir.join(NAME);
        let draft = dir.join("identity.tmp");
        let write = || {
            let file = files.create(&draft)?;
            file.write_at(self.text().as_bytes(), 0)?;
            file.sync_all()?;
            files.rename(&draft, &path)
        };
        write().map_err(StorageError::io("write", &path))?;
        sync_dir(files, dir)
    }

    fn text(&self) -> String {
        let body = format!(
            "target-node data, format 1\ncluster {}\nnode {}\n",
            self.cluster, self.node
        );
        format!("{body}check {:08x}\n", crc32fast::hash(body.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let cluster = lines.next()?.strip_prefix("cluster ")?.to_owned();
        let node = lines.next()?.strip_prefix("node ")?.parse().ok()?;
        let identity = Self { cluster, node };
        (identity.text() == text).then_some(identity)
    }
}

/// A file that no data directory has before its identity is written.
fn stranger_in(files: &dyn Vfs, dir: &Path) -> Result<Option<String>, StorageError> {
    let names = files.list(dir).map_err(StorageError::io("list", dir))?;
    let is_ours = |name: &String| matches!(&**name, "lock" | "identity.tmp" | "wal" | "snap");
    Ok(names.into_iter().find(|name| !is_ours(name)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::vfs::Direct;
    use super::*;

    fn node(node: NodeId) -> Identity {
        Identity {
            cluster: "demo".to_owned(),
            node,
        }
    }

    #[test]
    fn a_directory_is_claimed_once_and_then_refused_to_others() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(node(1).find(&Direct, dir.path()).unwrap(), Claim::Unclaimed);
        node(1).claim(&Direct, dir.path()).unwrap();
        assert_eq!(node(1).find(&Direct, dir.path()).unwrap(), Claim::Ours);
        let refusal = node(2).find(&Direct, dir.path()).unwrap_err();
        assert!(matches!(refusal, StorageError::Foreign { .. }), "{refusal}");
    }

    #[test]
    fn a_changed_identity_is_corrupt_whatever_byte_changed() {
        let dir = tempfile::tempdir().unwrap();
        node(1).claim(&Direct, dir.path()).unwrap();
        let path = dir.path().join(NAME);
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x80;
            fs::write(&path, &bad).unwrap();
            let refusal = node(1).find(&Direct, dir.path()).unwrap_err();
            assert!(
                matches!(refusal, StorageError::Corrupt { .. }),
                "byte {place}: {refusal}"
            );
        }
    }

    #[test]
    fn a_directory_with_other_peoples_files_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let refusal = node(1).find(&Direct, dir.path()).unwrap_err();
        assert!(refusal.to_string().contains("thesis.tex"), "{refusal}");
    }
}
