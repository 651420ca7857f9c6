//! Packet sockets: one end of a cable, as frames.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

/// Opens a socket that gets every IPv4 frame which comes in by the interface with this index, and
/// sends frames out by it. Does not block.
///
/// As much as `bytes` may wait in it, on the way in and on the way out, or as much as the machine
/// lets those without rights have.
pub(crate) fn open_packet_socket(
    index: u32,
    bytes: i32,
) -> Result<OwnedFd, (&'static str, io::Error)> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if descriptor < 0 {
        return Err(("socket AF_PACKET", io::Error::last_os_error()));
    }
    // SAFETY: just opened, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // What was sent waits in the queue of a processor until that one takes it in: on a busy machine
    // long enough to fill the usual room for it, and then the next frame would be refused.
    let options = [
        libc::SO_RCVBUF,
        libc::SO_RCVBUFFORCE,
        libc::SO_SNDBUF,
        libc::SO_SNDBUFFORCE,
    ];
    for option in options {
        let size = libc::socklen_t::try_from(size_of_val(&bytes)).expect("an integer is small");
        // Where the larger one is not permitted, the other one holds.
        // SAFETY: the pointer is to a live local of the length given.
        unsafe {
            let value = (&raw const bytes).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size);
        }
    }
    // SAFETY: sockaddr_ll is a C struct of integers; all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let short = |value| u16::try_from(value).expect("a small constant");
    address.sll_family = short(libc::AF_PACKET);
    address.sll_protocol = short(libc::ETH_P_IP).to_be();
    address.sll_ifindex = i32::try_from(index).expect("interfaces are few");
    let size = libc::socklen_t::try_from(size_of_val(&address)).expect("an address is small");
    // SAFETY: the pointer is to a live local of the length given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if bound < 0 {
        return Err(("bind AF_PACKET", io::Error::last_os_error()));
    }
    Ok(socket)
}

/// How many frames the kernel has dropped since this was asked last, because too many waited in the
/// socket.
pub(crate) fn overrun(socket: &impl AsFd) -> io::Result<u64> {
    // SAFETY: tpacket_stats is a C struct of integers; all zeroes is a valid value.
    let mut counts: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut size = libc::socklen_t::try_from(size_of_val(&counts)).expect("two integers are small");
    let socket = socket.as_fd().as_raw_fd();
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
    // SAFETY: both pointers are to live locals, of the length given.
    let got = unsafe {
        let value = (&raw mut counts).cast();
        libc::getsockopt(socket, level, option, value, &raw mut size)
    };
    match got {
        0 => Ok(counts.tp_drops.into()),
        _ => Err(io::Error::last_os_error()),
    }
}
