//! Who gets a processor first.

use std::io;

/// Puts the calling thread before all that have no such standing (`SCHED_FIFO`): it runs as soon as
/// it has something to do, however busy the machine is. Takes the capability `CAP_SYS_NICE` in the
/// machine's own user namespace.
pub(crate) fn run_at_once() -> io::Result<()> {
    // SAFETY: sched_param is a C struct of integers; all zeroes is a valid value.
    let mut least: libc::sched_param = unsafe { std::mem::zeroed() };
    least.sched_priority = 1;
    // SAFETY: 0 is the calling thread, and the pointer is to a live local that is only read.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const least) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
