//! A disk of ours and the kernel's own file system in memory do the same for the same calls.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use nix::fcntl::{RenameFlags, renameat2};
use ordeal_nemesis::sandbox::Sandbox;

use super::rig;

pub(crate) fn a_disk_is_a_file_system_like_others(inside: &Sandbox) {
    let rig = rig(inside);
    let ours = everything(&rig.path);
    let theirs = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_eq!(ours, everything(theirs.path()));
}

/// Does what file systems are for; returns what was seen.
fn everything(top: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, result: Result<String, io::Error>| {
        let result = result.map_err(|error| error.raw_os_error());
        seen.push(format!("{what}: {result:?}"));
    };
    let unit = |()| String::new();
    let at = |name: &str| top.join(name);
    see("mkdir", fs::create_dir(at("d")).map(unit));
    see("mkdir twice", fs::create_dir(at("d")).map(unit));
    see("write", fs::write(at("d/a"), vec![7; 100_000]).map(unit));
    see(
        "length",
        fs::metadata(at("d/a")).map(|m| m.len().to_string()),
    );
    see("mode", {
        fs::set_permissions(at("d/a"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::metadata(at("d/a")).map(|m| format!("{:o}", m.mode()))
    });
    see("rmdir of a full one", fs::remove_dir(at("d")).map(unit));
    see("link", fs::hard_link(at("d/a"), at("b")).map(unit));
    see(
        "names",
        fs::metadata(at("b")).map(|m| m.nlink().to_string()),
    );
    see("symlink", symlink("d/a", at("s")).map(unit));
    see("through it", fs::read(at("s")).map(|b| b.len().to_string()));
    see("unlink", fs::remove_file(at("d/a")).map(unit));
    see("dangling", fs::read(at("s")).map(|b| b.len().to_string()));
    see("rename", fs::rename(at("b"), at("d/c")).map(unit));
    see("rename over", {
        fs::write(at("e"), "new").unwrap();
        fs::rename(at("e"), at("d/c")).map(unit)
    });
    see("read", fs::read_to_string(at("d/c")));
    see(
        "rename into itself",
        fs::rename(at("d"), at("d/d")).map(unit),
    );
    more(top, &mut see);
    seen
}

type See<'a> = dyn FnMut(&str, io::Result<String>) + 'a;

fn more(top: &Path, see: &mut See<'_>) {
    let unit = |()| String::new();
    let at = |name: &str| top.join(name);
    see("append and sparse", {
        let mut file = OpenOptions::new().append(true).open(at("d/c")).unwrap();
        file.write_all(b" end").unwrap();
        file.set_len(9000).unwrap();
        fs::read(at("d/c")).map(|b| format!("{:?} {}", &b[..10], b.len()))
    });
    see("truncate on open", {
        File::create(at("d/c")).unwrap();
        fs::metadata(at("d/c")).map(|m| m.len().to_string())
    });
    see("open unlinked", {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(at("gone"))
            .unwrap();
        fs::remove_file(at("gone")).unwrap();
        file.write_all(b"still").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).map(|_| text)
    });
    for n in 0..500 {
        fs::write(at(&format!("many{n}")), "").unwrap();
    }
    see("listing", {
        let entries = fs::read_dir(top).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names.dedup();
        Ok(names.len().to_string())
    });
    see("exchange", {
        fs::write(at("x"), "x").unwrap();
        fs::write(at("y"), "y").unwrap();
        let cwd = nix::fcntl::AT_FDCWD;
        let both = renameat2(cwd, &at("x"), cwd, &at("y"), RenameFlags::RENAME_EXCHANGE);
        both.unwrap();
        fs::read_to_string(at("x"))
    });
    see("no replace", {
        let cwd = nix::fcntl::AT_FDCWD;
        let flag = RenameFlags::RENAME_NOREPLACE;
        renameat2(cwd, &at("x"), cwd, &at("y"), flag)
            .map(unit)
            .map_err(Into::into)
    });
    see("missing", fs::read_to_string(at("nowhere")));
    see("a long name", fs::write(at(&"n".repeat(256)), "").map(unit));
}
