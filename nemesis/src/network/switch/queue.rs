//! The length of an interface's queue, set by netlink: the ioctl for it asks for rights on the
//! whole machine, which a user namespace has not.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// Sets how many packets wait in the queue of `interface`, in the calling thread's namespace.
pub(super) fn set_length(interface: &str, packets: u32) -> io::Result<()> {
    let kind = (
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    );
    let socket: OwnedFd = socket(AddressFamily::Netlink, kind.0, kind.1, kind.2)?;
    let request = request(interface, packets);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
    let mut answer = [0; 256];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // After the header of 16 bytes: 0, or a negated error number.
    let code = answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::other("the kernel's answer is cut short")),
    }
}

/// `RTM_NEWLINK` for an existing interface: its name and its new queue length (rtnetlink(7)).
fn request(interface: &str, packets: u32) -> Vec<u8> {
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    let flags = u16::try_from(flags).expect("netlink flags are 16 bits");
    let mut body = Vec::new();
    body.extend(libc::RTM_NEWLINK.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    // Sequence and port: 0, for there is one question and one who asks.
    body.extend([0; 8]);
    // An `ifinfomsg` of zeroes: the interface is found by its name.
    body.extend([0; 16]);
    let mut name = interface.as_bytes().to_vec();
    name.push(0);
    attribute(&mut body, libc::IFLA_IFNAME, &name);
    attribute(&mut body, libc::IFLA_TXQLEN, &packets.to_ne_bytes());
    let length = u32::try_from(body.len() + 4).expect("the request is short");
    [length.to_ne_bytes().as_slice(), &body].concat()
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
            let request = request(name, 10_000);
            let said = u32::from_ne_bytes(request[..4].try_into().unwrap());
            assert_eq!(usize::try_from(said).unwrap(), request.len());
            assert_eq!(request.len() % 4, 0);
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = set_length("no-such-if", 1).unwrap_err();
        // Without the rights to ask, the kernel may refuse before it looks.
        assert!(
            matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)),
            "{error}"
        );
    }
}
