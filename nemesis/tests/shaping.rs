//! Packet faults, measured from outside: numbered datagrams from n1 to n2, and when each arrives.
//!
//! No timer decides what is lost: what has no delay is decided about when it is sent, so a fence
//! sent after the heal arrives behind all that ever will; what has one is awaited by number.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Edge, Grudge, Node, PacketEffect,
    network::{FateSeed, Network, NetworkError, Switch, SwitchOptions, address},
    sandbox::Sandbox,
};
use support::line::{Line, PORT, Send, assert_pace, median, numbers, quantile};

fn main() -> ExitCode {
    support::main(&cases![
        Inside a_delay_is_as_long_as_it_says_in_its_direction_only,
        Inside a_delay_with_jitter_spreads_evenly,
        Inside one_seed_loses_the_same_packets_and_another_others,
        Inside doubles_arrive_as_often_as_it_says,
        Inside those_held_back_are_overtaken,
        Inside corrupted_packets_are_dropped_by_their_receivers_checksum,
        Inside altered_payloads_arrive_with_one_bit_flipped,
        Inside a_slow_line_carries_what_it_says,
        Inside a_reset_ends_a_connection_at_both_ends_and_refuses_new_ones,
        Inside new_connections_are_refused_and_open_ones_go_on,
        Inside a_reset_back_crosses_no_cut_and_is_as_late_as_any_packet,
        Inside two_shapings_of_one_edge_add_up_and_heal_separately,
        Inside a_cut_also_stops_packets_that_are_under_way,
        Inside a_heal_releases_what_waits_in_order,
        Inside what_is_not_there_is_refused,
    ])
}

fn line(sandbox: &Sandbox) -> Line {
    let switch = Switch::create(sandbox, 3, &SwitchOptions::default()).unwrap();
    Line::over(Box::new(switch))
}

/// Of 1000 packets met at 10 %: the mean is 100 and the standard deviation 9.5. Four of them are
/// exceeded once in 16,000 seeds, and this seed is one.
fn assert_about_a_hundred(met: usize) {
    assert!((62..=138).contains(&met), "{met} of 1000 at 10 %");
}

fn a_delay_is_as_long_as_it_says_in_its_direction_only(sandbox: &Sandbox) {
    let line = line(sandbox);
    for delay_ms in [1, 50] {
        let id = line.shape(&format!("delay {delay_ms}ms"), 1);
        let send = Send {
            count: 300,
            ..Send::default()
        };
        let arrived = line.measure(&send, 300, || {});
        let (delay, most) = (Duration::from_millis(delay_ms), Duration::from_millis(2));
        let (late, noise) = (median(&arrived), line.noise(750));
        eprintln!("delay {delay_ms} ms: {late:?}, with a noise of {noise:?}");
        assert!(numbers(&arrived).into_iter().eq(0..300), "in order");
        assert!(arrived.iter().all(|arrival| arrival.late >= delay));
        assert!(late < delay + most + noise);
        let backwards = Send {
            backwards: true,
            ..send
        };
        let back = median(&line.measure(&backwards, 300, || {}));
        assert!(back < most + line.noise(750), "the way back: {back:?}");
        line.network.unshape(id).unwrap();
        line.assert_clean();
    }
}

fn a_delay_with_jitter_spreads_evenly(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("delay 30ms ±10ms", 1);
    let arrived = line.measure(&Send::default(), 1000, || {});
    line.network.unshape(id).unwrap();
    // Evenly from 20 to 40 ms: a tenth below 22, half below 30, nine tenths below 38.
    for (permille, expected_ms) in [(100, 22), (500, 30), (900, 38)] {
        let late = quantile(&arrived, permille);
        let off = late.abs_diff(Duration::from_millis(expected_ms));
        let noise = line.noise(950);
        eprintln!("{permille} ‰: {late:?}, with a noise of {noise:?}");
        assert!(off < Duration::from_millis(3) + noise);
    }
    assert!(quantile(&arrived, 0) >= Duration::from_millis(20));
    line.assert_clean();
}

fn one_seed_loses_the_same_packets_and_another_others(sandbox: &Sandbox) {
    let line = line(sandbox);
    let survivors = |seed| {
        let id = line.shape("loss 10%", seed);
        let mut lost = 0;
        let arrived = line.measure(&Send::default(), 0, || {
            lost = line.heal(id, 1000, PacketEffect::Loss);
        });
        let arrived = numbers(&arrived);
        assert_eq!(1000 - arrived.len(), lost);
        arrived
    };
    let first = survivors(1);
    assert_about_a_hundred(1000 - first.len());
    assert_eq!(first, survivors(1));
    assert_ne!(first, survivors(2));
    line.assert_clean();
}

fn doubles_arrive_as_often_as_it_says(sandbox: &Sandbox) {
    let line = line(sandbox);
    let (arrived, doubled) = line.under("duplicate 10%", PacketEffect::Duplicate);
    let distinct: BTreeSet<u32> = numbers(&arrived).into_iter().collect();
    assert_eq!(distinct.len(), 1000, "none is lost");
    assert_eq!(arrived.len() - 1000, doubled);
    assert_about_a_hundred(doubled);
    line.assert_clean();
}

fn those_held_back_are_overtaken(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("reorder 10%", 1);
    let arrived = line.measure(&Send::default(), 1000, || {});
    let reordered = line.network.unshape(id).unwrap().total().effects[&PacketEffect::Reorder];
    let mut latest = 0;
    let mut behind = 0;
    for number in numbers(&arrived) {
        behind += u64::from(number < latest);
        latest = latest.max(number);
    }
    assert_eq!(behind, reordered);
    assert_about_a_hundred(usize::try_from(behind).unwrap());
    line.assert_clean();
}

/// Datagrams that n2's kernel has dropped for their checksum.
fn checksum_errors(network: &dyn Network) -> usize {
    let read = || std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let snmp = network.namespace(Node(2)).spawn("snmp", read).unwrap();
    let snmp = snmp.join().unwrap();
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, errors) = columns.find(|(name, _)| *name == "InCsumErrors").unwrap();
    errors.parse().unwrap()
}

fn corrupted_packets_are_dropped_by_their_receivers_checksum(sandbox: &Sandbox) {
    let line = line(sandbox);
    let (arrived, corrupted) = line.under("corrupt 10%", PacketEffect::Corrupt);
    assert_eq!(1000 - arrived.len(), corrupted);
    assert!(arrived.iter().all(|arrival| arrival.payload == [0; 52]));
    // A flipped bit of a port, or of the length, has the kernel drop it without counting it so.
    let errors = checksum_errors(&*line.network);
    assert!(
        errors <= corrupted && errors * 2 > corrupted,
        "{errors} of {corrupted}"
    );
    assert_about_a_hundred(corrupted);
    line.assert_clean();
}

fn altered_payloads_arrive_with_one_bit_flipped(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("corrupt-deliver 100%", 1);
    let sent = b"the quick brown fox jumps over the lazy dog";
    let to = (address(Node(2)), PORT);
    for _ in 0..100 {
        line.sockets[0].send_to(sent, to).unwrap();
        let mut got = [0; 64];
        let length = line.sockets[1].recv(&mut got).unwrap();
        assert_eq!(length, sent.len());
        let flipped = got.iter().zip(sent).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(flipped.sum::<u32>(), 1);
    }
    let shaped = line.network.unshape(id).unwrap().total();
    assert_eq!(shaped.effects[&PacketEffect::CorruptDeliver], 100);
    line.assert_clean();
}

fn a_slow_line_carries_what_it_says(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("rate 1mbit", 1);
    // 1000 bytes with their headers of 28: 8 ms each.
    let send = Send {
        count: 50,
        every: Duration::ZERO,
        bytes: 972,
        backwards: false,
    };
    let arrived = line.measure(&send, 50, || {});
    line.network.unshape(id).unwrap();
    assert!(numbers(&arrived).into_iter().eq(0..50));
    assert_pace(&arrived, 8);
    line.assert_clean();
}

/// n2 listens, and n1 dials.
fn listen(line: &Line) -> (TcpListener, impl Fn() -> std::io::Result<TcpStream>) {
    let to = SocketAddr::from((address(Node(2)), PORT));
    let bind = move || TcpListener::bind(to).unwrap();
    let listener = line.network.namespace(Node(2)).spawn("listen", bind);
    let n1 = line.network.namespace(Node(1)).clone();
    let dial = move || {
        let dialing = n1.spawn("dial", move || TcpStream::connect(to));
        dialing.unwrap().join().unwrap()
    };
    (listener.unwrap().join().unwrap(), dial)
}

fn a_reset_ends_a_connection_at_both_ends_and_refuses_new_ones(sandbox: &Sandbox) {
    let line = line(sandbox);
    let (listener, dial) = listen(&line);
    let mut near = dial().unwrap();
    let (mut far, _) = listener.accept().unwrap();
    far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    near.write_all(b"a").unwrap();
    far.read_exact(&mut [0]).unwrap();

    let id = line.shape("reset 100%", 1);
    near.write_all(b"b").unwrap();
    let ended = near.read(&mut [0]).unwrap_err().kind();
    assert_eq!(ended, ErrorKind::ConnectionReset);
    let ended = far.read(&mut [0]).unwrap_err().kind();
    assert_eq!(ended, ErrorKind::ConnectionReset);
    let refused = dial().unwrap_err().kind();
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let shaped = line.network.unshape(id).unwrap().total();
    let reset = shaped.effects[&PacketEffect::Reset];
    assert_eq!(reset, 2, "the segment and the SYN");
    let mut near = dial().unwrap();
    near.write_all(b"c").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0]).unwrap();
    line.assert_clean();
}

fn new_connections_are_refused_and_open_ones_go_on(sandbox: &Sandbox) {
    let line = line(sandbox);
    let (listener, dial) = listen(&line);
    let mut near = dial().unwrap();
    let (mut far, _) = listener.accept().unwrap();

    let id = line.shape("refuse 100%", 1);
    for _ in 0..3 {
        let refused = dial().unwrap_err().kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused);
    }
    near.write_all(b"a").unwrap();
    far.read_exact(&mut [0]).unwrap();
    let shaped = line.network.unshape(id).unwrap().total();
    assert_eq!(shaped.effects[&PacketEffect::Refuse], 3);
    dial().unwrap();
    listener.accept().unwrap();
    line.assert_clean();
}

fn a_reset_back_crosses_no_cut_and_is_as_late_as_any_packet(sandbox: &Sandbox) {
    let line = line(sandbox);
    let way_back = Edge::new(Node(2), Node(1));
    let dial = |patience: Duration| {
        let dialling = line.network.namespace(Node(1)).spawn("dial", move || {
            let began = Instant::now();
            let to = SocketAddr::from((address(Node(2)), PORT));
            let kind = TcpStream::connect_timeout(&to, patience)
                .unwrap_err()
                .kind();
            (kind, began.elapsed())
        });
        dialling.unwrap().join().unwrap()
    };
    for shaping in ["reset 100%", "refuse 100%"] {
        let forging = line.shape(shaping, 1);
        let (refused, _) = dial(Duration::from_secs(10));
        assert_eq!(refused, ErrorKind::ConnectionRefused, "{shaping}");

        let cut = line.network.cut(&[way_back].into_iter().collect()).unwrap();
        let (silent, _) = dial(Duration::from_millis(300));
        assert_eq!(silent, ErrorKind::TimedOut, "{shaping}");
        assert!(
            line.network.heal(cut).unwrap().total() > 0,
            "{shaping}: it met the cut"
        );

        let (back, seed) = (BTreeSet::from([way_back]), FateSeed { seed: 1, fault: 2 });
        let late = line
            .network
            .shape(&back, &"delay 100ms".parse().unwrap(), seed)
            .unwrap();
        let (refused, after) = dial(Duration::from_secs(10));
        assert_eq!(refused, ErrorKind::ConnectionRefused, "{shaping}");
        assert!(after >= Duration::from_millis(100), "{shaping}: {after:?}");
        let met = line.network.unshape(late).unwrap().total();
        assert!(met.effects[&PacketEffect::Delay] > 0, "{shaping}");

        // Where both ways are so, nothing answers a reset of ours.
        let both = line
            .network
            .shape(&back, &shaping.parse().unwrap(), seed)
            .unwrap();
        let (refused, _) = dial(Duration::from_secs(10));
        assert_eq!(refused, ErrorKind::ConnectionRefused, "{shaping}");
        line.network.unshape(both).unwrap();
        line.network.unshape(forging).unwrap();
    }
    line.assert_clean();
}

fn two_shapings_of_one_edge_add_up_and_heal_separately(sandbox: &Sandbox) {
    let line = line(sandbox);
    let send = Send {
        count: 100,
        ..Send::default()
    };
    let first = line.shape("delay 10ms", 1);
    let second = line.shape("delay 20ms", 1);
    let is_late_by = |expected_ms| {
        let late = median(&line.measure(&send, 100, || {}));
        let off = late.abs_diff(Duration::from_millis(expected_ms));
        assert!(off < Duration::from_millis(2) + line.noise(750), "{late:?}");
    };
    is_late_by(30);
    line.network.unshape(first).unwrap();
    assert_eq!(line.network.shapings(), [second]);
    is_late_by(20);
    line.network.unshape(second).unwrap();
    line.assert_clean();
}

fn a_cut_also_stops_packets_that_are_under_way(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("delay 100ms", 1);
    for _ in 0..10 {
        line.sockets[0]
            .send_to(b"late", (address(Node(2)), PORT))
            .unwrap();
    }
    support::eventually("all are under way", || {
        line.network.shaped(id).unwrap().total().packets == 10
    });
    let grudge: Grudge = [Edge::new(Node(1), Node(2))].into_iter().collect();
    let cut = line.network.cut(&grudge).unwrap();
    support::eventually("the cut has met all of them", || {
        line.network.dropped(cut).unwrap().total() == 10
    });
    line.network.heal(cut).unwrap();
    line.network.unshape(id).unwrap();
    line.assert_clean();
}

fn a_heal_releases_what_waits_in_order(sandbox: &Sandbox) {
    let line = line(sandbox);
    let id = line.shape("delay 60s ±60s", 1);
    let send = Send {
        count: 50,
        ..Send::default()
    };
    let healed = || {
        line.heal(id, 50, PacketEffect::Delay);
    };
    let arrived = line.measure(&send, 0, healed);
    assert_eq!(arrived.len(), 50, "before the fence");
    line.assert_clean();
}

fn what_is_not_there_is_refused(sandbox: &Sandbox) {
    let line = line(sandbox);
    let edges = BTreeSet::from([Edge::new(Node(1), Node(4))]);
    let seed = FateSeed { seed: 1, fault: 1 };
    let shaping = "loss 5%".parse().unwrap();
    let error = line.network.shape(&edges, &shaping, seed).unwrap_err();
    assert_eq!(error.to_string(), "there is no n4 in this network");
    let id = line.shape("loss 5%", 1);
    line.network.unshape(id).unwrap();
    for error in [line.network.unshape(id), line.network.shaped(id)] {
        assert!(matches!(error, Err(NetworkError::NoSuchShaping(gone)) if gone == id));
    }
}
