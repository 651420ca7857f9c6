//! How much longer a call makes its file: what a write goes beyond its end, or the room that it
//! asks for.

use std::{fs, os::unix::fs::MetadataExt};

use super::{
    call::About,
    place::{self, descriptor, position},
};
use crate::sys::Call;

/// By how many bytes. A name takes none, but some room; one of several pieces counts as one byte:
/// how long they are together is in the caller's memory.
pub(super) fn growth(call: &Call, about: About) -> u64 {
    let arg = match about {
        About::Descriptor(arg) => arg,
        About::Name(at, name) => {
            let length = place::named(call, at, name).and_then(|path| fs::metadata(path).ok());
            // What is not there fails by itself.
            return length.map_or(0, |file| call.args[1].saturating_sub(file.size()));
        }
        _ => return 1,
    };
    let Some(length) = length(call, arg) else {
        return u64::MAX;
    };
    if call.number == libc::SYS_fallocate {
        let end = call.args[2].saturating_add(call.args[3]);
        return end.saturating_sub(length).max(1);
    }
    if call.number == libc::SYS_ftruncate {
        return call.args[1].saturating_sub(length);
    }
    // What is appended adds all of it.
    let at = begin(call, arg).unwrap_or(length);
    at.saturating_add(count(call)).saturating_sub(length)
}

fn length(call: &Call, arg: usize) -> Option<u64> {
    let file = fs::metadata(descriptor(call, arg));
    file.ok().map(|file| file.size())
}

/// Where in its file a write begins; `None` where it is appended.
fn begin(call: &Call, arg: usize) -> Option<u64> {
    match call.number {
        libc::SYS_pwrite64 | libc::SYS_pwritev => Some(call.args[3]),
        // -1 stands for the file's own position.
        libc::SYS_pwritev2 => Some(call.args[3])
            .filter(|at| *at != u64::MAX)
            .or_else(|| position(call, arg)),
        libc::SYS_copy_file_range | libc::SYS_splice => pointed(call, 3, arg),
        _ => position(call, arg),
    }
}

/// How many bytes are written.
fn count(call: &Call) -> u64 {
    match call.number {
        libc::SYS_write | libc::SYS_pwrite64 => call.args[2],
        // Not more than there is to be copied.
        libc::SYS_sendfile => call.args[3].min(left(call, 1, 2)),
        libc::SYS_copy_file_range => call.args[4].min(left(call, 0, 1)),
        _ => 1,
    }
}

/// How much of a file lies behind where it is copied from.
fn left(call: &Call, arg: usize, at: usize) -> u64 {
    let from = pointed(call, at, arg).unwrap_or(0);
    length(call, arg).unwrap_or(0).saturating_sub(from)
}

/// The place in a file that an argument points to; its own position, where it points nowhere.
fn pointed(call: &Call, at: usize, arg: usize) -> Option<u64> {
    match call.args[at] {
        0 => position(call, arg),
        address => place::number(call, address),
    }
}
