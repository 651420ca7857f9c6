//! Whose data a directory holds. A node on the data of another would vote twice, or forget what
//! it has promised; so every directory says to whom it belongs, and who voted at first: as
//! long as the log says nothing of it, other flags at a later start must not change that.

use std::collections::BTreeSet;
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
    /// Who votes before the log says so; empty for a node that waits to be taken in.
    pub(crate) founders: BTreeSet<NodeId>,
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

    /// What a directory says; none where it says nothing.
    pub(super) fn read(files: &dyn Vfs, dir: &Path) -> Result<Option<Self>, StorageError> {
        let path = dir.join(NAME);
        let bytes = match files.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("read", &path)(error)),
        };
        let identity = str::from_utf8(&bytes).ok().and_then(Self::parse);
        identity.map(Some).ok_or_else(|| StorageError::Corrupt {
            path,
            offset: 0,
            reason: "the identity is not what was written".to_owned(),
        })
    }

    /// Checks that the directory is this node's, or nobody's.
    pub(super) fn find(&self, files: &dyn Vfs, dir: &Path) -> Result<Claim, StorageError> {
        let foreign = |reason| {
            let path = dir.to_owned();
            Err(StorageError::Foreign { path, reason })
        };
        match Self::read(files, dir)? {
            Some(found) if (&found.cluster, found.node) == (&self.cluster, self.node) => {
                Ok(Claim::Ours)
            }
            Some(Self { cluster, node, .. }) => foreign(format!(
                "belongs to node {node} of cluster {cluster:?}, not to node {} of cluster {:?}",
                self.node, self.cluster
            )),
            None => match stranger_in(files, dir)? {
                Some(stranger) => foreign(format!("has no identity, but holds {stranger:?}")),
                None => Ok(Claim::Unclaimed),
            },
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
        let founders: Vec<String> = self.founders.iter().map(NodeId::to_string).collect();
        let body = format!(
            "target-node data, format 2\ncluster {}\nnode {}\nvoters {}\n",
            self.cluster,
            self.node,
            founders.join(",")
        );
        format!("{body}check {:08x}\n", crc32fast::hash(body.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let cluster = lines.next()?.strip_prefix("cluster ")?.to_owned();
        let node = lines.next()?.strip_prefix("node ")?.parse().ok()?;
        let founders = lines.next()?.strip_prefix("voters ")?;
        let founders = founders.split(',').filter(|id| !id.is_empty());
        let founders = founders.map(|id| id.parse().ok()).collect::<Option<_>>()?;
        let identity = Self {
            cluster,
            node,
            founders,
        };
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
            founders: [1, 2, 10].into(),
        }
    }

    #[test]
    fn who_voted_at_first_is_kept_whatever_later_starts_say() {
        let dir = tempfile::tempdir().unwrap();
        node(1).claim(&Direct, dir.path()).unwrap();
        let later = Identity {
            founders: [1].into(),
            ..node(1)
        };
        assert_eq!(later.find(&Direct, dir.path()).unwrap(), Claim::Ours);
        let found = Identity::read(&Direct, dir.path()).unwrap();
        assert_eq!(found, Some(node(1)));
        let joiner = Identity {
            founders: BTreeSet::new(),
            ..node(4)
        };
        assert_eq!(Identity::parse(&joiner.text()), Some(joiner));
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
