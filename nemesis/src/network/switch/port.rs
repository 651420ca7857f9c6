//! One device of the switch: whatever `eth0` of a namespace sends can be read from it, and whatever
//! is written to it comes in by that `eth0`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::Ipv4Addr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::io::{Errno, read, readv, write, writev};

use crate::{
    network::{
        NetworkError, TcpBackoff,
        cables::{INTERFACE, mac, plug},
        endpoint::{QUEUE_PACKETS, failed, prepare},
        netlink,
    },
    node::Endpoint,
    sys,
};

/// Ethernet: to, from, type.
const HEADER: usize = 14;

/// How much may wait to be read from one packet socket.
const WAITING_BYTES: i32 = 64 << 20;

#[derive(Debug)]
pub(super) struct Port {
    device: OwnedFd,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A TUN device: bare packets.
    Tun,
    /// A packet socket at the hub's end of a cable: frames, and the header of those to its node.
    Packet([u8; HEADER]),
}

impl Port {
    /// Opens and configures a TUN device as `eth0` in the calling thread's namespace; also says
    /// whether that namespace bounds TCP's retransmission back-off.
    pub(super) fn open_tun(
        of: Endpoint,
        address: Ipv4Addr,
        mtu: u16,
        backoff: TcpBackoff,
    ) -> Result<(Self, bool), NetworkError> {
        let tun = sys::open_tun().map_err(|source| NetworkError::Tun {
            advice: advice(&source),
            source,
        })?;
        let bounds_tcp_backoff = prepare(of, backoff)?;
        let device = sys::configure_interface(tun, INTERFACE, address, mtu)
            .map_err(|error| failed(of, error))?;
        netlink::set_queue_length(INTERFACE, QUEUE_PACKETS)
            .map_err(|source| failed(of, ("set the queue's length", source)))?;
        let kind = Kind::Tun;
        Ok((Self { device, kind }, bounds_tcp_backoff))
    }

    /// Opens a packet socket at the hub's end of an endpoint's cable, in the calling thread's
    /// namespace, and raises that end.
    pub(super) fn open_packet(of: Endpoint) -> Result<Self, NetworkError> {
        let plug = plug(of);
        let index = nix::net::if_::if_nametoindex(plug.as_str())
            .map_err(|errno| failed(of, ("find the cable", errno.into())))?;
        let device =
            sys::open_packet_socket(index, WAITING_BYTES).map_err(|error| failed(of, error))?;
        netlink::raise(&plug).map_err(|source| failed(of, ("raise the cable", source)))?;
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&mac(of));
        // From an address that no endpoint has.
        header[6..12].copy_from_slice(&[0x02, 0, 10, 77, 0xff, 0xff]);
        header[12..].copy_from_slice(&[0x08, 0x00]);
        let kind = Kind::Packet(header);
        Ok(Self { device, kind })
    }

    /// How many packets were dropped since this was asked last, because too many waited to be read.
    /// A TUN device has a queue of its own, from which none is dropped before 10,000 wait.
    pub(super) fn overrun(&self) -> u64 {
        match self.kind {
            Kind::Tun => 0,
            Kind::Packet(_) => sys::overrun(&self.device).unwrap_or(0),
        }
    }

    /// Reads one packet; fails where there is none now.
    pub(super) fn read(&self, packet: &mut [u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Tun => read(&self.device, packet),
            Kind::Packet(_) => {
                let mut header = [0; HEADER];
                let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(packet)];
                readv(&self.device, &mut parts).map(|length| length.saturating_sub(HEADER))
            }
        }
    }

    /// Writes one packet; fails where the receiver takes no more now.
    pub(super) fn write(&self, packet: &[u8]) -> Result<(), Errno> {
        match &self.kind {
            Kind::Tun => write(&self.device, packet).map(drop),
            Kind::Packet(header) => {
                let parts = [IoSlice::new(header), IoSlice::new(packet)];
                writev(&self.device, &parts).map(drop)
            }
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "load the module (`sudo modprobe tun`), or start the container with \
             `--device /dev/net/tun`"
        }
        io::ErrorKind::PermissionDenied => {
            "run as root, or `sudo chmod 0666 /dev/net/tun` (the mode that udev gives it); who \
             does is on a mount with `nodev`, which `findmnt -T /dev/net/tun` tells"
        }
        _ => "the switch needs a TUN device for each node",
    }
}
