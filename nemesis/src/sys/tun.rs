//! TUN devices, interface addresses and offloads by ioctl: no program, no netlink.

use std::{
    fs::{File, OpenOptions},
    io,
    net::{Ipv4Addr, UdpSocket},
    os::{fd::AsRawFd, fd::OwnedFd, unix::fs::OpenOptionsExt},
};

/// Opens the TUN clone device, in the calling thread's network namespace.
pub(crate) fn open_tun() -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
}

/// Turns `tun` into the interface `name`, with an address, a netmask and an MTU, and raises it.
/// The thread that calls this decides in which namespace.
pub(crate) fn configure_interface(
    tun: File,
    name: &str,
    address: Ipv4Addr,
    mtu: u16,
) -> Result<OwnedFd, (&'static str, io::Error)> {
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request(
        &tun,
        libc::TUNSETIFF,
        name,
        Argument::Flags(flags),
        "TUNSETIFF",
    )?;
    assign(name, address, mtu)?;
    Ok(tun.into())
}

/// Gives an interface of the calling thread's namespace an address, the netmask /24 and an MTU, and
/// raises it.
pub(crate) fn assign(
    name: &str,
    address: Ipv4Addr,
    mtu: u16,
) -> Result<(), (&'static str, io::Error)> {
    // Interface requests need any socket of the namespace to go through.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| ("socket", e))?;
    let netmask = Ipv4Addr::new(255, 255, 255, 0);
    request(
        &socket,
        libc::SIOCSIFADDR,
        name,
        Argument::Address(address),
        "SIOCSIFADDR",
    )?;
    request(
        &socket,
        libc::SIOCSIFNETMASK,
        name,
        Argument::Address(netmask),
        "SIOCSIFNETMASK",
    )?;
    request(
        &socket,
        libc::SIOCSIFMTU,
        name,
        Argument::Mtu(mtu),
        "SIOCSIFMTU",
    )?;

    raise(&socket, name)
}

/// Raises the loopback interface of the calling thread's namespace.
pub(crate) fn raise_loopback() -> Result<(), (&'static str, io::Error)> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| ("socket", e))?;
    raise(&socket, "lo")
}

/// Sets the MTU of an interface of the calling thread's namespace.
pub(crate) fn set_mtu(name: &str, mtu: u16) -> Result<(), (&'static str, io::Error)> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| ("socket", e))?;
    request(
        &socket,
        libc::SIOCSIFMTU,
        name,
        Argument::Mtu(mtu),
        "SIOCSIFMTU",
    )
}

/// Has an interface of the calling thread's namespace leave nothing to a network card: a packet in
/// it is one on the wire, at most one MTU long and with its checksums complete.
pub(crate) fn switch_offloads_off(name: &str) -> Result<(), (&'static str, io::Error)> {
    // linux/ethtool.h. Scatter-gather last of those that need it.
    const TX_CHECKSUMS: u32 = 0x17;
    const SCATTER_GATHER: u32 = 0x19;
    const TCP_SEGMENTATION: u32 = 0x1f;
    const SEGMENTATION: u32 = 0x24;
    const COALESCING: u32 = 0x2c;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|e| ("socket", e))?;
    for command in [
        TCP_SEGMENTATION,
        SEGMENTATION,
        COALESCING,
        TX_CHECKSUMS,
        SCATTER_GATHER,
    ] {
        let mut value = EthtoolValue { command, value: 0 };
        let argument = Argument::Ethtool(&raw mut value);
        request(&socket, libc::SIOCETHTOOL, name, argument, "SIOCETHTOOL")?;
    }
    Ok(())
}

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

fn raise(socket: &UdpSocket, name: &str) -> Result<(), (&'static str, io::Error)> {
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request(
        socket,
        libc::SIOCSIFFLAGS,
        name,
        Argument::Flags(flags),
        "SIOCSIFFLAGS",
    )
}

#[derive(Clone, Copy)]
enum Argument {
    Flags(i32),
    Mtu(u16),
    Address(Ipv4Addr),
    /// Alive as long as the request.
    Ethtool(*mut EthtoolValue),
}

fn request(
    through: &impl AsRawFd,
    code: libc::Ioctl,
    name: &str,
    argument: Argument,
    call: &'static str,
) -> Result<(), (&'static str, io::Error)> {
    let name = name.as_bytes();
    assert!(name.len() < libc::IFNAMSIZ, "interface name too long");
    // SAFETY: ifreq is a C struct of integers and a union of such; all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name) {
        *slot = libc::c_char::from_ne_bytes([*byte]);
    }
    match argument {
        Argument::Flags(flags) => {
            request.ifr_ifru.ifru_flags =
                libc::c_short::try_from(flags).expect("interface flags are 16 bits");
        }
        Argument::Mtu(mtu) => request.ifr_ifru.ifru_mtu = mtu.into(),
        Argument::Address(address) => {
            request.ifr_ifru.ifru_addr = sockaddr(address);
        }
        Argument::Ethtool(value) => request.ifr_ifru.ifru_data = value.cast(),
    }
    // SAFETY: the descriptor is open for the whole call, and each code used here takes a pointer
    // to an ifreq, which lives on this stack frame and is writable; what it may point to in turn is
    // an ethtool_value on the caller's frame, as SIOCETHTOOL wants it.
    let result = unsafe { libc::ioctl(through.as_raw_fd(), code, &raw mut request) };
    if result < 0 {
        Err((call, io::Error::last_os_error()))
    } else {
        Ok(())
    }
}

/// A `sockaddr_in` in the shape of a `sockaddr`: family, port 0, address.
fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: sockaddr is a C struct of integers; all zeroes is a valid value.
    let mut generic: libc::sockaddr = unsafe { std::mem::zeroed() };
    generic.sa_family =
        libc::sa_family_t::try_from(libc::AF_INET).expect("AF_INET is a small number");
    for (slot, byte) in generic.sa_data[2..6].iter_mut().zip(address.octets()) {
        *slot = libc::c_char::from_ne_bytes([byte]);
    }
    generic
}
