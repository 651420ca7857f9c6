//! The code that is put into a process so that its wall clock can be wrong, and how a process is
//! held at its start until that code is in.
//!
//! A program asks for the time through the vdso, a small library that the kernel maps into every
//! process, and whose functions the C library, Go's runtime and every other one look up by name at
//! its start. The functions themselves stay as they are; what is changed, before the first
//! instruction of the program runs, is where their names point: to the code below, which lies in
//! the unused end of the vdso's last page, calls the function that the name meant before, and moves
//! the time it gave.
//!
//! ```text
//!  program ──"__vdso_clock_gettime"──▶ entry below ──call──▶ the kernel's own function
//!                                          │ t
//!                                          ▼
//!                  t + offset + (t - base) * rate     in every even period since base, or always
//! ```
//!
//! How wrong the clock is stands in the same page, twice, with a count in front. Who changes it
//! writes the copy that is not in use and then the count, eight bytes at once; who reads looks at
//! the count before and after, and begins again where it has moved. So nobody ever waits, and
//! nobody sees half a change.

use std::{io, os::unix::process::CommandExt, process::Command, ptr, slice};

use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

std::arch::global_asm!(
    r#"
    .section .rodata.ordeal_skew, "a"
    .balign 16
ordeal_skew_start:
    # ---- what the harness writes; see `Layout`
ordeal_skew_count:
    .quad 0                         # changes so far; its lowest bit says which copy counts
ordeal_skew_copies:
    .quad 0, 0, 0, 0                # offset ns, base ns, rate as 32.32, period ns
    .quad 0, 0, 0, 0
ordeal_skew_real_clock_gettime:
    .quad 0                         # where the vdso's own functions are
ordeal_skew_real_gettimeofday:
    .quad 0

    # ---- moves a time: rax = true ns, gives rax = wrong ns; uses rcx rdx rsi rdi r8 r9 r10 r11
ordeal_skew_move:
    mov  r8, rax                    # r8: the true time
1:  mov  r9, [rip + ordeal_skew_count]
    mov  ecx, r9d
    and  ecx, 1
    shl  ecx, 5                     # 32 bytes a copy
    lea  rdx, [rip + ordeal_skew_copies]
    add  rcx, rdx
    mov  r10, [rcx]                 # r10: offset
    mov  rsi, [rcx + 8]             # rsi: base
    mov  r11, [rcx + 16]            # r11: rate
    mov  rdi, [rcx + 24]            # rdi: period
    cmp  r9, [rip + ordeal_skew_count]
    jne  1b                         # changed meanwhile: begin again
    mov  rax, r8
    sub  rax, rsi                   # rax: since base
    test rdi, rdi
    jz   2f                         # no period: always wrong
    mov  rcx, rax
    xor  edx, edx
    div  rdi                        # which period this is
    test al, 1
    mov  rax, rcx
    jz   2f
    mov  rax, r8                    # an odd one: the true time
    ret
2:  imul r11                        # rdx:rax = since base * rate
    shrd rax, rdx, 32               # the rate has 32 bits behind the point
    add  rax, r8
    add  rax, r10
    ret

    # ---- int clock_gettime(clock: edi, struct timespec *: rsi)
ordeal_skew_clock_gettime:
    endbr64
    push rdi
    push rsi
    sub  rsp, 8                     # calls want rsp at a multiple of 16
    call [rip + ordeal_skew_real_clock_gettime]
    add  rsp, 8
    pop  rsi
    pop  rdi
    test eax, eax
    jnz  2f                         # it failed: nothing to move
    test edi, edi
    jz   1f                         # CLOCK_REALTIME
    cmp  edi, 5
    je   1f                         # CLOCK_REALTIME_COARSE
    cmp  edi, 11
    jne  2f                         # neither is it CLOCK_TAI: monotonic clocks stay right
1:  push rsi
    mov  rax, [rsi]
    imul rax, rax, 1000000000
    add  rax, [rsi + 8]
    call ordeal_skew_move
    pop  rsi
    mov  ecx, 1000000000
    cqo
    idiv rcx
    mov  [rsi], rax
    mov  [rsi + 8], rdx
    xor  eax, eax
2:  ret

    # ---- int gettimeofday(struct timeval *: rdi, struct timezone *: rsi)
ordeal_skew_gettimeofday:
    endbr64
    push rdi
    push rsi
    sub  rsp, 8
    call [rip + ordeal_skew_real_gettimeofday]
    add  rsp, 8
    pop  rsi
    pop  rdi
    test eax, eax
    jnz  1f
    test rdi, rdi
    jz   1f                         # only the time zone was asked for
    push rdi
    mov  rax, [rdi]
    imul rax, rax, 1000000000
    imul rcx, [rdi + 8], 1000
    add  rax, rcx
    call ordeal_skew_move
    pop  rdi
    mov  ecx, 1000000000
    cqo
    idiv rcx
    mov  [rdi], rax
    mov  rax, rdx
    mov  ecx, 1000
    xor  edx, edx
    div  rcx
    mov  [rdi + 8], rax
    xor  eax, eax
1:  ret

    # ---- time_t time(time_t *: rdi): the seconds of clock_gettime
ordeal_skew_time:
    endbr64
    push rdi
    sub  rsp, 16
    xor  edi, edi
    mov  rsi, rsp
    call ordeal_skew_clock_gettime
    mov  rax, [rsp]
    add  rsp, 16
    pop  rdi
    test rdi, rdi
    jz   1f
    mov  [rdi], rax
1:  ret
ordeal_skew_end:
    .text

    .globl ordeal_skew_start
    .globl ordeal_skew_copies
    .globl ordeal_skew_real_clock_gettime
    .globl ordeal_skew_real_gettimeofday
    .globl ordeal_skew_clock_gettime
    .globl ordeal_skew_gettimeofday
    .globl ordeal_skew_time
    .globl ordeal_skew_end
"#
);

unsafe extern "C" {
    static ordeal_skew_start: u8;
    static ordeal_skew_copies: u8;
    static ordeal_skew_real_clock_gettime: u8;
    static ordeal_skew_real_gettimeofday: u8;
    static ordeal_skew_clock_gettime: u8;
    static ordeal_skew_gettimeofday: u8;
    static ordeal_skew_time: u8;
    static ordeal_skew_end: u8;
}

/// The code, and where in it is what; all places count from its start.
pub(crate) struct Code {
    /// To be copied.
    pub(crate) bytes: &'static [u8],
    /// The two copies of offset, base, rate and period, behind the count at place 0.
    pub(crate) copies: usize,
    /// Eight bytes for the address of the true function.
    pub(crate) real_clock_gettime: usize,
    /// The same.
    pub(crate) real_gettimeofday: usize,
    /// What the name is to point to.
    pub(crate) clock_gettime: usize,
    /// The same.
    pub(crate) gettimeofday: usize,
    /// The same.
    pub(crate) time: usize,
}

impl Code {
    pub(crate) fn new() -> Self {
        let start = &raw const ordeal_skew_start;
        let place = |symbol: *const u8| symbol.addr() - start.addr();
        let length = place(&raw const ordeal_skew_end);
        // SAFETY: start and end are labels of one stretch of read-only data of this program, which
        // nothing ever changes.
        let bytes = unsafe { slice::from_raw_parts(start, length) };
        Self {
            bytes,
            copies: place(&raw const ordeal_skew_copies),
            real_clock_gettime: place(&raw const ordeal_skew_real_clock_gettime),
            real_gettimeofday: place(&raw const ordeal_skew_real_gettimeofday),
            clock_gettime: place(&raw const ordeal_skew_clock_gettime),
            gettimeofday: place(&raw const ordeal_skew_gettimeofday),
            time: place(&raw const ordeal_skew_time),
        }
    }
}

/// Makes the command's process stop when its program is loaded and has not run yet. The thread that
/// spawns it must go on with [`Held::at_start`].
pub(crate) fn hold_at_start(command: &mut Command) {
    let ask = || Ok(ptrace::traceme()?);
    // SAFETY: between fork and exec the closure makes one system call: no allocation, no lock.
    unsafe { command.pre_exec(ask) };
}

/// A process that stands before its first instruction. Dropping it ends it.
pub(crate) struct Held(Pid);

impl Held {
    /// Waits until the process that this thread has just spawned stands.
    pub(crate) fn at_start(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid);
        let held = Self(pid);
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => return Ok(held),
                // Some other signal came first: it is delivered once the process runs.
                Ok(WaitStatus::Stopped(_, signal)) => ptrace::cont(pid, signal)?,
                Ok(other) => {
                    let why = format!("it did not stop at its start: {other:?}");
                    return Err(io::Error::other(why));
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Lets it run, for ever on its own.
    pub(crate) fn release(self) -> io::Result<()> {
        ptrace::detach(self.0, None)?;
        std::mem::forget(self);
        Ok(())
    }

    /// Writes eight bytes where the process itself may not: the way that kernels leave open which
    /// forbid it through `/proc/PID/mem`.
    pub(crate) fn poke(&self, address: u64, word: i64) -> io::Result<()> {
        let address = ptr::with_exposed_provenance_mut(usize::try_from(address).expect("64 bits"));
        Ok(ptrace::write(self.0, address, word)?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It stands, and nobody else knows of it: it must not run with half a patch.
        let _ = nix::sys::signal::kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, Some(WaitPidFlag::__WALL));
    }
}
