//! The switch, measured with sockets of our own rather than with its counters; and what a fault
//! leaves that the kernel's own network takes at one node and refuses at another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "network/backoff.rs"]
mod backoff;
#[path = "network/half.rs"]
mod half;
#[path = "network/others.rs"]
mod others;
mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use backoff::{
    a_cut_is_over_at_its_heal_and_tells_the_backoff,
    a_cut_that_nobody_meets_is_met_by_nothing_of_ours, a_stopped_run_waits_for_no_connection,
    tcp_backoff_outlasts_a_cut_where_it_is_not_bounded,
};
use half::{half_installed, what_is_half_installed_is_known_until_it_is_healed};
use ordeal_nemesis::{
    Edge, Endpoint, Grudge, Node,
    network::{CutId, Network, NetworkError, Ports, Switch, SwitchOptions, Traffic, address},
    sandbox::Sandbox,
};
use others::{
    what_others_remove_is_gone_and_told_with_legacy, what_others_remove_is_gone_and_told_with_nft,
};
use support::{
    line::PORT,
    probes::{Probes, at, of, set},
};

fn main() -> ExitCode {
    support::main(&cases![
        Inside every_pair_is_connected_until_cut,
        Inside the_first_packets_pass_on_a_busy_machine,
        Inside a_cut_blocks_exactly_the_given_directions,
        Inside overlapping_cuts_heal_separately,
        Inside an_open_connection_outlives_a_cut,
        Inside a_new_connection_waits_for_the_heal,
        Inside fifty_nodes_fit,
        Inside a_command_runs_in_its_nodes_namespace,
        Inside tcp_backoff_is_bounded_where_the_kernel_can,
        Inside tcp_backoff_outlasts_a_cut_where_it_is_not_bounded,
        Inside a_cut_is_over_at_its_heal_and_tells_the_backoff,
        Inside a_stopped_run_waits_for_no_connection,
        Inside a_cut_that_nobody_meets_is_met_by_nothing_of_ours,
        Inside what_is_not_there_is_refused,
        Inside a_dropped_switch_makes_room_for_another,
        Outside what_is_half_installed_is_known_until_it_is_healed,
        Program half_installed,
        Inside what_others_remove_is_gone_and_told_with_nft,
        Inside what_others_remove_is_gone_and_told_with_legacy,
    ])
}

fn switch(sandbox: &Sandbox, nodes: u16) -> Switch {
    Switch::create(sandbox, nodes, &SwitchOptions::default()).unwrap()
}

fn every_pair_is_connected_until_cut(sandbox: &Sandbox) {
    let switch = switch(sandbox, 5);
    Probes::new(&switch).assert_blocked(&Grudge::default(), "without any cut");
    // 30 ordered pairs and 6 fences. The switch counts a packet after it has delivered it.
    let all = Traffic {
        forwarded: 36,
        cut: 0,
        undelivered: 0,
        overrun: 0,
    };
    support::eventually("every packet is counted", || switch.traffic() == all);
}

/// A network that is made is one that carries: the kernel opens the queue of a cable's end when it
/// gets to it, and on a busy machine packets that were sent before that went missing.
fn the_first_packets_pass_on_a_busy_machine(sandbox: &Sandbox) {
    // Each in a session of its own: processors are divided between sessions.
    let busy = || {
        let mut command = Command::new("setsid");
        let spin = ["sh", "-c", "while :; do :; done"];
        command.args(spin).spawn().unwrap()
    };
    let mut busy: Vec<_> = (0..6).map(|_| busy()).collect();
    for _ in 0..10 {
        let options = SwitchOptions {
            ports: Ports::Packet,
            ..SwitchOptions::default()
        };
        let switch = Switch::create(sandbox, 3, &options).unwrap();
        Probes::new(&switch).assert_blocked(&Grudge::default(), "at once");
        assert_eq!(switch.lost_unasked(), Some(0));
    }
    for process in &mut busy {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

fn a_cut_blocks_exactly_the_given_directions(sandbox: &Sandbox) {
    let switch = switch(sandbox, 5);
    let mut probes = Probes::new(&switch);
    let order: Vec<Node> = [3, 1, 5, 2, 4].map(Node).into();
    for grudge in [
        Grudge::halves(&set(&[1, 2]), &set(&[3, 4, 5])),
        Grudge::isolate(Node(3), 5),
        Grudge::ring(&order),
        Grudge::one_way(&set(&[1]), &set(&[2])),
        Grudge::one_way(&set(&[2, 4]), &set(&[1, 3, 5])),
        Grudge::clients(&set(&[1, 5])),
        of("bridge n1 n2 | n3 | n4 n5"),
        of("isolate leaders"),
        of("cut n1 -> n2 n3, n4 | clients"),
        [
            Edge::new(Endpoint::Clients, Node(2)),
            Edge::new(Node(4), Endpoint::Clients),
        ]
        .into_iter()
        .collect(),
    ] {
        let cut = switch.cut(&grudge).unwrap();
        probes.assert_blocked(&grudge, &format!("with cut {grudge}"));
        // One probe went over every blocked edge, so the proof must say exactly that.
        let dropped = switch.heal(cut).unwrap();
        assert!(
            dropped.packets.values().all(|packets| *packets == 1),
            "{dropped:?}"
        );
        assert_eq!(dropped.packets.len(), grudge.len());
        probes.assert_blocked(&Grudge::default(), &format!("after healing {grudge}"));
    }
    assert!(switch.cuts().is_empty());
}

fn overlapping_cuts_heal_separately(sandbox: &Sandbox) {
    let switch = switch(sandbox, 4);
    let mut probes = Probes::new(&switch);
    let isolate = Grudge::isolate(Node(1), 4);
    let one_way = Grudge::one_way(&set(&[1, 2]), &set(&[3]));
    let union: Grudge = isolate.edges().chain(one_way.edges()).collect();

    let first = switch.cut(&isolate).unwrap();
    let second = switch.cut(&one_way).unwrap();
    probes.assert_blocked(&union, "both");
    let in_both = Edge::new(Node(1), Node(3));
    let dropped = switch.heal(first).unwrap();
    assert_eq!(
        dropped.packets[&in_both], 1,
        "a packet that both block counts for each"
    );
    assert_eq!(switch.dropped(second).unwrap().packets[&in_both], 1);
    probes.assert_blocked(&one_way, "the second alone");
    assert_eq!(switch.cuts(), [second]);
    switch.heal(second).unwrap();
    probes.assert_blocked(&Grudge::default(), "none");
    assert!(matches!(switch.heal(second), Err(NetworkError::NoSuchCut(cut)) if cut == second));
}

/// Echoes whatever comes on every connection to a node's port.
fn serve_echo(switch: &Switch, node: Node) {
    let listening = switch.namespace(node).spawn("echo", move || {
        TcpListener::bind((address(node), PORT)).unwrap()
    });
    let listener = listening.unwrap().join().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

fn echo(stream: &mut TcpStream, byte: u8) -> std::io::Result<()> {
    stream.write_all(&[byte])?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, [byte]);
    Ok(())
}

fn an_open_connection_outlives_a_cut(sandbox: &Sandbox) {
    let switch = switch(sandbox, 2);
    serve_echo(&switch, Node(1));
    let connect = || TcpStream::connect(at(Node(1).into())).unwrap();
    let mut stream = switch
        .namespace(Node(2))
        .spawn("dial", connect)
        .unwrap()
        .join()
        .unwrap();
    stream.set_nodelay(true).unwrap();
    echo(&mut stream, 1).unwrap();

    // The answers are lost, the questions are not.
    let cut = switch
        .cut(&Grudge::one_way(&set(&[1]), &set(&[2])))
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert_eq!(
        echo(&mut stream, 2).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert!(switch.heal(cut).unwrap().total() >= 1);
    let healed = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        answer,
        [2],
        "the answer given during the cut arrives late, not never"
    );
    eprintln!("resumed {:?} after the heal", healed.elapsed());
}

fn a_new_connection_waits_for_the_heal(sandbox: &Sandbox) {
    let switch = switch(sandbox, 2);
    serve_echo(&switch, Node(1));
    let cut = switch.cut(&Grudge::clients(&set(&[1]))).unwrap();
    let refused = TcpStream::connect_timeout(&at(Node(1).into()), Duration::from_millis(200));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TimedOut);
    // The other node still hears it.
    let dial = || TcpStream::connect(at(Node(1).into())).and_then(|mut s| echo(&mut s, 1));
    switch
        .namespace(Node(2))
        .spawn("dial", dial)
        .unwrap()
        .join()
        .unwrap()
        .unwrap();
    switch.heal(cut).unwrap();
    echo(&mut TcpStream::connect(at(Node(1).into())).unwrap(), 1).unwrap();
}

fn fifty_nodes_fit(sandbox: &Sandbox) {
    let switch = switch(sandbox, 50);
    let mut probes = Probes::new(&switch);
    let cut = Grudge::isolate(Node(50), 50);
    switch.cut(&cut).unwrap();
    probes.assert_blocked(&cut, "fifty nodes");
}

fn a_command_runs_in_its_nodes_namespace(sandbox: &Sandbox) {
    let switch = switch(sandbox, 2);
    // A listener on n2's own address can exist in n2's namespace only.
    let mut command = Command::new("/bin/cat");
    command.arg("/proc/self/net/fib_trie");
    switch.namespace(Node(2)).contain(&mut command);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        output.contains("10.77.0.2") && !output.contains("10.77.0.1\n"),
        "{output}"
    );
}

fn tcp_backoff_is_bounded_where_the_kernel_can(sandbox: &Sandbox) {
    let switch = switch(sandbox, 2);
    let read = || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rto_max_ms").ok();
    let inside = switch
        .namespace(Node(2))
        .spawn("read", read)
        .unwrap()
        .join()
        .unwrap();
    for setting in [inside, read()] {
        assert_eq!(
            setting.as_deref().map(str::trim),
            switch.bounds_tcp_backoff().then_some("1000")
        );
    }
}

fn what_is_not_there_is_refused(sandbox: &Sandbox) {
    for nodes in [0, 51, 2000] {
        let error = Switch::create(sandbox, nodes, &SwitchOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("a network has 1 to 50 nodes, not {nodes}")
        );
    }
    let switch = switch(sandbox, 2);
    let error = Switch::create(sandbox, 2, &SwitchOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is a network in this sandbox already; drop it first"
    );
    let error = switch.cut(&Grudge::isolate(Node(3), 3)).unwrap_err();
    assert_eq!(error.to_string(), "there is no n3 in this network");
    assert!(matches!(
        switch.dropped(CutId(77)),
        Err(NetworkError::NoSuchCut(_))
    ));
    assert_eq!(switch.address(Node(1)), Ipv4Addr::new(10, 77, 0, 1));
}

fn a_dropped_switch_makes_room_for_another(sandbox: &Sandbox) {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    for nodes in [3, 5] {
        drop(switch(sandbox, nodes));
        support::eventually("only the main thread is left", || threads() == 1);
        assert!(
            !std::fs::read_to_string("/proc/net/dev")
                .unwrap()
                .contains("eth0")
        );
    }
}
