//! The thread that carries packets: never blocks but in epoll.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::{
    buffer::spare_capacity,
    event::epoll,
    io::{Errno, read, write},
};

use super::{Shared, lock, matrix::Matrix, port::Port};
use crate::network::CLIENT_ADDRESS;

/// Packets by what became of them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) forwarded: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) undelivered: AtomicU64,
}

/// The devices and what decides about their packets.
pub(super) struct Carrier {
    ports: Vec<Port>,
    shared: Arc<Shared>,
    epoll: OwnedFd,
    /// Kept open for as long as epoll watches it.
    _quit: Arc<OwnedFd>,
}

/// The epoll tag of the request to end; ports are tagged with their index.
const QUIT: u64 = u64::MAX;

/// Packets taken from one device under one lock: long enough to spread its cost, short enough that
/// a cut waits for some hundred microseconds at most.
const BATCH: usize = 64;

/// Where the receiver's address stands in an IPv4 header, which is at least 20 bytes long.
const DESTINATION: std::ops::Range<usize> = 16..20;

impl Carrier {
    pub(super) fn new(
        ports: Vec<Port>,
        shared: Arc<Shared>,
        quit: Arc<OwnedFd>,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &quit,
            epoll::EventData::new_u64(QUIT),
            epoll::EventFlags::IN,
        )?;
        for (index, port) in (0_u64..).zip(&ports) {
            let tag = epoll::EventData::new_u64(index);
            epoll::add(&epoll, &port.device, tag, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            ports,
            shared,
            epoll,
            _quit: quit,
        })
    }

    /// Runs until asked to quit.
    pub(super) fn carry(self) {
        let mut events = Vec::with_capacity(self.ports.len() + 1);
        let mut buffer = vec![0_u8; usize::from(u16::MAX)];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => panic!("epoll of open descriptors failed: {errno}"),
            }
            for event in &events {
                match event.data.u64() {
                    QUIT => return,
                    port => {
                        let from = usize::try_from(port).expect("ports are few");
                        self.carry_batch(from, &mut buffer);
                    }
                }
            }
        }
    }

    fn carry_batch(&self, from: usize, buffer: &mut [u8]) {
        let matrix = lock(&self.shared.matrix);
        for _ in 0..BATCH {
            // A non-blocking device has a packet, or says that it has none.
            let Ok(length) = read(&self.ports[from].device, &mut *buffer) else {
                return;
            };
            self.carry_packet(&matrix, from, &buffer[..length]);
        }
    }

    fn carry_packet(&self, matrix: &Matrix, from: usize, packet: &[u8]) {
        let counters = &self.shared.counters;
        // Broadcasts and what else is for nobody here are dropped, as on a router.
        let Some(to) = self.receiver(packet) else {
            return;
        };
        if !matrix.passes(from, to) {
            counters.cut.fetch_add(1, Relaxed);
            return;
        }
        match write(&self.ports[to].device, packet) {
            Ok(_) => counters.forwarded.fetch_add(1, Relaxed),
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
