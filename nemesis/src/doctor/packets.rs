//! Each effect on packets, tried on any network: what is sent under it, and what arrives.
//!
//! No timer decides what is lost: a datagram that is sent after the heal arrives behind all that
//! ever will.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::{Line, N1};
use crate::{
    fault::PacketEffect,
    network::{CLIENT_ADDRESS, FateSeed, Network, address},
};

/// How each is tried, in a few words.
fn probe(effect: PacketEffect) -> &'static str {
    match effect {
        PacketEffect::Delay => "delay a datagram by 20 ms",
        PacketEffect::Loss => "lose every datagram",
        PacketEffect::Duplicate => "double a datagram",
        PacketEffect::Reorder => "hold half of 20 datagrams back, see one overtaken",
        PacketEffect::Corrupt => "break datagrams, see that their receiver drops them",
        PacketEffect::CorruptDeliver => "alter a datagram, see one bit differ",
        PacketEffect::Reset => "reset a connection",
        PacketEffect::Refuse => "refuse a connection",
        PacketEffect::Rate => "send 25 datagrams over a slow line, see how long they take",
    }
}

/// How these are tried.
pub(super) fn probes<'a>(effects: impl IntoIterator<Item = &'a PacketEffect>) -> String {
    let probes = effects.into_iter().map(|effect| probe(*effect));
    let probes: Vec<&str> = probes.collect();
    format!("{}; heal", probes.join("; "))
}

/// Tries these one after the other; each is healed, and what is sent then passes as before.
pub(super) fn attempt(
    network: &dyn Network,
    effects: impl IntoIterator<Item = PacketEffect>,
) -> Result<String, String> {
    let mut seen = Vec::new();
    for effect in effects {
        let line = Line::open(network)?;
        line.expect(b"before", 1)?;
        let tried = match effect {
            PacketEffect::Delay => delay(network, &line),
            PacketEffect::Loss => loss(network, &line),
            PacketEffect::Duplicate => duplicate(network, &line),
            PacketEffect::Reorder => reorder(network, &line),
            PacketEffect::Corrupt => corrupt(network, &line),
            PacketEffect::CorruptDeliver => corrupt_deliver(network, &line),
            PacketEffect::Reset => reset(network, &line),
            PacketEffect::Refuse => refuse(network, &line),
            PacketEffect::Rate => rate(network, &line),
        };
        seen.push(tried.map_err(|why| format!("{effect}: {why}"))?);
        line.expect(b"after", 1)
            .map_err(|why| format!("{effect}, after the heal: {why}"))?;
    }
    Ok(seen.join("; "))
}

/// Installs a shaping, tries something under it, and removes it whatever came of that.
fn under<T>(
    network: &dyn Network,
    line: &Line,
    shaping: &str,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let edges = BTreeSet::from([line.edge()]);
    let shaping = shaping.parse().expect("well formed");
    let seed = FateSeed { seed: 0, fault: 0 };
    let id = network
        .shape(&edges, &shaping, seed)
        .map_err(|error| error.to_string())?;
    let worked = work();
    let shaped = network.unshape(id).map_err(|error| error.to_string())?;
    let done = worked?;
    match shaped.missing().first() {
        None => Ok(done),
        Some(effect) => Err(format!("no packet was counted for {effect}")),
    }
}

fn delay(network: &dyn Network, line: &Line) -> Result<String, String> {
    let took = under(network, line, "delay 20ms", || {
        let began = Instant::now();
        line.expect(b"delayed", 1)?;
        Ok(began.elapsed())
    })?;
    if took < Duration::from_millis(20) {
        return Err(format!("a datagram was to be 20 ms late, and was {took:?}"));
    }
    Ok(format!("{:.1} ms late", took.as_secs_f64() * 1000.0))
}

fn loss(network: &dyn Network, line: &Line) -> Result<String, String> {
    under(network, line, "loss 100%", || {
        line.send(b"lost")?;
        met(network, PacketEffect::Loss, 1)
    })?;
    Ok("lost".to_owned())
}

/// Waits until so many packets have met with the only shaping: they may be on their way yet.
fn met(network: &dyn Network, effect: PacketEffect, packets: u64) -> Result<(), String> {
    let counted = || {
        let shaped = network.shapings().into_iter().map(|id| network.shaped(id));
        let counts = shaped
            .flatten()
            .map(|shaped| shaped.total().effects.get(&effect).copied());
        counts.flatten().sum::<u64>()
    };
    match super::within_a_second(|| counted() >= packets) {
        true => Ok(()),
        false => Err(format!(
            "{} of {packets} packets met with it within 1 s",
            counted()
        )),
    }
}

fn duplicate(network: &dyn Network, line: &Line) -> Result<String, String> {
    under(network, line, "duplicate 100%", || {
        line.expect(b"double", 2)
    })?;
    Ok("two of one".to_owned())
}

fn reorder(network: &dyn Network, line: &Line) -> Result<String, String> {
    let numbers = 0..20_u8;
    let order = under(network, line, "reorder 50%", || {
        numbers
            .clone()
            .try_for_each(|number| line.send(&[number]))?;
        let received = numbers.map(|_| line.receive());
        received.collect::<Result<Vec<_>, String>>()
    })?;
    // In order with all of them, or the last ones, held back: once in 50,000 times.
    match order.is_sorted() {
        true => Err("none of 20 datagrams was overtaken".to_owned()),
        false => Ok("overtaken".to_owned()),
    }
}

fn corrupt(network: &dyn Network, line: &Line) -> Result<String, String> {
    const SENT: usize = 8;
    under(network, line, "corrupt 100%", || {
        (0..SENT).try_for_each(|_| line.send(b"broken"))?;
        met(network, PacketEffect::Corrupt, SENT as u64)
    })?;
    line.send(b"fence")?;
    let mut arrived = 0;
    while line.receive()? != b"fence" {
        arrived += 1;
    }
    // A bit that flips in the sender's hardware address is noticed by nobody.
    match arrived < SENT / 2 {
        true => Ok(format!("{arrived} of {SENT} taken for whole")),
        false => Err(format!("{arrived} of {SENT} broken datagrams arrived")),
    }
}

fn corrupt_deliver(network: &dyn Network, line: &Line) -> Result<String, String> {
    let sent = b"altered";
    let got = under(network, line, "corrupt-deliver 100%", || {
        line.send(sent)?;
        line.receive()
    })?;
    let flipped: u32 = got
        .iter()
        .zip(sent)
        .map(|(a, b)| (a ^ b).count_ones())
        .sum();
    match (got.len() == sent.len(), flipped) {
        (true, 1) => Ok("one bit differs".to_owned()),
        _ => Err(format!("one bit was to differ, and {flipped} do")),
    }
}

/// n1 listens for the clients.
fn listen(network: &dyn Network) -> Result<(TcpListener, SocketAddr), String> {
    let bind = || TcpListener::bind((address(N1), 0));
    let bound = network.namespace(N1).spawn("probe", bind);
    let listener = bound
        .and_then(|thread| thread.join().expect("binding does not panic"))
        .map_err(|error| format!("no listener at n1: {error}"))?;
    let at = listener.local_addr();
    let at = at.map_err(|error| format!("no listener at n1: {error}"))?;
    Ok((listener, at))
}

fn dial(to: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, Duration::from_secs(1))
}

fn reset(network: &dyn Network, line: &Line) -> Result<String, String> {
    let (_listener, to) = listen(network)?;
    let mut stream = dial(to).map_err(|error| format!("from {CLIENT_ADDRESS}: {error}"))?;
    let patience = stream.set_read_timeout(Some(Duration::from_secs(1)));
    patience.map_err(|error| format!("no deadline: {error}"))?;
    under(network, line, "reset 100%", || {
        let _ = stream.write_all(b"reset");
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(format!("a connection was to be reset: {error}")),
            Ok(_) => Err("a connection was to be reset, and was not".to_owned()),
        }
    })?;
    Ok("reset".to_owned())
}

fn refuse(network: &dyn Network, line: &Line) -> Result<String, String> {
    let (_listener, to) = listen(network)?;
    under(network, line, "refuse 100%", || match dial(to) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(format!("a connection was to be refused: {error}")),
        Ok(_) => Err("a connection was to be refused, and came about".to_owned()),
    })?;
    let dialed = dial(to).map_err(|error| format!("from {CLIENT_ADDRESS}, after it: {error}"))?;
    drop(dialed);
    Ok("refused".to_owned())
}

/// How many datagrams are sent over a slow line, each 8 ms long.
const PACED: u32 = 25;
/// What a bucket lets pass ahead of its rate is three of them at most: 200 ms less that, and what
/// the first one needs not wait for.
const PACED_LEAST: Duration = Duration::from_millis(168);
/// Half the rate would take 400 ms.
const PACED_MOST: Duration = Duration::from_millis(300);
/// A busy machine makes it longer, never shorter: the shortest of so many is what the line does.
const PACED_TRIES: u32 = 3;

fn rate(network: &dyn Network, line: &Line) -> Result<String, String> {
    // 1000 bytes with their headers of 28.
    let datagram = [0; 972];
    let pace = || {
        let began = Instant::now();
        (0..PACED).try_for_each(|_| line.send(&datagram))?;
        (0..PACED).try_for_each(|_| line.receive().map(drop))?;
        Ok(began.elapsed())
    };
    let mut shortest = Duration::MAX;
    for _ in 0..PACED_TRIES {
        shortest = shortest.min(under(network, line, "rate 1mbit", pace)?);
        if shortest <= PACED_MOST {
            break;
        }
    }
    if !(PACED_LEAST..=PACED_MOST).contains(&shortest) {
        return Err(format!(
            "{PACED} datagrams were to take 200 ms, and took {shortest:?}"
        ));
    }
    Ok(format!(
        "200 ms of packets in {:.0} ms",
        shortest.as_secs_f64() * 1000.0
    ))
}
