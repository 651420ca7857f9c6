//! The thread that carries packets: never blocks but in epoll.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::sys::{
    prctl::set_timerslack,
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use rustix::{
    buffer::spare_capacity,
    event::epoll,
    io::{Errno, read},
    process::setpriority_process,
};

use super::{Shared, link::Crossing, lock, matrix::Matrix, port::Port, waiting::WaitingRoom};
use crate::{network::CLIENT_ADDRESS, sys};

/// Packets by what became of them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) forwarded: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) undelivered: AtomicU64,
    pub(super) overrun: AtomicU64,
}

/// The devices and what decides about their packets.
pub(super) struct Carrier {
    ports: Vec<Port>,
    shared: Arc<Shared>,
    epoll: OwnedFd,
    /// Ends the wait of whoever wants something of this thread.
    rouse: Arc<OwnedFd>,
    /// Ends the wait when the first of the waiting packets is due.
    alarm: TimerFd,
    waiting: WaitingRoom,
    /// What the alarm is set to.
    alarm_at: Option<Instant>,
    /// The healed shapings whose packets were released.
    released: u64,
    /// When ports were last asked what they have dropped.
    asked_at: Instant,
}

/// How often ports are asked what they have dropped.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The epoll tags of what is no port; ports are tagged with their index.
const ROUSE: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

/// Packets taken from one device under one lock: long enough to spread its cost, short enough that
/// a cut waits for some hundred microseconds at most.
const BATCH: usize = 64;

/// Where the receiver's address stands in an IPv4 header, which is at least 20 bytes long.
const DESTINATION: std::ops::Range<usize> = 16..20;

impl Carrier {
    pub(super) fn new(
        ports: Vec<Port>,
        shared: Arc<Shared>,
        rouse: Arc<OwnedFd>,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let alarm = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let watch = |of: std::os::fd::BorrowedFd<'_>, tag| {
            let tag = epoll::EventData::new_u64(tag);
            epoll::add(&epoll, of, tag, epoll::EventFlags::IN)
        };
        watch(rouse.as_fd(), ROUSE)?;
        watch(alarm.as_fd(), ALARM)?;
        for (index, port) in (0_u64..).zip(&ports) {
            watch(port.as_fd(), index)?;
        }
        Ok(Self {
            ports,
            shared,
            epoll,
            rouse,
            alarm,
            waiting: WaitingRoom::default(),
            alarm_at: None,
            released: 0,
            asked_at: Instant::now(),
        })
    }

    /// Runs until asked to quit.
    pub(super) fn carry(mut self) {
        // The kernel rounds this thread's waits up by 50 µs otherwise; where it may not be told
        // so, packets that wait are that much later.
        let _ = set_timerslack(1);
        // A wire does not wait until busy nodes leave it a processor; where it may not be put
        // before them, it does. A lower nice value would get it more of a processor, not sooner.
        if sys::run_at_once().is_err() {
            let _ = setpriority_process(None, -10);
        }
        let mut events = Vec::with_capacity(self.ports.len() + 2);
        let mut buffer = vec![0_u8; usize::from(u16::MAX)];
        while !self.shared.quit.load(Relaxed) {
            self.set_alarm();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => panic!("epoll of open descriptors failed: {errno}"),
            }
            for event in &events {
                match event.data.u64() {
                    // What they ask for is looked at in any case; reading quiets them.
                    ROUSE => {
                        let _ = read(&self.rouse, &mut [0; 8]);
                        self.plug_in();
                    }
                    ALARM => {
                        let _ = self.alarm.wait();
                        self.alarm_at = None;
                    }
                    port => {
                        let from = usize::try_from(port).expect("ports are few");
                        self.carry_batch(from, &mut buffer);
                    }
                }
            }
            self.deliver_due();
            self.ask_for_overruns();
        }
    }

    /// Counts as the switch's own loss what the kernel has dropped before it was read.
    fn ask_for_overruns(&mut self) {
        if self.asked_at.elapsed() < ASK_EVERY {
            return;
        }
        self.asked_at = Instant::now();
        let dropped: u64 = self.ports.iter().map(Port::overrun).sum();
        self.shared.counters.overrun.fetch_add(dropped, Relaxed);
    }

    /// Puts fresh devices in the place of old ones, which end with that: closing one takes it out
    /// of epoll and its interface out of its namespace.
    fn plug_in(&mut self) {
        let shared = Arc::clone(&self.shared);
        for (index, port) in lock(&shared.fresh).drain(..) {
            self.ports[index] = port;
            let tag = epoll::EventData::new_u64(index as u64);
            let device = self.ports[index].as_fd();
            epoll::add(&self.epoll, device, tag, epoll::EventFlags::IN)
                .expect("a device of our own can be waited for");
        }
    }

    /// Sets the alarm to the time at which the first waiting packet is due.
    fn set_alarm(&mut self) {
        let due = self.waiting.first_due();
        if due == self.alarm_at {
            return;
        }
        self.alarm_at = due;
        let set = match due {
            None => self.alarm.unset(),
            Some(due) => {
                // A timer set to nothing would never go off.
                let left = due.saturating_duration_since(Instant::now());
                let left = left.max(Duration::from_nanos(1));
                let once = Expiration::OneShot(TimeSpec::from_duration(left));
                self.alarm.set(once, TimerSetTimeFlags::empty())
            }
        };
        set.expect("a timer of our own can be set to any time from now");
    }

    fn carry_batch(&mut self, from: usize, buffer: &mut [u8]) {
        let shared = Arc::clone(&self.shared);
        let matrix = lock(&shared.matrix);
        // Those that waited for a shaping which is gone come before those that meet none.
        self.release_healed(&matrix);
        for _ in 0..BATCH {
            // A non-blocking device has a packet, or says that it has none.
            let Ok(length) = self.ports[from].read(buffer) else {
                return;
            };
            self.carry_packet(&matrix, from, &buffer[..length]);
        }
    }

    fn carry_packet(&mut self, matrix: &Matrix, from: usize, packet: &[u8]) {
        // Broadcasts and what else is for nobody here are dropped, as on a router.
        let Some(to) = self.receiver(packet) else {
            return;
        };
        if !matrix.passes(from, to) {
            self.shared.counters.cut.fetch_add(1, Relaxed);
            return;
        }
        if matrix.links(from, to).is_empty() {
            self.deliver(to, packet);
        } else {
            self.carry_shaped(matrix, from, to, packet);
        }
    }

    /// Lets a packet pass the links of its edge, and what answers it those of the way back.
    fn carry_shaped(&mut self, matrix: &Matrix, from: usize, to: usize, packet: &[u8]) {
        let due = Instant::now();
        // Whatever is due comes before it.
        self.deliver_waiting(matrix, due);
        let crossing = Crossing::of(due, packet.to_vec());
        for bytes in self.cross(matrix, (from, to), crossing, due) {
            if matrix.passes(to, from) {
                let answer = Crossing::of_ours(due, bytes);
                let answers = self.cross(matrix, (to, from), answer, due);
                assert!(answers.is_empty(), "nothing answers a reset of ours");
            } else {
                self.shared.counters.cut.fetch_add(1, Relaxed);
            }
        }
    }

    /// Lets it pass the links of an edge, one after the other; returns what goes back.
    fn cross(
        &mut self,
        matrix: &Matrix,
        (from, to): (usize, usize),
        mut crossing: Crossing,
        due: Instant,
    ) -> Vec<Vec<u8>> {
        for link in matrix.links(from, to) {
            let mut link = lock(link);
            for passage in std::mem::take(&mut crossing.onward) {
                link.carry(passage, &mut crossing);
            }
        }
        for passage in crossing.onward {
            if passage.due <= due {
                self.deliver(to, &passage.bytes);
            } else if !self.waiting.enter(passage.due, from, to, passage.bytes) {
                self.shared.counters.undelivered.fetch_add(1, Relaxed);
            }
        }
        crossing.back
    }

    /// Delivers what is due by now. A cut that came meanwhile blocks it, and counts it.
    fn deliver_due(&mut self) {
        if self.waiting.first_due().is_none() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let matrix = lock(&shared.matrix);
        self.release_healed(&matrix);
        self.deliver_waiting(&matrix, Instant::now());
    }

    fn deliver_waiting(&mut self, matrix: &Matrix, now: Instant) {
        while let Some(packet) = self.waiting.leave(now) {
            self.deliver_unless_cut(matrix, packet.from, packet.to, &packet.bytes);
        }
    }

    /// Delivers what waited on edges that nothing shapes any more.
    fn release_healed(&mut self, matrix: &Matrix) {
        if matrix.healed == self.released {
            return;
        }
        self.released = matrix.healed;
        let is_shaped = |from, to| !matrix.links(from, to).is_empty();
        for packet in self.waiting.release(is_shaped) {
            self.deliver_unless_cut(matrix, packet.from, packet.to, &packet.bytes);
        }
    }

    fn deliver_unless_cut(&self, matrix: &Matrix, from: usize, to: usize, packet: &[u8]) {
        if matrix.passes(from, to) {
            self.deliver(to, packet);
        } else {
            self.shared.counters.cut.fetch_add(1, Relaxed);
        }
    }

    fn deliver(&self, to: usize, packet: &[u8]) {
        let counters = &self.shared.counters;
        match self.ports[to].write(packet) {
            Ok(()) => counters.forwarded.fetch_add(1, Relaxed),
            Err(_) => counters.undelivered.fetch_add(1, Relaxed),
        };
    }

    /// The port of the address that an IPv4 packet is for.
    fn receiver(&self, packet: &[u8]) -> Option<usize> {
        let is_ipv4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
        let destination: [u8; 4] = packet.get(DESTINATION)?.try_into().ok()?;
        if !is_ipv4 {
            return None;
        }
        if destination == CLIENT_ADDRESS.octets() {
            return Some(0);
        }
        match destination {
            [10, 77, 0, node] if (1..self.ports.len()).contains(&node.into()) => Some(node.into()),
            _ => None,
        }
    }
}
