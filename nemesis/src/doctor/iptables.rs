//! What iptables and tc can do here, effect by effect: each needs something of its own.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::{Line, N1, Row, cut};
use crate::{
    fault::{FaultClass, PacketEffect},
    network::{Backend, CLIENT_ADDRESS, FateSeed, Iptables, IptablesOptions, Network, address},
    sandbox::Sandbox,
};

type Attempt = fn(&Iptables) -> Result<String, String>;

struct Trial {
    fault: FaultClass,
    effects: &'static [PacketEffect],
    mechanism: &'static str,
    probe: &'static str,
    attempt: Attempt,
}

const TRIALS: [Trial; 7] = [
    Trial {
        fault: FaultClass::Partition,
        effects: &[],
        mechanism: "iptables: a chain that marks, DROP",
        probe: "cut clients -> n1, see a datagram stopped, heal",
        attempt: |network| cut(network),
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Loss],
        mechanism: "iptables -m statistic, DROP",
        probe: "lose every datagram, heal",
        attempt: loss,
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Duplicate],
        mechanism: "iptables TEE",
        probe: "double datagrams, heal",
        attempt: |network| arrives(network, "duplicate 100%", 2, Duration::ZERO),
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Reset, PacketEffect::Refuse],
        mechanism: "iptables REJECT --reject-with tcp-reset",
        probe: "refuse a connection, heal, connect",
        attempt: refuse,
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Rate],
        mechanism: "tc htb",
        probe: "send over a slow line, heal",
        attempt: |network| arrives(network, "rate 100kbit", 1, Duration::ZERO),
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[
            PacketEffect::Delay,
            PacketEffect::Reorder,
            PacketEffect::Corrupt,
        ],
        mechanism: "tc netem",
        probe: "delay datagrams by 20 ms, heal",
        attempt: |network| {
            arrives(network, "delay 20ms", 1, Duration::from_millis(20)).map_err(with_netem)
        },
    },
    Trial {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::CorruptDeliver],
        mechanism: "none",
        probe: "ask for it",
        attempt: |network| arrives(network, "corrupt-deliver 100%", 1, Duration::ZERO),
    },
];

/// Tries what these faults need of iptables and tc.
pub(super) fn examine(
    inside: &Sandbox,
    classes: &BTreeSet<FaultClass>,
    effects: &BTreeSet<PacketEffect>,
) -> Vec<Row> {
    let is_needed = |trial: &&Trial| {
        let meets = trial.effects.iter().any(|effect| effects.contains(effect));
        classes.contains(&trial.fault) && (trial.effects.is_empty() || meets)
    };
    let needed: Vec<&Trial> = TRIALS.iter().filter(is_needed).collect();
    if needed.is_empty() {
        return Vec::new();
    }
    let network = Iptables::create(inside, 1, &IptablesOptions::default());
    let row = |trial: &&Trial| Row {
        fault: trial.fault,
        backend: Some(Backend::Iptables),
        effects: trial.effects.to_vec(),
        mechanism: trial.mechanism,
        probe: trial.probe,
        result: match &network {
            Ok(network) => (trial.attempt)(network),
            Err(error) => Err(error.to_string()),
        },
    };
    needed.iter().map(row).collect()
}

fn with_netem(why: String) -> String {
    if !why.contains("qdisc") {
        return why;
    }
    format!(
        "{why}; this kernel has no netem: try `sudo modprobe sch_netem`, on Ubuntu after `sudo apt \
         install linux-modules-extra-$(uname -r)`, or use the switch"
    )
}

/// Installs a shaping, tries something under it, and removes it whatever came of that.
fn under<T>(
    network: &Iptables,
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
        Some(effect) => Err(format!("the rules counted no packet for {effect}")),
    }
}

fn arrives(
    network: &Iptables,
    shaping: &str,
    times: usize,
    late: Duration,
) -> Result<String, String> {
    let line = Line::open(network)?;
    line.expect(b"before", 1)?;
    let took = under(network, &line, shaping, || {
        let began = Instant::now();
        line.expect(b"shaped", times)?;
        Ok(began.elapsed())
    })?;
    line.expect(b"after", 1)?;
    if took < late {
        return Err(format!(
            "a datagram was to be {late:?} late, and was {took:?}"
        ));
    }
    let ms = took.as_secs_f64() * 1000.0;
    Ok(format!("{times} of one arrived within {ms:.1} ms"))
}

fn loss(network: &Iptables) -> Result<String, String> {
    let line = Line::open(network)?;
    line.expect(b"before", 1)?;
    // What is lost is lost when `send` returns: nothing waits anywhere on this way.
    under(network, &line, "loss 100%", || line.send(b"lost"))?;
    line.expect(b"after", 1)?;
    Ok("lost under it, and nothing after it".to_owned())
}

fn refuse(network: &Iptables) -> Result<String, String> {
    let line = Line::open(network)?;
    let to = SocketAddr::from((address(N1), 9));
    let listen = network
        .namespace(N1)
        .spawn("probe", move || TcpListener::bind(to));
    let listener = listen.map(|thread| thread.join().expect("binding does not panic"));
    let _listener = listener
        .and_then(|bound| bound)
        .map_err(|error| format!("no listener at {to}: {error}"))?;
    let dial = || TcpStream::connect_timeout(&to, Duration::from_secs(1));
    under(network, &line, "refuse 100%", || match dial() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(format!("a connection was to be refused: {error}")),
        Ok(_) => Err("a connection was to be refused, and came about".to_owned()),
    })?;
    let dialed = dial().map_err(|error| format!("from {CLIENT_ADDRESS}, after it: {error}"))?;
    drop(dialed);
    Ok("refused under it, open after it".to_owned())
}
