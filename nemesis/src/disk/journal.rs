//! What became of names since they were last durable: the journal, and who commits it.
//!
//! | directories | an fsync of a file | an fsync of a directory | after a power loss |
//! |---|---|---|---|
//! | journalled | commits the journal | commits the journal | a beginning of the journal |
//! | strict | commits no name | commits the names in it | for each directory a beginning |
//!
//! Journalled is what ext4 and XFS do: changes of names become durable in the order in which they
//! were made. Strict is what POSIX promises, and no more: neither the file's own name, nor that a
//! rename between two directories is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Directories,
    volume::{Kind, ROOT, Volume},
};
use crate::{fault::Keep, proof::Lost};

/// One name, and what it stands for from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) parent: u64,
    pub(super) name: OsString,
    pub(super) to: Option<u64>,
}

impl Edit {
    pub(super) fn put(parent: u64, name: &OsStr, number: u64) -> Self {
        let (name, to) = (name.to_owned(), Some(number));
        Self { parent, name, to }
    }

    pub(super) fn remove(parent: u64, name: &OsStr) -> Self {
        let (name, to) = (name.to_owned(), None);
        Self { parent, name, to }
    }
}

/// Edits that are not durable yet, oldest first; those of one step happen all or not at all.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    directories: Directories,
    steps: Vec<Vec<Edit>>,
}

impl Journal {
    pub(super) fn new(directories: Directories) -> Self {
        let steps = Vec::new();
        Self { directories, steps }
    }

    pub(super) fn append(&mut self, edits: Vec<Edit>) {
        self.steps.push(edits);
    }

    /// The numbers that it may yet give a name, and the directories in which.
    pub(super) fn mentioned(&self) -> BTreeSet<u64> {
        let edits = self.steps.iter().flatten();
        edits
            .flat_map(|edit| edit.to.into_iter().chain([edit.parent]))
            .collect()
    }

    fn names(&self, number: u64) -> bool {
        let mut edits = self.steps.iter().flatten();
        edits.any(|edit| edit.to == Some(number))
    }

    /// Takes out what an fsync of the directory `number` (of a file, if `None`) commits.
    fn take(&mut self, number: Option<u64>) -> Vec<Edit> {
        match (self.directories, number) {
            (Directories::Journalled, _) => std::mem::take(&mut self.steps).concat(),
            (Directories::Strict, None) => Vec::new(),
            (Directories::Strict, Some(number)) => {
                let mut taken = Vec::new();
                for step in &mut self.steps {
                    taken.extend(step.extract_if(.., |edit| edit.parent == number));
                }
                self.steps.retain(|step| !step.is_empty());
                taken
            }
        }
    }

    /// What of it survives a power loss; counts what does not.
    fn survivors(&mut self, keep: Keep, rng: &mut ChaCha8Rng, lost: &mut Lost) -> Vec<Edit> {
        let steps = std::mem::take(&mut self.steps);
        // One order of all steps, or one for each directory.
        let mut orders: BTreeMap<u64, Vec<Vec<Edit>>> = BTreeMap::new();
        for step in steps {
            match self.directories {
                Directories::Journalled => orders.entry(ROOT).or_default().push(step),
                Directories::Strict => {
                    for edit in step {
                        orders.entry(edit.parent).or_default().push(vec![edit]);
                    }
                }
            }
        }
        let mut kept = Vec::new();
        for mut order in orders.into_values() {
            let survive = match keep {
                Keep::Nothing => 0,
                Keep::Some | Keep::Torn => rng.random_range(0..=order.len()),
            };
            lost.names += order[survive..].iter().flatten().count() as u64;
            order.truncate(survive);
            kept.extend(order.concat());
        }
        kept
    }
}

impl Volume {
    /// Makes a file durable. `data` only: as fdatasync does, which leaves the journal alone where
    /// the file keeps its length and had a name before.
    pub(super) fn sync(&mut self, number: u64, data: bool) -> Result<(), nix::errno::Errno> {
        let file = self.file_mut(number)?;
        let whole = !data || file.needs_journal();
        file.sync();
        if whole || self.journal.names(number) {
            let edits = self.journal.take(None);
            self.commit(edits);
        }
        Ok(())
    }

    /// Makes a directory durable.
    pub(super) fn sync_directory(&mut self, number: u64) -> Result<(), nix::errno::Errno> {
        self.directory(number)?;
        let edits = self.journal.take(Some(number));
        self.commit(edits);
        Ok(())
    }

    /// Makes everything durable, as a machine does that is left alone.
    pub(super) fn sync_all(&mut self) {
        for inode in self.inodes.values_mut() {
            match &mut inode.kind {
                Kind::File(file) => file.sync(),
                Kind::Directory(directory) => directory.durable = directory.current.clone(),
                Kind::Symlink(_) => {}
            }
        }
        self.journal.steps.clear();
    }

    fn commit(&mut self, edits: Vec<Edit>) {
        if edits.is_empty() {
            return;
        }
        for Edit { parent, name, to } in edits {
            // A directory that was removed since needs no names.
            let Ok(directory) = self.directory_mut(parent) else {
                continue;
            };
            match to {
                Some(number) => drop(directory.durable.insert(name, number)),
                None => drop(directory.durable.remove(&name)),
            }
        }
        self.collect();
    }

    /// The power is gone: what was not durable is lost, but for what `keep` lets survive, and
    /// nobody has anything open any more.
    pub(super) fn lose_power(&mut self, keep: Keep, rng: &mut ChaCha8Rng) -> Lost {
        let mut lost = Lost::default();
        let kept = self.journal.survivors(keep, rng, &mut lost);
        for inode in self.inodes.values_mut() {
            (inode.lookups, inode.links) = (0, 0);
        }
        self.commit(kept);
        for inode in self.inodes.values_mut() {
            match &mut inode.kind {
                Kind::File(file) => file.lose_power(keep, rng, &mut lost),
                Kind::Directory(directory) => directory.current = directory.durable.clone(),
                Kind::Symlink(_) => {}
            }
        }
        self.recover();
        lost
    }

    /// What a file system check does at the next start: each directory has one name, and what has
    /// none is gone.
    fn recover(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut ahead = vec![ROOT];
        while let Some(number) = ahead.pop() {
            let entries = match self.directory(number) {
                Ok(directory) => directory.current.clone(),
                Err(_) => continue,
            };
            for (name, below) in entries {
                let again = !reached.insert(below);
                let inode = self.inodes.get_mut(&below);
                match inode {
                    Some(inode) if !(again && matches!(inode.kind, Kind::Directory(_))) => {
                        inode.links += 1;
                        if let Kind::Directory(directory) = &mut inode.kind {
                            directory.parent = number;
                            ahead.push(below);
                        }
                    }
                    // A second name of a directory, or a name of nothing.
                    _ => {
                        let directory = self.directory_mut(number).expect("looked at just now");
                        directory.current.remove(&name);
                        directory.durable.remove(&name);
                    }
                }
            }
        }
        self.inodes.retain(|number, _| reached.contains(number));
        self.nameless.clear();
    }
}
