//! Which file a call is about: what its descriptors and the names in its caller's memory lead to.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::{ffi::OsStringExt, fs::FileExt},
    path::{Path, PathBuf},
};

use super::call::{About, word};
use crate::sys::Call;

/// The longest name that the kernel takes.
const NAME_MAX: usize = 4096;

/// Whether a call is about a file below this folder.
pub(super) fn is_below(folder: &Path, call: &Call, about: About) -> bool {
    let is_in = |path: Option<PathBuf>| path.is_some_and(|path| path.starts_with(folder));
    match about {
        About::Descriptor(arg) => is_in(fs::read_link(descriptor(call, arg)).ok()),
        About::Name(at, name) => is_in(named(call, at, name)),
        About::NewName(at, name) | About::Opened(at, name, _) => {
            let path = named(call, at, name);
            let is_new = path
                .as_ref()
                .is_some_and(|path| path.symlink_metadata().is_err());
            is_new && is_in(path)
        }
        About::Mapped(from, length) => mapped(call, from, length)
            .into_iter()
            .any(|path| is_in(Some(path))),
        About::Everything => true,
    }
}

/// The entry of `/proc` for the descriptor in that argument.
pub(super) fn descriptor(call: &Call, arg: usize) -> PathBuf {
    in_proc(call, "fd", arg)
}

fn in_proc(call: &Call, folder: &str, arg: usize) -> PathBuf {
    // A descriptor is an int: what is above it in the register does not count.
    let descriptor = call.args[arg] & 0xffff_ffff;
    Path::new("/proc").join(format!("{}/{folder}/{descriptor}", call.thread))
}

/// The path of the name in that argument.
pub(super) fn named(call: &Call, at: Option<usize>, name: usize) -> Option<PathBuf> {
    let name = PathBuf::from(OsString::from_vec(text(call, call.args[name])?));
    let own = |entry: &str| PathBuf::from(format!("/proc/{}/{entry}", call.thread));
    let here = word(libc::AT_FDCWD);
    let path = match (name.strip_prefix("/"), at) {
        (Ok(below), _) => own("root").join(below),
        (Err(_), Some(arg)) if call.args[arg] & 0xffff_ffff != here => {
            descriptor(call, arg).join(&name)
        }
        _ => own("cwd").join(&name),
    };
    // Where it stands is there, whatever it is to be there.
    let folder = fs::canonicalize(path.parent()?).ok()?;
    Some(folder.join(path.file_name()?))
}

/// Whether whoever opens a file makes it where there is none.
pub(super) fn makes(call: &Call, flags: usize) -> bool {
    let flags = match call.number {
        // The first word of what the argument points to.
        libc::SYS_openat2 => number(call, call.args[flags]).unwrap_or(0),
        _ => call.args[flags],
    };
    flags & word(libc::O_CREAT) != 0
}

/// Whether what is written through that descriptor is durable when the call returns.
pub(super) fn is_synced(call: &Call, arg: usize) -> bool {
    let asked = word(libc::RWF_DSYNC | libc::RWF_SYNC);
    let is_asked = call.number == libc::SYS_pwritev2 && call.args[5] & asked != 0;
    // `O_SYNC` has the bit of `O_DSYNC` too.
    is_asked || opened(call, arg).is_some_and(|(flags, _)| flags & word(libc::O_DSYNC) != 0)
}

/// Where the next write through that descriptor goes; `None` where it is appended.
pub(super) fn position(call: &Call, arg: usize) -> Option<u64> {
    let (flags, position) = opened(call, arg)?;
    (flags & word(libc::O_APPEND) == 0).then_some(position)
}

/// With which flags a descriptor was opened, and where in the file it stands.
fn opened(call: &Call, arg: usize) -> Option<(u64, u64)> {
    let about = fs::read_to_string(in_proc(call, "fdinfo", arg)).ok()?;
    let value = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let flags = u64::from_str_radix(value("flags:")?, 8).ok()?;
    Some((flags, value("pos:")?.parse().ok()?))
}

/// The files that are mapped from an address on, for so many bytes.
fn mapped(call: &Call, from: usize, length: usize) -> Vec<PathBuf> {
    let (from, to) = (
        call.args[from],
        call.args[from].saturating_add(call.args[length]),
    );
    let maps = fs::read_to_string(format!("/proc/{}/maps", call.thread)).unwrap_or_default();
    let file = |line: &str| {
        // `from-to rwxs offset device number   path`.
        let mut words = line.split_ascii_whitespace();
        let (first, last) = words.next()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let meets = address(first)? < to && address(last)? > from;
        let path = line.find('/').map(|at| PathBuf::from(&line[at..]));
        path.filter(|_| meets)
    };
    maps.lines().filter_map(file).collect()
}

/// A word of eight bytes in the caller's memory.
pub(super) fn number(call: &Call, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory(call)?.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// The text in the caller's memory that begins there, up to its end.
fn text(call: &Call, address: u64) -> Option<Vec<u8>> {
    const PAGE: u64 = 4096;
    let memory = memory(call)?;
    let mut text = Vec::new();
    while text.len() < NAME_MAX {
        let at = address.checked_add(text.len() as u64)?;
        // The next page may not be there.
        let mut piece = vec![0; usize::try_from(PAGE - at % PAGE).ok()?];
        memory.read_exact_at(&mut piece, at).ok()?;
        match piece.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend(&piece[..end]);
                return Some(text);
            }
            None => text.extend(piece),
        }
    }
    None
}

fn memory(call: &Call) -> Option<File> {
    File::open(format!("/proc/{}/mem", call.thread)).ok()
}
