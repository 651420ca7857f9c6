//! Requests to rtnetlink (rtnetlink(7)), for what has no ioctl, or one that asks for rights on the
//! whole machine: queue lengths, veth pairs, bridges. Each is asked in the calling thread's network
//! namespace, and awaits the kernel's answer.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// Sets how many packets wait in the queue of `interface`.
pub(super) fn set_queue_length(interface: &str, packets: u32) -> io::Result<()> {
    let mut request = Request::on(&Header::named(interface));
    request.attribute(libc::IFLA_TXQLEN, &packets.to_ne_bytes());
    request.ask()
}

/// Makes a pair of joined interfaces: `name` here, and `peer` with the hardware address `mac` in
/// the other namespace.
pub(super) fn add_veth(
    name: &str,
    peer: &str,
    mac: Mac,
    namespace: BorrowedFd<'_>,
) -> io::Result<()> {
    const VETH_INFO_PEER: u16 = 1;
    let mut other = vec![0; INTERFACE_INFO];
    attribute(&mut other, libc::IFLA_IFNAME, &text(peer));
    attribute(&mut other, libc::IFLA_ADDRESS, &mac);
    let descriptor = namespace.as_raw_fd().to_ne_bytes();
    attribute(&mut other, libc::IFLA_NET_NS_FD, &descriptor);
    let mut data = Vec::new();
    attribute(&mut data, VETH_INFO_PEER, &other);
    add(name, "veth", &data)
}

/// Makes a bridge.
pub(super) fn add_bridge(name: &str) -> io::Result<()> {
    add(name, "bridge", &[])
}

/// Makes `interface` a port of the bridge whose index is given, and raises it.
pub(super) fn enslave(interface: &str, bridge: u32) -> io::Result<()> {
    let mut request = Request::on(&Header::named(interface));
    request.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
    request.ask()?;
    raise(interface)
}

/// Raises an interface.
pub(super) fn raise(interface: &str) -> io::Result<()> {
    let up = libc::IFF_UP.unsigned_abs();
    Request::on(&Header {
        flags: up,
        change: up,
        ..Header::named(interface)
    })
    .ask()
}

/// Has an interface resolve no addresses: whatever it sends is for whoever is at its other end.
pub(super) fn set_no_arp(interface: &str) -> io::Result<()> {
    let no_arp = libc::IFF_NOARP.unsigned_abs();
    Request::on(&Header {
        flags: no_arp,
        change: no_arp,
        ..Header::named(interface)
    })
    .ask()
}

/// Whether the kernel has found out that an interface can work, and has its queue take packets:
/// that is when it says that it is in operation (RFC 2863).
///
/// `IFF_RUNNING` does not tell: until the kernel has looked for the first time, it stands for "not
/// known to be down", while all that is sent is dropped.
pub(super) fn is_in_operation(interface: &str) -> io::Result<bool> {
    const IF_OPER_UP: u8 = 6;
    let request = Request::on(&Header {
        kind: libc::RTM_GETLINK,
        ..Header::named(interface)
    });
    let answer = request.exchange()?;
    let kind = answer.get(4..6).unwrap_or_default();
    if kind == libc::RTM_NEWLINK.to_ne_bytes() {
        let attributes = answer.get(16 + INTERFACE_INFO..).unwrap_or_default();
        let state = value(attributes, libc::IFLA_OPERSTATE);
        return Ok(state == Some(&[IF_OPER_UP]));
    }
    acknowledged(&answer).and(Ok(false))
}

/// Removes an interface, and with a veth its peer.
pub(super) fn remove(interface: &str) -> io::Result<()> {
    Request::on(&Header {
        kind: libc::RTM_DELLINK,
        ..Header::named(interface)
    })
    .ask()
}

fn add(name: &str, kind: &str, data: &[u8]) -> io::Result<()> {
    const INFO_KIND: u16 = 1;
    const INFO_DATA: u16 = 2;
    let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut request = Request::on(&Header {
        more_flags: u16::try_from(create).expect("netlink flags are 16 bits"),
        ..Header::named(name)
    });
    let mut info = Vec::new();
    attribute(&mut info, INFO_KIND, kind.as_bytes());
    if !data.is_empty() {
        attribute(&mut info, INFO_DATA, data);
    }
    request.attribute(libc::IFLA_LINKINFO, &info);
    request.ask()
}

/// The length of an `ifinfomsg`.
const INTERFACE_INFO: usize = 16;

/// What a request is about.
struct Header<'a> {
    kind: u16,
    more_flags: u16,
    /// Found by its name, which is an attribute.
    interface: &'a str,
    flags: u32,
    change: u32,
}

impl<'a> Header<'a> {
    fn named(interface: &'a str) -> Self {
        Self {
            kind: libc::RTM_NEWLINK,
            more_flags: 0,
            interface,
            flags: 0,
            change: 0,
        }
    }
}

/// A message in the making, without its leading length.
struct Request(Vec<u8>);

impl Request {
    fn on(header: &Header<'_>) -> Self {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let flags = u16::try_from(flags).expect("netlink flags are 16 bits");
        let mut body = Vec::new();
        body.extend(header.kind.to_ne_bytes());
        body.extend((flags | header.more_flags).to_ne_bytes());
        // Sequence and port: 0, for there is one question and one who asks.
        body.extend([0; 8]);
        // An `ifinfomsg` without an index: the interface is found by its name.
        body.extend([0; 8]);
        body.extend(header.flags.to_ne_bytes());
        body.extend(header.change.to_ne_bytes());
        let mut request = Self(body);
        request.attribute(libc::IFLA_IFNAME, &text(header.interface));
        request
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        attribute(&mut self.0, kind, value);
    }

    fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() + 4).expect("the request is short");
        [length.to_ne_bytes().as_slice(), &self.0].concat()
    }

    fn ask(&self) -> io::Result<()> {
        acknowledged(&self.exchange()?)
    }

    /// Asks the kernel, and returns the first message of its answer.
    fn exchange(&self) -> io::Result<Vec<u8>> {
        let kind = (
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        );
        let socket: OwnedFd = socket(AddressFamily::Netlink, kind.0, kind.1, kind.2)?;
        let kernel = NetlinkAddr::new(0, 0);
        sendto(
            socket.as_raw_fd(),
            &self.bytes(),
            &kernel,
            MsgFlags::empty(),
        )?;
        // What is told of one interface is about 1.5 KiB.
        let mut answer = vec![0; 32 << 10];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        answer.truncate(length);
        Ok(answer)
    }
}

/// Reads an answer that tells nothing but whether it was done.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    // After the header of 16 bytes: 0, or a negated error number.
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::other("the kernel's answer is cut short")),
    }
}

/// The value of the first attribute of a kind.
fn value(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, rest) = attributes.split_first_chunk::<2>()?;
        let (kind, _) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        if u16::from_ne_bytes(*kind) == wanted {
            return attributes.get(4..length);
        }
        // One that is shorter than its own head has no next one.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// A name as netlink wants it.
fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Appends one attribute: length, type, value, padded to 4 bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("attributes are short");
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_its_own_length_and_is_aligned() {
        for name in ["eth0", "lo", "a"] {
            let request = Request::on(&Header::named(name)).bytes();
            let said = u32::from_ne_bytes(request[..4].try_into().unwrap());
            assert_eq!(usize::try_from(said).unwrap(), request.len());
            assert_eq!(request.len() % 4, 0);
        }
    }

    #[test]
    fn an_attribute_is_found_by_its_kind_and_a_cut_one_is_none() {
        let mut all = Vec::new();
        attribute(&mut all, 3, &text("eth0"));
        attribute(&mut all, 16, &[6]);
        assert_eq!(value(&all, 3), Some(b"eth0\0".as_slice()));
        assert_eq!(value(&all, 16), Some([6].as_slice()));
        assert_eq!(value(&all, 17), None);
        assert_eq!(value(&all[..16], 16), None);
        assert_eq!(value(&[0; 8], 1), None);
    }

    #[test]
    fn the_loopback_interface_says_how_it_is_and_one_that_is_not_there_is_an_error() {
        // It has no link to be found out about.
        assert!(!is_in_operation("lo").unwrap());
        let error = is_in_operation("no-such-if").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = set_queue_length("no-such-if", 1).unwrap_err();
        // Without the rights to ask, the kernel may refuse before it looks.
        assert!(
            matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)),
            "{error}"
        );
    }
}
