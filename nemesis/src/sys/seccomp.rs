//! Calls of a process that wait for an answer of ours: a seccomp filter with a listener.
//!
//! The filter is installed between fork and exec, in the child, which sends the listener's
//! descriptor through a socket. `linux/seccomp.h`, seccomp_unotify(2).

use std::{
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
};

/// The architecture whose numbers `libc::SYS_…` are, as the kernel tells a filter: `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const AUDIT_ARCH: Option<u32> = None;

/// Whether filters can be made for this processor.
pub(crate) fn can_filter_calls() -> bool {
    AUDIT_ARCH.is_some()
}

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Under which it is answered.
    pub(crate) id: u64,
    /// The thread that makes it.
    pub(crate) thread: u32,
    /// Its number: `libc::SYS_…`.
    pub(crate) number: i64,
    /// Its arguments.
    pub(crate) args: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel does it.
    Goes,
    /// It fails with this number, and nothing is done.
    Fails(i32),
    /// It returns 0, and nothing is done.
    Lies,
}

/// Makes `command` start with a filter that has these calls wait for an answer; the listener for
/// them is sent through `socket`. Rings of requests, which no filter sees, are refused as if the
/// kernel had none.
pub(crate) fn filter_before_exec(command: &mut Command, calls: &[i64], socket: OwnedFd) {
    let filter = program(calls);
    let install = move || {
        // SAFETY: prctl with these arguments takes no pointers.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let listener = install(&filter)?;
        send(&socket, &listener)
    };
    // SAFETY: between fork and exec the closure calls prctl, seccomp, sendmsg and close only, on
    // memory that was allocated before: no allocation, no lock.
    unsafe { command.pre_exec(install) };
}

/// Loads the architecture and the number, and compares: any of `calls` waits for an answer.
fn program(calls: &[i64]) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // Offsets in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    let code = |code: u32| u16::try_from(code).expect("codes are 16 bits");
    let step = |what: u32, k: u32| libc::sock_filter {
        code: code(what),
        jt: 0,
        jf: 0,
        k,
    };
    let unless = |k: u32, skip: usize| libc::sock_filter {
        jf: u8::try_from(skip).expect("a filter of a few calls"),
        ..step(IS, k)
    };
    let number = |call: i64| u32::try_from(call).expect("numbers of calls are small");
    // A process of another architecture counts its calls otherwise: they are let through.
    let mut steps = vec![
        step(LOAD, ARCH),
        unless(AUDIT_ARCH.unwrap_or_default(), 1 + 2 * (calls.len() + 1)),
        step(LOAD, NUMBER),
    ];
    let refused = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::ENOSYS).expect("a small number");
    steps.extend([
        unless(number(libc::SYS_io_uring_setup), 1),
        step(RETURN, refused),
    ]);
    for call in calls {
        steps.extend([
            unless(number(*call), 1),
            step(RETURN, libc::SECCOMP_RET_USER_NOTIF),
        ]);
    }
    steps.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
    steps
}

fn install(filter: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or(u16::MAX),
        filter: filter.as_ptr().cast_mut(),
    };
    // Where the kernel knows it (5.19), signals do not make a call wait twice.
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    for flags in [
        listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
        listener,
    ] {
        // SAFETY: the program points to `filter`, which lives and is only read.
        let fd = unsafe {
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program)
        };
        if let Ok(fd @ 0..) = i32::try_from(fd) {
            // SAFETY: just opened, and nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

/// Room for one descriptor, aligned as control messages are.
#[derive(Default)]
#[repr(C)]
struct Control([u64; 4]);

fn message(byte: &mut [u8; 1], control: &mut Control, with: impl FnOnce(&mut libc::msghdr)) {
    let mut piece = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: msghdr is a C struct of integers and pointers; all zeroes is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    with(&mut message);
}

fn send(socket: &OwnedFd, descriptor: &OwnedFd) -> io::Result<()> {
    let (mut byte, mut control) = ([0], Control::default());
    let size = u32::try_from(size_of::<i32>()).unwrap_or(4);
    let mut sent = -1;
    message(&mut byte, &mut control, |message| {
        // SAFETY: the buffer has room for the header and one descriptor (CMSG_SPACE(4) is 24), so
        // that CMSG_FIRSTHDR is not null and CMSG_DATA lies within it; sendmsg reads it all.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            let data = libc::CMSG_DATA(header).cast::<i32>();
            data.write_unaligned(descriptor.as_raw_fd());
            sent = libc::sendmsg(socket.as_raw_fd(), message, 0);
        }
    });
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Waits for the listener that a started command sends; `None` when it ended without sending one.
pub(crate) fn receive_listener(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let (mut byte, mut control) = ([0], Control::default());
    let mut outcome = Ok(None);
    message(&mut byte, &mut control, |message| {
        // SAFETY: recvmsg writes within the buffers that the message names, which are live locals
        // of the lengths given; CMSG_FIRSTHDR is null where nothing came, and where a control
        // message of SCM_RIGHTS came, its data is a descriptor that is ours from now on.
        outcome = unsafe {
            match libc::recvmsg(socket.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) {
                ..0 => Err(io::Error::last_os_error()),
                0 => Ok(None),
                _ => {
                    let header = libc::CMSG_FIRSTHDR(message);
                    if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                        Ok(None)
                    } else {
                        let data = libc::CMSG_DATA(header).cast::<i32>();
                        Ok(Some(OwnedFd::from_raw_fd(data.read_unaligned())))
                    }
                }
            }
        };
    });
    outcome
}

/// The next call that waits; `None` when whoever made it is gone again.
pub(crate) fn receive_call(listener: &OwnedFd) -> io::Result<Option<Call>> {
    // SAFETY: a C struct of integers; all zeroes is a valid value, and what the kernel asks for.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request takes a pointer to a seccomp_notif, which is a live local.
    let received = unsafe {
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        libc::ioctl(listener.as_raw_fd(), request, &raw mut told)
    };
    if received < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR | libc::EAGAIN) => Ok(None),
            _ => Err(error),
        };
    }
    Ok(Some(Call {
        id: told.id,
        thread: told.pid,
        number: told.data.nr.into(),
        args: told.data.args,
    }))
}

/// Answers a call; returns whether whoever made it was still there to get the answer.
pub(crate) fn answer_call(listener: &OwnedFd, id: u64, answer: Answer) -> bool {
    let goes = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let mut told = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: match answer {
            Answer::Fails(number) => -number,
            Answer::Goes | Answer::Lies => 0,
        },
        flags: if answer == Answer::Goes { goes } else { 0 },
    };
    // SAFETY: the request takes a pointer to a seccomp_notif_resp, which is a live local.
    let sent = unsafe {
        let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
        libc::ioctl(listener.as_raw_fd(), request, &raw mut told)
    };
    sent == 0
}
