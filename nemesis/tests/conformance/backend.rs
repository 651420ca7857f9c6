//! The backends of the network, and what it takes to have one.

use ordeal_nemesis::{
    network::{
        self, IptablesOptions, Network, NetworkError, Ports, Switch, SwitchOptions, Variant,
    },
    sandbox::Sandbox,
};

use crate::support;

/// A backend as a type, so that a measurement on it is a plain function.
pub(crate) trait Backend {
    /// Its name in the table.
    const NAME: &'static str;
    /// What it takes, in a word of `ORDEAL_REQUIRE`.
    const WORD: &'static str;

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError>;
}

/// The switch over whatever it finds.
pub(crate) struct Auto;
pub(crate) struct Tun;
pub(crate) struct Packet;
pub(crate) struct Iptables;
pub(crate) struct IptablesLegacy;

fn switch(sandbox: &Sandbox, nodes: u16, ports: Ports) -> Result<Box<dyn Network>, NetworkError> {
    let options = SwitchOptions {
        ports,
        ..SwitchOptions::default()
    };
    Ok(Box::new(Switch::create(sandbox, nodes, &options)?))
}

fn iptables(
    sandbox: &Sandbox,
    nodes: u16,
    variant: Variant,
) -> Result<Box<dyn Network>, NetworkError> {
    let options = IptablesOptions {
        variant,
        ..IptablesOptions::default()
    };
    let made = network::Iptables::create(sandbox, nodes, &options)?;
    Ok(Box::new(made))
}

impl Backend for Auto {
    const NAME: &'static str = "switch";
    const WORD: &'static str = "switch";

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError> {
        switch(sandbox, nodes, Ports::Auto)
    }
}

impl Backend for Tun {
    const NAME: &'static str = "switch";
    const WORD: &'static str = "tun";

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError> {
        switch(sandbox, nodes, Ports::Tun)
    }
}

impl Backend for Packet {
    const NAME: &'static str = "switch, `AF_PACKET`";
    const WORD: &'static str = "packet-sockets";

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError> {
        switch(sandbox, nodes, Ports::Packet)
    }
}

impl Backend for Iptables {
    const NAME: &'static str = "iptables (nft)";
    const WORD: &'static str = "iptables-nft";

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError> {
        iptables(sandbox, nodes, Variant::Nft)
    }
}

impl Backend for IptablesLegacy {
    const NAME: &'static str = "iptables (legacy)";
    const WORD: &'static str = "iptables-legacy";

    fn create(sandbox: &Sandbox, nodes: u16) -> Result<Box<dyn Network>, NetworkError> {
        iptables(sandbox, nodes, Variant::Legacy)
    }
}

/// A network of this backend; where this machine lacks what it takes, nothing, once that was
/// refused with what to do and the test told as ignored.
pub(crate) fn network<B: Backend>(sandbox: &Sandbox, nodes: u16) -> Option<Box<dyn Network>> {
    let error = match B::create(sandbox, nodes) {
        Ok(network) => return Some(network),
        Err(error) => error,
    };
    let text = error.to_string();
    match error {
        NetworkError::Missing { .. } => {
            assert!(text.contains("sudo apt install ip"), "{text}");
            support::lacks(B::WORD, text);
        }
        NetworkError::Tun { .. } => {
            assert!(text.contains("/dev/net/tun"), "{text}");
            support::lacks(B::WORD, text);
        }
        // The programs are there, and the kernel refuses what they ask for.
        _ => support::lacks(B::WORD, format!("{}: {text}", B::NAME)),
    }
    None
}
