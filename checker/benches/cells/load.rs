//! Histories of an atomic object under closed-loop clients.
//!
//! `clients` operations are always in flight. At every tick one client, drawn at random, goes one
//! step on: its operation takes effect, or returns and the next is asked. A third each are reads,
//! writes and compare-and-sets. Of the latter two `crash_per_1000` never return; half of those take
//! effect all the same, and the client goes on as a new process.

#[path = "../../tests/all/support/random.rs"]
#[allow(dead_code)]
mod random;

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::model::{CasRegister, Keyed, Model, RegisterOp, RegisterRet};

pub(crate) use random::Random;

/// One cell's parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) operations: u64,
    pub(crate) clients: usize,
    pub(crate) crash_per_1000: u64,
    pub(crate) keys: u64,
    /// How many values there are; `None` where every written value is another.
    pub(crate) values: Option<u64>,
    pub(crate) is_violated: bool,
}

pub(crate) type KvOp = Keyed<u64, RegisterOp>;

struct Flight {
    process: u64,
    op: KvOp,
    ret: Option<RegisterRet>,
    crashes: bool,
}

struct World {
    load: Load,
    random: Random,
    builder: HistoryBuilder<KvOp, RegisterRet>,
    registers: Vec<Option<i64>>,
    now: u64,
    asked: u64,
    processes: u64,
}

impl Load {
    pub(crate) fn history(self, seed: u64) -> History<KvOp, RegisterRet> {
        let mut world = World {
            load: self,
            random: Random(seed),
            builder: HistoryBuilder::new(),
            registers: vec![None; usize::try_from(self.keys).expect("few keys")],
            now: 0,
            asked: 0,
            processes: 0,
        };
        let planted = if self.is_violated {
            self.operations * 95 / 100
        } else {
            self.operations
        };
        world.serve(planted);
        if self.is_violated {
            world.lie();
            world.serve(self.operations);
        }
        world.builder.finish()
    }
}

impl World {
    /// Clients work until so many operations were asked, and all have returned.
    fn serve(&mut self, until: u64) {
        let mut flights: Vec<Flight> = Vec::new();
        while flights.len() < self.load.clients && self.asked < until {
            let process = self.process();
            flights.push(self.ask(process));
        }
        while !flights.is_empty() {
            let place = self.random.place(flights.len());
            let flight = &mut flights[place];
            if flight.ret.is_none() {
                let state = &mut self.registers[usize::try_from(flight.op.key).expect("few keys")];
                let takes_effect = !flight.crashes || self.random.below(2) == 0;
                let mut untouched = *state;
                let state = if takes_effect { state } else { &mut untouched };
                flight.ret = Some(take_effect(state, flight.op.op));
                continue;
            }
            let flight = flights.swap_remove(place);
            let process = self.answer(&flight);
            if self.asked < until {
                flights.push(self.ask(process));
            }
        }
    }

    fn process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        Time(self.now)
    }

    fn ask(&mut self, process: u64) -> Flight {
        self.asked += 1;
        let key = self.random.below(self.load.keys);
        let held = self.registers[usize::try_from(key).expect("few keys")];
        let (expect, new) = match self.load.values {
            Some(values) => (Some(self.random.value(values)), self.random.value(values)),
            None => (held, i64::try_from(self.asked).expect("few operations")),
        };
        let op = match self.random.below(3) {
            0 => RegisterOp::Read,
            1 => RegisterOp::Write(new),
            _ => RegisterOp::Cas { expect, new },
        };
        let crashes = op != RegisterOp::Read && self.random.below(1000) < self.load.crash_per_1000;
        let op = Keyed::new(key, op);
        let at = self.tick();
        self.builder
            .invoke(Process(process), at, op.clone())
            .expect("well-formed");
        Flight {
            process,
            op,
            ret: None,
            crashes,
        }
    }

    /// The process that the client goes on as.
    fn answer(&mut self, flight: &Flight) -> u64 {
        let at = self.tick();
        let (outcome, process) = if flight.crashes {
            (Outcome::Info(Reason::default()), self.process())
        } else {
            (
                Outcome::Ok(flight.ret.expect("it took effect")),
                flight.process,
            )
        };
        self.builder
            .complete(Process(flight.process), at, outcome)
            .expect("well-formed");
        process
    }

    /// While nothing else is in flight: two writes, one after the other, and a read of the first.
    /// Where a crashed write of the same value could explain that, a read of what nobody wrote.
    fn lie(&mut self) {
        let fresh = i64::try_from(self.load.operations).expect("few operations") + 10;
        let (first, second) = match self.load.values {
            None => (fresh, fresh + 1),
            Some(_) => (0, 1),
        };
        let could_be_explained = self.load.values.is_some() && self.load.crash_per_1000 > 0;
        let seen = if could_be_explained { fresh } else { first };
        for (op, ret) in [
            (RegisterOp::Write(first), RegisterRet::Written),
            (RegisterOp::Write(second), RegisterRet::Written),
            (RegisterOp::Read, RegisterRet::Value(Some(seen))),
        ] {
            let process = self.process();
            let (from, to) = (self.tick(), self.tick());
            self.builder
                .invoke(Process(process), from, Keyed::new(0, op))
                .expect("well-formed");
            self.builder
                .complete(Process(process), to, Outcome::Ok(ret))
                .expect("well-formed");
        }
        self.registers[0] = Some(second);
        self.asked += 3;
    }
}

fn take_effect(state: &mut Option<i64>, op: RegisterOp) -> RegisterRet {
    let before = *state;
    *state = CasRegister
        .step(state, &op, None)
        .expect("a register answers everything");
    match op {
        RegisterOp::Read => RegisterRet::Value(before),
        RegisterOp::Write(_) => RegisterRet::Written,
        RegisterOp::Cas { expect, .. } => RegisterRet::Swapped(before == expect),
        RegisterOp::WriteNil | RegisterOp::CasNil { .. } => unreachable!("nobody asks that"),
    }
}

impl Random {
    fn place(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a usize")
    }

    fn value(&mut self, values: u64) -> i64 {
        i64::try_from(self.below(values)).expect("few values")
    }
}
