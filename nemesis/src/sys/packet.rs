//! Packet sockets: one end of a cable, as frames.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Opens a socket that gets every IPv4 frame which comes in by the interface with this index, and
/// sends frames out by it. Does not block.
///
/// As much as `bytes` may wait in it, or as much as the machine lets those without rights have.
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
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
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
