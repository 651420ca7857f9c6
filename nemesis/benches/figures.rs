//! The figures that the README quotes, measured on this machine: `cargo bench -p ordeal-nemesis
//! --bench figures`, or some of them with `-- iptables round-trips` (the names in `main`).
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "figures/clock.rs"]
mod clock;
#[path = "figures/iptables.rs"]
mod iptables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use ordeal_nemesis::{
    Edge, Grudge, Keep, Node, Scope, Targets,
    disk::{Directories, Disks, FuseDisks},
    network::{FateSeed, Network, Ports, Switch, SwitchOptions, address},
    process::{Lifecycle, NodeCommand, Processes},
    sandbox::{self, Sandbox},
};

fn main() {
    if std::env::args().any(|arg| arg == clock::ASKS) {
        return clock::ask_the_time();
    }
    let began = Instant::now();
    let sandbox = sandbox::enter().unwrap_or_else(|error| panic!("{error}"));
    let entered = began.elapsed();
    println!("\n| what | median | 99 % | worst | n |\n|---|---|---|---|---|");
    row("enter the sandbox", vec![entered]);
    let parts = [
        ("networks", setup as fn(&Sandbox)),
        ("cuts", cuts),
        ("iptables", iptables::cuts),
        ("shapings", shapings),
        ("processes", processes),
        ("clocks", clocks),
        ("round-trips", round_trips),
        ("load", loads),
        ("disks", disks),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut wanted = wanted.iter().filter(|arg| !arg.starts_with('-')).peekable();
    let is_all = wanted.peek().is_none();
    let wanted: BTreeSet<&String> = wanted.collect();
    for (name, measure) in parts {
        if is_all || wanted.contains(&name.to_owned()) {
            measure(&sandbox);
        }
    }
}

fn clocks(sandbox: &Sandbox) {
    if cfg!(target_arch = "x86_64") {
        clock::clocks(sandbox);
    }
}

fn row(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
    println!(
        "| {what} | {:.1?} | {:.1?} | {:.1?} | {} |",
        at(500),
        at(990),
        at(1000),
        times.len()
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    let _result = work();
    began.elapsed()
}

fn switch(sandbox: &Sandbox, nodes: u16) -> Switch {
    Switch::create(sandbox, nodes, &SwitchOptions::default()).unwrap()
}

fn setup(sandbox: &Sandbox) {
    for (nodes, count) in [(3, 20), (5, 20), (50, 3)] {
        let times = (0..count)
            .map(|_| timed(|| switch(sandbox, nodes)))
            .collect();
        row(&format!("a network of {nodes} nodes"), times);
    }
}

fn cuts(sandbox: &Sandbox) {
    for nodes in [5, 50] {
        let switch = switch(sandbox, nodes);
        let grudge = Grudge::isolate(Node(1), nodes);
        let mut cut = Vec::new();
        let mut heal = Vec::new();
        for _ in 0..1000 {
            let mut id = None;
            cut.push(timed(|| id = switch.cut(&grudge).ok()));
            let id = id.expect("these nodes are there");
            heal.push(timed(|| switch.heal(id).unwrap()));
        }
        row(&format!("cut one of {nodes} off"), cut);
        row("… and heal it", heal);
    }
}

fn shapings(sandbox: &Sandbox) {
    for nodes in [5, 50] {
        let switch = switch(sandbox, nodes);
        let edges = every_edge(nodes);
        let shaping = "delay 50ms, loss 1%".parse().unwrap();
        let (mut shape, mut heal) = (Vec::new(), Vec::new());
        for fault in 0..200 {
            let seed = FateSeed { seed: 1, fault };
            let mut id = None;
            shape.push(timed(|| id = switch.shape(&edges, &shaping, seed).ok()));
            let id = id.expect("these nodes are there");
            heal.push(timed(|| switch.unshape(id).unwrap()));
        }
        row(&format!("shape every edge of {nodes}"), shape);
        row("… and heal them", heal);
    }
}

fn every_edge(nodes: u16) -> BTreeSet<Edge> {
    let all = Scope::Around(Targets::All);
    all.edges(nodes, None, 0)
}

fn processes(sandbox: &Sandbox) {
    let switch = switch(sandbox, 1);
    let folder = tempfile::tempdir().unwrap();
    let n1 = Node(1);
    let command = NodeCommand {
        program: "/bin/sleep".into(),
        args: vec!["1000".into()],
        env: Vec::new(),
        cwd: folder.path().to_owned(),
        log: folder.path().join("log"),
    };
    let processes = Processes::new(&switch, BTreeMap::from([(n1, command)]), |_| {});
    let (mut start, mut pause, mut resume, mut kill) = (vec![], vec![], vec![], vec![]);
    for _ in 0..200 {
        start.push(timed(|| processes.start(n1).unwrap()));
        pause.push(timed(|| processes.pause(n1).unwrap()));
        resume.push(timed(|| processes.resume(n1).unwrap()));
        kill.push(timed(|| processes.kill(n1).unwrap()));
    }
    row("start a process", start);
    row("pause it, proven", pause);
    row("resume it, proven", resume);
    row("kill it, proven", kill);
}

/// A thread in `node`'s namespace that sends every datagram back, until it gets an empty one.
fn echo(switch: &Switch, node: Node) -> SocketAddr {
    let at = SocketAddr::from((address(node), 9000));
    let bind = move || UdpSocket::bind(at).unwrap();
    let socket = switch
        .namespace(node)
        .spawn("bind", bind)
        .unwrap()
        .join()
        .unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((1.., sender)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..64], sender).unwrap();
        }
    });
    at
}

fn ping_pong(socket: &UdpSocket, at: SocketAddr, count: usize) -> Vec<Duration> {
    let mut buffer = [0; 64];
    let trip = |_| {
        timed(|| {
            socket.send_to(&buffer, at).unwrap();
            socket.recv_from(&mut buffer).unwrap()
        })
    };
    (0..count).map(trip).collect()
}

/// A log with an fsync an entry on a disk of ours and on the machine's own, and a power loss.
fn disks(sandbox: &Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    fs::create_dir(&ours).unwrap();
    fs::create_dir(&theirs).unwrap();
    let paths = BTreeMap::from([(Node(1), ours.clone())]);
    let mut disks = None;
    let mount = || disks = FuseDisks::mount(sandbox, paths, Directories::Journalled).ok();
    row("mount a disk", vec![timed(mount)]);
    let disks = disks.expect("FUSE is to be had here");
    for (place, whose) in [(&ours, "of ours"), (&theirs, "of this machine")] {
        let mut log = fs::File::create(place.join("log")).unwrap();
        let mut append = |bytes: &[u8]| {
            log.write_all(bytes).unwrap();
            log.sync_data().unwrap();
        };
        for size in [128, 4096] {
            let entry = vec![7; size];
            let times = (0..2000).map(|_| timed(|| append(&entry))).collect();
            row(
                &format!("append {size} bytes and fsync, on a disk {whose}"),
                times,
            );
        }
        let megabyte = vec![7; 1 << 20];
        let took = timed(|| (0..200).for_each(|_| log.write_all(&megabyte).unwrap()));
        let speed = 200.0 / took.as_secs_f64();
        println!("| write without fsync, on a disk {whose} | {speed:.0} MB/s | | | 200 |");
    }
    let times = (0..50).map(|_| {
        fs::write(ours.join("unsynced"), vec![7; 1 << 20]).unwrap();
        timed(|| disks.lose_power(Node(1), Keep::Torn, 1).unwrap())
    });
    row(
        "lose power with 1 MB unsynced, and mount again",
        times.collect(),
    );
}

fn round_trips(sandbox: &Sandbox) {
    let switch = switch(sandbox, 2);
    let n1 = echo(&switch, Node(1));
    let bind = || UdpSocket::bind("0.0.0.0:0").unwrap();
    let outside = bind();
    let inside = switch
        .namespace(Node(1))
        .spawn("bind", bind)
        .unwrap()
        .join()
        .unwrap();
    let beside = switch
        .namespace(Node(2))
        .spawn("bind", bind)
        .unwrap()
        .join()
        .unwrap();
    row(
        "round trip on n1's own loopback",
        ping_pong(&inside, n1, 20_000),
    );
    row(
        "round trip n2 → n1 through the switch",
        ping_pong(&beside, n1, 20_000),
    );
    row(
        "round trip client → n1 through the switch",
        ping_pong(&outside, n1, 20_000),
    );
    // Every die is thrown, and next to none of them hits.
    let edges = [Edge::new(Node(2), Node(1)), Edge::new(Node(1), Node(2))];
    let shaping = "duplicate 0.0001%, corrupt-deliver 0.0001%"
        .parse()
        .unwrap();
    let seed = FateSeed { seed: 1, fault: 1 };
    let id = switch.shape(&edges.into(), &shaping, seed).unwrap();
    row(
        "round trip n2 → n1 through two shaped edges",
        ping_pong(&beside, n1, 20_000),
    );
    switch.unshape(id).unwrap();
    outside.send_to(&[], n1).unwrap();
}

/// What the switch's thread has used of a core so far.
fn switch_cpu() -> Duration {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        if fs::read_to_string(path.join("comm")).unwrap().trim() == "switch" {
            let stat = fs::read_to_string(path.join("schedstat")).unwrap();
            let spent = stat.split(' ').next().unwrap().parse().unwrap();
            return Duration::from_nanos(spent);
        }
    }
    panic!("no switch thread")
}

/// How many datagrams n1 has lost because a socket of its was full.
fn receiver_lost(switch: &Switch) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let inside = switch.namespace(Node(1)).spawn("count", read).unwrap();
    let counts = inside.join().unwrap();
    let mut lines = counts.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "RcvbufErrors");
    values
        .split(' ')
        .nth(place.unwrap())
        .unwrap()
        .parse()
        .unwrap()
}

fn loads(sandbox: &Sandbox) {
    for ports in [Ports::Tun, Ports::Packet] {
        load(sandbox, ports);
    }
}

/// 20,000 packets a second through the switch: the core it takes, and what is lost.
fn load(sandbox: &Sandbox, ports: Ports) {
    const PER_SECOND: u32 = 20_000;
    const SECONDS: u32 = 3;
    let options = SwitchOptions {
        ports,
        ..SwitchOptions::default()
    };
    let switch = Switch::create(sandbox, 2, &options).unwrap();
    let at = SocketAddr::from((address(Node(1)), 9000));
    let bind = move || UdpSocket::bind(at).unwrap();
    let receiver = switch
        .namespace(Node(1))
        .spawn("bind", bind)
        .unwrap()
        .join()
        .unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // 14 ms of these packets fill a usual socket: a receiver that waits for a processor so long
    // would lose the next ones, and not the switch.
    let _ = setsockopt(&receiver, RcvBufForce, &(16 << 20));
    let done = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&done);
    let receiving = std::thread::spawn(move || {
        let (mut count, mut buffer) = (0, [0; 2048]);
        loop {
            match receiver.recv(&mut buffer) {
                Ok(_) => count += 1,
                Err(_) if ended.load(Relaxed) => return count,
                Err(_) => {}
            }
        }
    });
    let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
    let (began, cpu) = (Instant::now(), switch_cpu());
    for batch in 1..=SECONDS * 1000 {
        for _ in 0..PER_SECOND / 1000 {
            sender.send_to(&[0; 256], at).unwrap();
        }
        let due = began + Duration::from_millis(batch.into());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (took, used) = (began.elapsed(), switch_cpu() - cpu);
    done.store(true, Relaxed);
    let received: u32 = receiving.join().unwrap();
    println!(
        "\n{ports:?}: {} packets in {took:.2?}: {received} arrived, {} were lost by the switch and \
         {} by the receiver's full socket; the switch used {:.1} % of a core\n",
        PER_SECOND * SECONDS,
        switch.lost_unasked().unwrap_or(0),
        receiver_lost(&switch),
        100.0 * used.as_secs_f64() / took.as_secs_f64()
    );
}
