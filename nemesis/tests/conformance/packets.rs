//! What is done to packets: numbered datagrams from n1 to n2, and connections.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use ordeal_nemesis::{
    Edge, Node, PacketEffect,
    network::{FateSeed, NetworkError, ShapingId, address},
    sandbox::Sandbox,
};

use crate::{
    backend::{Backend, network},
    support::{
        eventually, lacks,
        line::{Arrival, Line, PORT, Send, assert_pace, median, numbers, quantile, slack},
    },
};

/// Of 1000 packets met at 10 %: the mean is 100 and the standard deviation 9.5; four of them. Once
/// in 16,000 times the kernel's dice, which have no seed, exceed it.
const ABOUT_A_HUNDRED: std::ops::RangeInclusive<usize> = 62..=138;

/// From n1 to n2.
fn edges() -> BTreeSet<Edge> {
    BTreeSet::from([Edge::new(Node(1), Node(2))])
}

const SEED: FateSeed = FateSeed { seed: 1, fault: 1 };

/// A line of this backend with n1 -> n2 shaped; where this kernel lacks netem, nothing, once that
/// was refused with the reason, had left nothing, and the test was told as ignored.
fn shaped<B: Backend>(sandbox: &Sandbox, shaping: &str) -> Option<(Line, ShapingId)> {
    let line = Line::over(network::<B>(sandbox, 3)?);
    line.assert_clean();
    let error = match line
        .network
        .shape(&edges(), &shaping.parse().unwrap(), SEED)
    {
        Ok(id) => return Some((line, id)),
        Err(error) => error,
    };
    let text = error.to_string();
    // What tc says of a qdisc that the kernel has not.
    let is_about_netem = text.contains("qdisc kind is unknown");
    let is_told = matches!(error, NetworkError::Tool { .. }) && is_about_netem;
    assert!(is_told && B::NAME.starts_with("iptables"), "{text}");
    line.assert_clean();
    lacks("netem", text);
    None
}

/// What no rule and no qdisc does is refused, with what does it, and leaves nothing.
pub(crate) fn refuses_corrupt_deliver<B: Backend>(sandbox: &Sandbox) {
    let Some(network) = network::<B>(sandbox, 3) else {
        return;
    };
    let line = Line::over(network);
    let shaping = "corrupt-deliver 100%".parse().unwrap();
    let error = line.network.shape(&edges(), &shaping, SEED).unwrap_err();
    assert!(matches!(error, NetworkError::Cannot { .. }), "{error}");
    assert!(error.to_string().contains("--network switch"), "{error}");
    line.assert_clean();
}

/// 1000 datagrams under a shaping that delays nothing; what arrived, and how many packets met with
/// `effect` as the backend has it. The shaping is gone afterwards.
fn under<B: Backend>(
    sandbox: &Sandbox,
    shaping: &str,
    effect: PacketEffect,
) -> Option<(Vec<Arrival>, usize)> {
    let (line, id) = shaped::<B>(sandbox, shaping)?;
    let mut met = 0;
    let arrived = line.measure(&Send::default(), 0, || met = line.heal(id, 1000, effect));
    line.assert_clean();
    Some((arrived, met))
}

pub(crate) fn delay<B: Backend>(sandbox: &Sandbox) {
    let Some((line, id)) = shaped::<B>(sandbox, "delay 50ms") else {
        return;
    };
    let send = Send {
        count: 300,
        ..Send::default()
    };
    let arrived = line.measure(&send, 300, || {});
    let (late, late_noise) = (median(&arrived), line.noise(750) + slack());
    let back = Send {
        backwards: true,
        ..send
    };
    let back = median(&line.measure(&back, 300, || {}));
    let back_noise = line.noise(750) + slack();
    line.network.unshape(id).unwrap();
    eprintln!(
        "late by {late:?}, back by {back:?}; with noises of {late_noise:?} and {back_noise:?}"
    );
    let mut order = numbers(&arrived);
    // The kernel lets packets of one flow overtake each other on their way over two processors.
    if B::NAME.starts_with("iptables") {
        order.sort_unstable();
    }
    assert!(order.into_iter().eq(0..300), "in order");
    let [delay, most] = [50, 2].map(Duration::from_millis);
    assert!(late >= delay && late < delay + most + late_noise);
    assert!(back < most + back_noise);
    line.assert_clean();
}

pub(crate) fn jitter<B: Backend>(sandbox: &Sandbox) {
    let Some((line, id)) = shaped::<B>(sandbox, "delay 30ms ±10ms") else {
        return;
    };
    let arrived = line.measure(&Send::default(), 1000, || {});
    line.network.unshape(id).unwrap();
    // Evenly from 20 to 40 ms: a tenth below 22, half below 30, nine tenths below 38.
    for (permille, expected_ms) in [(100, 22), (500, 30), (900, 38)] {
        let late = quantile(&arrived, permille);
        let off = late.abs_diff(Duration::from_millis(expected_ms));
        let noise = line.noise(950) + slack();
        eprintln!("{permille} ‰: {late:?}, with a noise of {noise:?}");
        assert!(off < Duration::from_millis(3) + noise);
    }
    spreads_as_asked(&line, &arrived);
    line.assert_clean();
}

/// The half in the middle lies within 10 ms: of 1000 that fall evenly into 20 ms, by 0.3 ms more or
/// less, so 8.5 is five of these below. What a slow machine adds makes it wider, never narrower: by
/// about as much as it spreads a delay of the same length without any jitter, which is measured
/// too, and twice that at most. Where the quantiles have slack, that must be so little that twice
/// the jitter is told from it: then neither none, half nor twice the jitter passes.
fn spreads_as_asked(line: &Line, arrived: &[Arrival]) {
    let spread = |arrived: &[Arrival]| quantile(arrived, 750) - quantile(arrived, 250);
    let id = line.shape("delay 30ms", 1);
    let even = spread(&line.measure(&Send::default(), 1000, || {}));
    line.network.unshape(id).unwrap();
    let spread = spread(arrived);
    eprintln!("half of them within {spread:?}, and within {even:?} without jitter");
    assert!(
        even < Duration::from_millis(5),
        "{even:?}: no line to measure on"
    );
    let [least, most] = [8_500, 11_500].map(Duration::from_micros);
    assert!(
        spread > least && spread < most + even,
        "{spread:?}, {even:?}"
    );
}

pub(crate) fn loss<B: Backend>(sandbox: &Sandbox) {
    let Some((arrived, lost)) = under::<B>(sandbox, "loss 10%", PacketEffect::Loss) else {
        return;
    };
    assert_eq!(1000 - arrived.len(), lost);
    assert!(ABOUT_A_HUNDRED.contains(&lost), "{lost}");
}

pub(crate) fn duplicate<B: Backend>(sandbox: &Sandbox) {
    let effect = PacketEffect::Duplicate;
    let Some((arrived, doubled)) = under::<B>(sandbox, "duplicate 10%", effect) else {
        return;
    };
    let distinct: BTreeSet<u32> = numbers(&arrived).into_iter().collect();
    assert_eq!(distinct.len(), 1000, "none is lost");
    assert_eq!(arrived.len() - 1000, doubled);
    assert!(ABOUT_A_HUNDRED.contains(&doubled), "{doubled}");
}

pub(crate) fn reorder<B: Backend>(sandbox: &Sandbox) {
    let Some((line, id)) = shaped::<B>(sandbox, "reorder 10%") else {
        return;
    };
    let arrived = line.measure(&Send::default(), 1000, || {});
    let met = line.network.unshape(id).unwrap().total().effects[&PacketEffect::Reorder];
    let (mut latest, mut behind) = (0, 0_usize);
    for number in numbers(&arrived) {
        behind += usize::from(number < latest);
        latest = latest.max(number);
    }
    assert!(ABOUT_A_HUNDRED.contains(&behind), "{behind}");
    // Of those held back, the last may have nobody behind them.
    let met = usize::try_from(met).unwrap();
    assert!((behind..=behind + 20).contains(&met), "{met} for {behind}");
    line.assert_clean();
}

pub(crate) fn corrupt<B: Backend>(sandbox: &Sandbox) {
    let effect = PacketEffect::Corrupt;
    let Some((arrived, corrupted)) = under::<B>(sandbox, "corrupt 10%", effect) else {
        return;
    };
    assert!(ABOUT_A_HUNDRED.contains(&corrupted), "{corrupted}");
    assert!(arrived.iter().all(|arrival| arrival.payload == [0; 52]));
    // The kernel flips bits of the Ethernet header too, of which the sender's address is checked
    // by nobody: 6 of 106 bytes.
    let missing = 1000 - arrived.len();
    assert!(
        missing <= corrupted && missing * 10 >= corrupted * 8,
        "{missing} of {corrupted}"
    );
}

pub(crate) fn corrupt_deliver<B: Backend>(sandbox: &Sandbox) {
    let Some((line, id)) = shaped::<B>(sandbox, "corrupt-deliver 100%") else {
        return;
    };
    let sent = b"the quick brown fox jumps over the lazy dog";
    for _ in 0..100 {
        line.sockets[0]
            .send_to(sent, (address(Node(2)), PORT))
            .unwrap();
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

pub(crate) fn rate<B: Backend>(sandbox: &Sandbox) {
    let Some((line, id)) = shaped::<B>(sandbox, "rate 1mbit") else {
        return;
    };
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

pub(crate) fn reset<B: Backend>(sandbox: &Sandbox) {
    let Some(network) = network::<B>(sandbox, 3) else {
        return;
    };
    let line = Line::over(network);
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
    // With iptables, the other end hears of it when it next says something.
    if B::NAME.starts_with("iptables") {
        far.write_all(b"c").unwrap();
    }
    let ended = far.read(&mut [0]).unwrap_err().kind();
    assert_eq!(ended, ErrorKind::ConnectionReset);
    let refused = dial().unwrap_err().kind();
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let reset = line.network.unshape(id).unwrap().total().effects[&PacketEffect::Reset];
    assert_eq!(reset, 2, "the segment and the SYN");
    let mut near = dial().unwrap();
    near.write_all(b"c").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0]).unwrap();
    line.assert_clean();
}

pub(crate) fn refuse<B: Backend>(sandbox: &Sandbox) {
    let Some(network) = network::<B>(sandbox, 3) else {
        return;
    };
    let line = Line::over(network);
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
    eventually("each is counted", || {
        let shaped = line.network.shaped(id).unwrap().total();
        shaped.effects[&PacketEffect::Refuse] == 3
    });
    line.network.unshape(id).unwrap();
    dial().unwrap();
    listener.accept().unwrap();
    line.assert_clean();
}
