//! What of a volume can be reached: by a name, by the kernel, or after a power loss.

use std::path::PathBuf;

use super::volume::{Kind, ROOT, Volume};

impl Volume {
    /// The kernel was told of it once more.
    pub(super) fn look_up(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.lookups += 1;
        }
    }

    /// The kernel has forgotten it so many times.
    pub(super) fn forget(&mut self, number: u64, times: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.lookups = inode.lookups.saturating_sub(times);
        }
        self.collect();
    }

    /// Drops what nobody can reach any more, whatever happens.
    pub(super) fn collect(&mut self) {
        let unused = |number: &u64| self.inodes[number].lookups == 0;
        if !self.nameless.iter().any(unused) {
            return;
        }
        let mut needed = self.journal.mentioned();
        for inode in self.inodes.values() {
            if let Kind::Directory(directory) = &inode.kind {
                needed.extend(directory.durable.values());
            }
        }
        let gone: Vec<u64> = self
            .nameless
            .iter()
            .copied()
            .filter(|number| unused(number) && !needed.contains(number))
            .collect();
        for number in gone {
            self.nameless.remove(&number);
            self.inodes.remove(&number);
        }
    }

    /// How long its files are, all together.
    pub(super) fn length(&self) -> u64 {
        let files = self.inodes.values().filter_map(|inode| match &inode.kind {
            Kind::File(file) => Some(file.current().len()),
            _ => None,
        });
        files.sum()
    }

    /// How many bytes its files take.
    pub(super) fn stored(&self) -> u64 {
        let files = self.inodes.values().filter_map(|inode| match &inode.kind {
            Kind::File(file) => Some(file.current().stored()),
            _ => None,
        });
        files.sum()
    }

    /// Everything by its path, directories before what is in them.
    pub(super) fn walk(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut ahead = vec![(PathBuf::new(), ROOT)];
        while let Some((path, number)) = ahead.pop() {
            if let Ok(directory) = self.directory(number) {
                let below = directory.current.iter().rev();
                ahead.extend(below.map(|(name, number)| (path.join(name), *number)));
            }
            if number != ROOT {
                found.push((path, number));
            }
        }
        found
    }
}
