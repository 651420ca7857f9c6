//! A line that packets are sent over and measured on, from outside: numbered datagrams from n1 to
//! n2, and when each arrives.
//!
//! No timer decides what is lost: what has no delay is decided about when it is sent, so a fence
//! sent after the heal arrives behind all that ever will; what has one is awaited by number.
//!
//! How late a packet is has bounds, and a busy machine may keep threads waiting for longer than
//! these. So the probe's threads run before all others where they may (as root), and while packets
//! are under way a thread that does nothing but wait tells how late it is woken: [`Line::noise`].

use std::{
    collections::BTreeSet,
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
    sys::socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
        sockopt::{RcvBufForce, ReceiveTimestampns},
    },
    time::ClockId,
    unistd::Pid,
};
use ordeal_nemesis::{
    Edge, Node, PacketEffect,
    network::{FateSeed, Network, ShapingId, address},
};

use super::{eventually, eventually_told};

pub(crate) const PORT: u16 = 9000;
/// The number of the datagram that ends a measurement.
pub(crate) const FENCE: u32 = u32::MAX;

/// From n1 to n2 and back, over any network.
pub(crate) struct Line {
    pub(crate) network: Box<dyn Network>,
    /// In n1's and n2's namespaces.
    pub(crate) sockets: [UdpSocket; 2],
    /// How late a thread was that waited as the switch does, in the last measurement; sorted.
    woken: Mutex<Vec<Duration>>,
}

/// A datagram that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) number: u32,
    /// After it was sent.
    pub(crate) late: Duration,
    /// When, on the clock of [`now`].
    pub(crate) at: Duration,
    pub(crate) payload: Vec<u8>,
}

impl Line {
    pub(crate) fn over(network: Box<dyn Network>) -> Self {
        let sockets = [Node(1), Node(2)].map(|node| {
            let bind = move || UdpSocket::bind((address(node), PORT)).unwrap();
            let inside = network.namespace(node).spawn("probe", bind).unwrap();
            let socket = inside.join().unwrap();
            let patience = Some(Duration::from_secs(10));
            socket.set_read_timeout(patience).unwrap();
            socket
        });
        run_at_once();
        let woken = Mutex::default();
        Self {
            network,
            sockets,
            woken,
        }
    }

    /// How much later than promised a packet of the last measurement may be for no other reason
    /// than that the machine is busy: what `permille` of the times that a thread was woken were not
    /// exceeded by, twice, since a packet waits for a thread when it is sent and when it is due.
    ///
    /// Of two waits, each exceeds its 750th permille once in four times, so one of them does so at
    /// most every second time: a median is late by no more than `noise(750)`, and a share of 10 %
    /// by no more than `noise(950)`. On a quiet machine, or as root, it is next to nothing.
    pub(crate) fn noise(&self, permille: usize) -> Duration {
        let woken = self.woken.lock().unwrap();
        2 * woken[(woken.len() - 1) * permille / 1000]
    }

    pub(crate) fn shape(&self, shaping: &str, seed: u64) -> ShapingId {
        let edges = BTreeSet::from([Edge::new(Node(1), Node(2))]);
        let seed = FateSeed { seed, fault: 1 };
        let shaping = shaping.parse().unwrap();
        self.network.shape(&edges, &shaping, seed).unwrap()
    }

    /// Sends numbered datagrams over the line, then does what `end` does when `awaited` of them
    /// have arrived, then sends a fence; returns what arrived before that.
    pub(crate) fn measure(&self, send: &Send, awaited: usize, end: impl FnOnce()) -> Vec<Arrival> {
        let [n1, n2] = [0, 1].map(|i: usize| {
            self.sockets[i ^ usize::from(send.backwards)]
                .try_clone()
                .unwrap()
        });
        let to = SocketAddr::from((address(Node(if send.backwards { 1 } else { 2 })), PORT));
        setsockopt(&n2, ReceiveTimestampns, &true).unwrap();
        // Room for all, however late the receiving thread gets to run; without root, less.
        let _ = setsockopt(&n2, RcvBufForce, &(16 << 20));
        let waiting = Waiting::start();
        let (count, epoch) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let counter = Arc::clone(&count);
        let receiving = std::thread::spawn(move || {
            let (mut arrived, mut buffer) = (Vec::new(), [0; 2048]);
            loop {
                let (length, at) = receive(&n2, &mut buffer);
                let number = u32::from_le_bytes(buffer[..4].try_into().unwrap());
                if number == FENCE {
                    return arrived;
                }
                let sent = u64::from_le_bytes(buffer[4..12].try_into().unwrap());
                arrived.push(Arrival {
                    number,
                    late: at.saturating_sub(Duration::from_nanos(sent)),
                    at,
                    payload: buffer[12..length].to_vec(),
                });
                counter.fetch_add(1, Relaxed);
            }
        });
        // The kernel lets packets of one flow overtake each other on their way over two processors.
        let processors = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let mut one = CpuSet::new();
        one.set(sched_getcpu().unwrap()).unwrap();
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();
        let mut datagram = vec![0; send.bytes];
        for number in 0..send.count {
            let due = epoch + send.every * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            datagram[..4].copy_from_slice(&number.to_le_bytes());
            let sent = u64::try_from(now().as_nanos()).unwrap();
            datagram[4..12].copy_from_slice(&sent.to_le_bytes());
            n1.send_to(&datagram, to).unwrap();
        }
        sched_setaffinity(Pid::from_raw(0), &processors).unwrap();
        let missing = || {
            let lost = self.network.lost_unasked();
            format!(
                "{} of {awaited} arrive, the network says it lost {lost:?}",
                count.load(Relaxed)
            )
        };
        eventually_told(missing, || count.load(Relaxed) >= awaited);
        end();
        datagram[..4].copy_from_slice(&FENCE.to_le_bytes());
        n1.send_to(&datagram, to).unwrap();
        let arrived = receiving.join().unwrap();
        *self.woken.lock().unwrap() = waiting.end();
        arrived
    }

    /// Heals when all of `count` packets have met with the shaping; returns how many met with
    /// `effect`, as the switch has it.
    pub(crate) fn heal(&self, id: ShapingId, count: u64, effect: PacketEffect) -> usize {
        eventually("all have met with it", || {
            self.network.shaped(id).unwrap().total().packets == count
        });
        let shaped = self.network.unshape(id).unwrap().total();
        usize::try_from(shaped.effects[&effect]).unwrap()
    }

    /// Measures under a shaping that delays nothing; returns what arrived, and how many packets
    /// met with `effect` as the switch has it.
    pub(crate) fn under(&self, shaping: &str, effect: PacketEffect) -> (Vec<Arrival>, usize) {
        let (id, mut met) = (self.shape(shaping, 1), 0);
        let arrived = self.measure(&Send::default(), 0, || {
            met = self.heal(id, 1000, effect);
        });
        (arrived, met)
    }

    /// Asserts that nothing is done to packets, in either direction.
    pub(crate) fn assert_clean(&self) {
        assert!(self.network.shapings().is_empty());
        for backwards in [false, true] {
            let send = Send {
                count: 100,
                backwards,
                ..Send::default()
            };
            let arrived = self.measure(&send, 100, || {});
            assert!(numbers(&arrived).into_iter().eq(0..100));
            assert!(arrived.iter().all(|arrival| arrival.payload == [0; 52]));
            let (late, noise) = (median(&arrived), self.noise(750));
            let most = Duration::from_millis(2) + noise + slack();
            assert!(late < most, "{late:?}, with a noise of {noise:?}");
        }
    }
}

/// Puts the calling thread before all others of the machine, where that is permitted.
#[allow(unsafe_code, reason = "no safe wrapper makes this call")]
fn run_at_once() {
    // SAFETY: sched_param is a C struct of integers, of which all zeroes is a valid value, and the
    // call reads it from a live local; 0 is the calling thread.
    unsafe {
        let mut least: libc::sched_param = std::mem::zeroed();
        least.sched_priority = 1;
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const least);
    }
}

/// A thread that waits one millisecond after the other, with the standing of the switch's.
struct Waiting {
    done: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Duration>>,
}

impl Waiting {
    fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            run_at_once();
            let (step, mut late) = (Duration::from_millis(1), Vec::new());
            while !over.load(Relaxed) || late.is_empty() {
                let began = Instant::now();
                std::thread::sleep(step);
                late.push(began.elapsed().saturating_sub(step));
            }
            late.sort();
            late
        });
        Self { done, thread }
    }

    /// How late it was woken, each time; sorted.
    fn end(self) -> Vec<Duration> {
        self.done.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// The clock that the kernel stamps packets with.
fn now() -> Duration {
    ClockId::CLOCK_REALTIME.now().unwrap().into()
}

/// Takes one datagram, and when it came in: as the kernel has it, so that it does not matter when
/// this thread gets to run.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, Duration) {
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let (descriptor, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let received = recvmsg::<()>(descriptor, &mut parts, Some(&mut space), flags);
    let received = received.expect("the fence arrives");
    let stamp = received.cmsgs().unwrap().find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp.into()),
        _ => None,
    });
    (received.bytes, stamp.expect("the kernel stamps it"))
}

/// How much later than promised things may be on a machine that is known to be slow, such as an
/// emulated one: nothing, unless `ORDEAL_SLACK_MS` says otherwise.
pub(crate) fn slack() -> Duration {
    let given = std::env::var("ORDEAL_SLACK_MS").ok();
    let ms = given.map_or(0, |text| text.parse().expect("a number of milliseconds"));
    Duration::from_millis(ms)
}

/// What to send: by default 1000 datagrams of 64 bytes, one every 200 µs, from n1 to
/// n2.
pub(crate) struct Send {
    pub(crate) count: u32,
    pub(crate) every: Duration,
    pub(crate) bytes: usize,
    pub(crate) backwards: bool,
}

impl Default for Send {
    fn default() -> Self {
        Self {
            count: 1000,
            every: Duration::from_micros(200) + slack() / 10,
            bytes: 64,
            backwards: false,
        }
    }
}

pub(crate) fn numbers(arrived: &[Arrival]) -> Vec<u32> {
    arrived.iter().map(|arrival| arrival.number).collect()
}

/// How late the packet is that `permille` of all are not later than.
pub(crate) fn quantile(arrived: &[Arrival], permille: usize) -> Duration {
    let mut late: Vec<Duration> = arrived.iter().map(|arrival| arrival.late).collect();
    late.sort();
    late[(late.len() - 1) * permille / 1000]
}

pub(crate) fn median(arrived: &[Arrival]) -> Duration {
    quantile(arrived, 500)
}

/// Asserts that of 50 packets each came so many milliseconds after the one before, by the median
/// of how long any 25 in a row took: a thread that was late once does not count.
pub(crate) fn assert_pace(arrived: &[Arrival], each_ms: u32) {
    let spans = arrived[..25].iter().zip(&arrived[25..]);
    let mut spans: Vec<Duration> = spans.map(|(first, last)| last.at - first.at).collect();
    spans.sort();
    let (took, expected) = (spans[12], Duration::from_millis(25) * each_ms);
    eprintln!("25 packets of {each_ms} ms took {took:?}");
    assert!(took.abs_diff(expected) < expected / 20, "{took:?}");
}
