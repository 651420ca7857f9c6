//! The switch, measured with sockets of our own rather than with its counters.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    process::ExitCode,
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Grudge, Node,
    network::{Network, Switch, SwitchOptions},
    sandbox::Sandbox,
};

fn main() -> ExitCode {
    support::main(&cases![Inside clients_reach_every_node])
}

fn clients_reach_every_node(sandbox: &Sandbox) {
    let began = Instant::now();
    let switch = Switch::create(sandbox, 5, &SwitchOptions::default()).unwrap();
    eprintln!("5 nodes in {:?}", began.elapsed());
    let client = UdpSocket::bind("0.0.0.0:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    for node in Node::first(5) {
        let at = SocketAddr::new(IpAddr::V4(switch.address(node)), 9000);
        let echo = switch.namespace(node).spawn("echo", move || {
            let socket = UdpSocket::bind(at).unwrap();
            let mut buffer = [0; 100];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&buffer[..length], from).unwrap();
        });
        let mut buffer = [0; 100];
        support::eventually("an echo", || {
            client.send_to(b"hello", at).unwrap();
            client.recv_from(&mut buffer).is_ok()
        });
        echo.unwrap().join().unwrap();
    }
    let cut = switch.cut(&Grudge::isolate(Node(1), 5)).unwrap();
    assert_eq!(switch.heal(cut).unwrap().total(), 0);
}
