//! The volume against a second, naive one: random work, and power losses in between.
//!
//! The reference knows paths instead of directories and whole trees instead of a journal: what is
//! durable is a copy of the tree as it was at the last fsync that had to write names.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    time::Duration,
};

use nix::errno::Errno;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    Directories,
    volume::{Kind, Maker, ROOT, Volume},
};
use crate::fault::Keep;

#[derive(Debug, Clone)]
enum Work {
    Create(String),
    Mkdir(String),
    Write(String, u64, u8, usize),
    Resize(String, u64),
    Unlink(String),
    Rmdir(String),
    Rename(String, String),
    Link(String, String),
    Fsync(String),
    Fdatasync(String),
    FsyncDirectory(String),
    LosePower,
}

// ---------------------------------------------------------------- the reference

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Directory,
    File(usize),
}

type Tree = BTreeMap<String, Thing>;

#[derive(Default)]
struct Naive {
    tree: Tree,
    durable_tree: Tree,
    /// Now, and durably.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files that were given a name since names were last durable.
    named: BTreeSet<usize>,
}

fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

impl Naive {
    fn has_parent(&self, path: &str) -> bool {
        above(path).is_empty() || self.tree.get(above(path)) == Some(&Thing::Directory)
    }

    fn is_empty(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        !self.tree.keys().any(|path| path.starts_with(&prefix))
    }

    fn file(&self, path: &str) -> Option<usize> {
        match self.tree.get(path)? {
            Thing::File(file) => Some(*file),
            Thing::Directory => None,
        }
    }

    fn commit(&mut self) {
        self.durable_tree = self.tree.clone();
        self.named.clear();
    }

    /// Whether it was possible.
    fn work(&mut self, work: &Work) -> bool {
        match work {
            Work::Create(path) | Work::Mkdir(path) => {
                if !self.has_parent(path) || self.tree.contains_key(path) {
                    return false;
                }
                let thing = if matches!(work, Work::Mkdir(_)) {
                    Thing::Directory
                } else {
                    self.files.push(Default::default());
                    self.named.insert(self.files.len() - 1);
                    Thing::File(self.files.len() - 1)
                };
                self.tree.insert(path.clone(), thing);
            }
            Work::Write(path, at, byte, length) => {
                let Some(file) = self.file(path) else {
                    return false;
                };
                let (bytes, at) = (&mut self.files[file].0, usize::try_from(*at).unwrap());
                bytes.resize(bytes.len().max(at + length), 0);
                bytes[at..at + length].fill(*byte);
            }
            Work::Resize(path, len) => {
                let Some(file) = self.file(path) else {
                    return false;
                };
                self.files[file].0.resize(usize::try_from(*len).unwrap(), 0);
            }
            Work::Unlink(path) => {
                if self.file(path).is_none() {
                    return false;
                }
                self.tree.remove(path);
            }
            Work::Rmdir(path) => {
                if self.tree.get(path) != Some(&Thing::Directory) || !self.is_empty(path) {
                    return false;
                }
                self.tree.remove(path);
            }
            Work::Rename(from, to) => return self.rename(from, to),
            Work::Link(from, to) => {
                let Some(file) = self.file(from) else {
                    return false;
                };
                if !self.has_parent(to) || self.tree.contains_key(to) {
                    return false;
                }
                self.named.insert(file);
                self.tree.insert(to.clone(), Thing::File(file));
            }
            Work::Fsync(path) => return self.sync(path, false),
            Work::Fdatasync(path) => return self.sync(path, true),
            Work::FsyncDirectory(path) => {
                if !path.is_empty() && self.tree.get(path) != Some(&Thing::Directory) {
                    return false;
                }
                self.commit();
            }
            Work::LosePower => {
                self.tree = self.durable_tree.clone();
                self.named.clear();
                for (now, durable) in &mut self.files {
                    now.clone_from(durable);
                }
            }
        }
        true
    }

    fn sync(&mut self, path: &str, data_only: bool) -> bool {
        let Some(file) = self.file(path) else {
            return false;
        };
        let (now, durable) = &mut self.files[file];
        let length_stays = now.len() == durable.len();
        *durable = now.clone();
        if !(data_only && length_stays && !self.named.contains(&file)) {
            self.commit();
        }
        true
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(thing) = self.tree.get(from).cloned() else {
            return false;
        };
        let into_itself = format!("{to}/").starts_with(&format!("{from}/")) && from != to;
        if !self.has_parent(to) || into_itself {
            return false;
        }
        match (&thing, self.tree.get(to)) {
            (_, Some(over)) if thing == *over && thing != Thing::Directory => return true,
            _ if from == to => return true,
            (Thing::Directory, Some(Thing::Directory)) if !self.is_empty(to) => return false,
            (Thing::Directory, Some(Thing::File(_))) => return false,
            (Thing::File(_), Some(Thing::Directory)) => return false,
            _ => {}
        }
        if let Thing::File(file) = thing {
            self.named.insert(file);
        }
        let prefix = format!("{from}/");
        let below: Vec<String> = self
            .tree
            .keys()
            .filter(|path| path.starts_with(&prefix))
            .cloned()
            .collect();
        for path in below {
            let thing = self.tree.remove(&path).unwrap();
            self.tree
                .insert(format!("{to}/{}", &path[prefix.len()..]), thing);
        }
        self.tree.remove(from);
        self.tree.insert(to.to_owned(), thing);
        true
    }

    fn contents(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let contents = self.tree.iter().map(|(path, thing)| match thing {
            Thing::Directory => (path.clone(), None),
            Thing::File(file) => (path.clone(), Some(self.files[*file].0.clone())),
        });
        contents.collect()
    }
}

// ---------------------------------------------------------------- the volume, by path

fn number(volume: &Volume, path: &str) -> Result<u64, Errno> {
    let names = path.split('/').filter(|name| !name.is_empty());
    let mut here = ROOT;
    for name in names {
        here = volume.find(here, OsStr::new(name))?;
    }
    Ok(here)
}

fn place<'a>(volume: &Volume, path: &'a str) -> Result<(u64, &'a OsStr), Errno> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok((number(volume, above(path))?, OsStr::new(name)))
}

fn try_work(volume: &mut Volume, work: &Work) -> Result<(), Errno> {
    let (by, now) = (Maker::default(), Duration::ZERO);
    match work {
        Work::Create(path) => {
            let (parent, name) = place(volume, path)?;
            volume.create(parent, name, by).map(drop)
        }
        Work::Mkdir(path) => {
            let (parent, name) = place(volume, path)?;
            volume.mkdir(parent, name, by).map(drop)
        }
        Work::Write(path, at, byte, length) => {
            let number = number(volume, path)?;
            volume.file_mut(number)?.write(*at, &vec![*byte; *length]);
            Ok(())
        }
        Work::Resize(path, len) => {
            let number = number(volume, path)?;
            volume.file_mut(number)?.resize(*len);
            Ok(())
        }
        Work::Unlink(path) => {
            let (parent, name) = place(volume, path)?;
            volume.unlink(parent, name, now)
        }
        Work::Rmdir(path) => {
            let (parent, name) = place(volume, path)?;
            volume.directory(volume.find(parent, name)?)?;
            volume.rmdir(parent, name, now)
        }
        Work::Rename(from, to) => {
            let (from, to) = (place(volume, from)?, place(volume, to)?);
            volume.rename(from, to, now)
        }
        Work::Link(from, to) => {
            let number = number(volume, from)?;
            let (parent, name) = place(volume, to)?;
            volume.link(number, parent, name, now)
        }
        Work::Fsync(path) => volume.sync(number(volume, path)?, false),
        Work::Fdatasync(path) => volume.sync(number(volume, path)?, true),
        Work::FsyncDirectory(path) => volume.sync_directory(number(volume, path)?),
        Work::LosePower => {
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            let _ = volume.lose_power(Keep::Nothing, rng);
            Ok(())
        }
    }
}

fn contents(volume: &Volume) -> BTreeMap<String, Option<Vec<u8>>> {
    let contents = volume.walk().into_iter().map(|(path, number)| {
        let path = path.display().to_string();
        match &volume.inode(number).unwrap().kind {
            Kind::File(file) => (path, Some(file.current().read(0, usize::MAX))),
            _ => (path, None),
        }
    });
    contents.collect()
}

// ---------------------------------------------------------------- both

fn path() -> impl Strategy<Value = String> {
    let paths = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "f", "f/a"];
    prop::sample::select(paths.to_vec()).prop_map(str::to_owned)
}

fn work() -> impl Strategy<Value = Work> {
    let write = (path(), 0..20_000_u64, any::<u8>(), 1..6000_usize);
    prop_oneof![
        4 => path().prop_map(Work::Create),
        2 => path().prop_map(Work::Mkdir),
        8 => write.prop_map(|(path, at, byte, length)| Work::Write(path, at, byte, length)),
        2 => (path(), 0..20_000_u64).prop_map(|(path, len)| Work::Resize(path, len)),
        2 => path().prop_map(Work::Unlink),
        1 => path().prop_map(Work::Rmdir),
        4 => (path(), path()).prop_map(|(from, to)| Work::Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Work::Link(from, to)),
        3 => path().prop_map(Work::Fsync),
        3 => path().prop_map(Work::Fdatasync),
        2 => path().prop_map(Work::FsyncDirectory),
        2 => Just(Work::LosePower),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_work_leaves_what_the_reference_leaves(work in prop::collection::vec(work(), 1..80)) {
        let mut volume = Volume::new(Directories::Journalled, Maker::default());
        let mut naive = Naive::default();
        for one in &work {
            let possible = naive.work(one);
            let done = try_work(&mut volume, one);
            prop_assert_eq!(done.is_ok(), possible, "{:?}: {:?}", one, done);
            prop_assert_eq!(contents(&volume), naive.contents(), "after {:?}", one);
        }
    }

    /// Whatever survives, it is a tree that can be walked, and what was synced is in it.
    #[test]
    fn what_was_synced_survives_any_loss(
        work in prop::collection::vec(work(), 1..60),
        seed: u64,
        torn: bool,
        strict: bool,
    ) {
        let directories = [Directories::Journalled, Directories::Strict][usize::from(strict)];
        let mut volume = Volume::new(directories, Maker::default());
        for one in &work {
            let _ = try_work(&mut volume, one);
        }
        let kept = volume.create(ROOT, OsStr::new("kept"), Maker::default()).unwrap();
        volume.file_mut(kept).unwrap().write(5, b"bytes");
        volume.sync(kept, true).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.file_mut(kept).unwrap().write(600, &[1; 600]);
        let keep = if torn { Keep::Torn } else { Keep::Some };
        let mut again = volume.clone();
        let _ = volume.lose_power(keep, &mut ChaCha8Rng::seed_from_u64(seed));
        let found = contents(&volume);
        let bytes = found["kept"].as_ref().unwrap();
        prop_assert_eq!(&bytes[5..10], b"bytes");
        for number in volume.inodes.keys() {
            let links = volume.inode(*number).unwrap().links;
            prop_assert!(*number == ROOT || links > 0, "{} has no name", number);
        }
        let _ = again.lose_power(keep, &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert_eq!(found, contents(&again), "the same seed loses the same");
    }
}

#[test]
fn a_strict_directory_forgets_names_that_were_not_synced() {
    let mut volume = Volume::new(Directories::Strict, Maker::default());
    let work = [
        Work::Mkdir("d".into()),
        Work::FsyncDirectory(String::new()),
        Work::Create("d/a".into()),
        Work::Write("d/a".into(), 0, 7, 3),
        Work::Fsync("d/a".into()),
    ];
    for one in &work {
        try_work(&mut volume, one).unwrap();
    }
    let mut synced = volume.clone();
    try_work(&mut volume, &Work::LosePower).unwrap();
    assert_eq!(contents(&volume), [("d".to_owned(), None)].into());
    try_work(&mut synced, &Work::FsyncDirectory("d".into())).unwrap();
    try_work(&mut synced, &Work::LosePower).unwrap();
    assert_eq!(contents(&synced)["d/a"], Some(vec![7; 3]));
}

#[test]
fn a_file_without_a_name_is_kept_only_as_long_as_somebody_needs_it() {
    let mut volume = Volume::new(Directories::Journalled, Maker::default());
    let number = volume
        .create(ROOT, OsStr::new("a"), Maker::default())
        .unwrap();
    volume.look_up(number);
    volume.sync(number, false).unwrap();
    volume
        .unlink(ROOT, OsStr::new("a"), Duration::ZERO)
        .unwrap();
    volume.sync_directory(ROOT).unwrap();
    volume.file_mut(number).unwrap().write(0, b"still open");
    volume.forget(number, 1);
    assert_eq!(volume.inodes.len(), 1, "the top directory");
}
