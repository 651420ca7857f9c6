//! What somebody else does to the rules in a node's namespace while a fault is in force, for real:
//! its heal leaves nothing, says that it was not alone, and the next fault works.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

use ordeal_nemesis::{
    Edge, Effect, Grudge, Node, Schedule,
    injector::{FaultEvent, Injector, Patience, Stop},
    lever::Levers,
    network::{CutId, FateSeed, Iptables, IptablesOptions, Network, NetworkError, Variant},
    sandbox::Sandbox,
    schedule::PlannedFault,
};

use crate::{
    half::Nobody,
    support::{self, probes::Probes},
};

pub(crate) fn what_others_remove_is_gone_and_told_with_nft(sandbox: &Sandbox) {
    disturbed(sandbox, Variant::Nft);
}

pub(crate) fn what_others_remove_is_gone_and_told_with_legacy(sandbox: &Sandbox) {
    disturbed(sandbox, Variant::Legacy);
}

fn disturbed(sandbox: &Sandbox, variant: Variant) {
    let options = IptablesOptions {
        variant,
        ..IptablesOptions::default()
    };
    let network = match Iptables::create(sandbox, 3, &options) {
        Ok(network) => Arc::new(network),
        Err(error) => return support::lacks(&variant.to_string(), error),
    };
    let disturbed = Disturbed {
        probes: Mutex::new(Probes::new(&*network)),
        network,
        variant,
    };
    disturbed.a_cut_whose_rules_are_gone();
    disturbed.a_shaping_whose_rules_are_gone();
    disturbed.all_faults_that_nothing_leads_to();
    disturbed.a_planned_fault_says_so();
}

struct Disturbed {
    network: Arc<Iptables>,
    variant: Variant,
    probes: Mutex<Probes>,
}

fn isolate() -> Grudge {
    Grudge::isolate(Node(1), 3)
}

impl Disturbed {
    /// Runs `iptables`, as somebody who knows nothing of us would, where n1 is.
    fn somebody(&self, args: &str) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.variant.to_string());
        command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
        command.env("XTABLES_LOCKFILE", "/proc/self/ns/net");
        command.args(args.split(' '));
        self.network.namespace(Node(1)).contain(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn assert_blocked(&self, grudge: &Grudge, when: &str) {
        self.probes.lock().unwrap().assert_blocked(grudge, when);
    }

    /// A fault is healed, but somebody else was at n1 before.
    fn assert_told<T: std::fmt::Debug>(&self, healed: Result<T, NetworkError>, when: &str) {
        let error = healed.expect_err(when);
        assert!(
            matches!(&error, NetworkError::Disturbed { at, .. } if at == "n1"),
            "{when}: {error}"
        );
        let said = "somebody else had removed rules at n1 before fault";
        assert!(error.to_string().starts_with(said), "{when}: {error}");
        assert_eq!(self.network.cuts(), [], "{when}");
        assert_eq!(self.network.shapings(), [], "{when}");
        let rules = self.somebody("-S");
        let is_fault = |line: &str| line.contains("ORDEAL-") && line.contains(char::is_numeric);
        let of_faults = rules.lines().filter(|line| !line.contains("--mark 0x1"));
        let left: Vec<&str> = of_faults.filter(|line| is_fault(line)).collect();
        assert_eq!(left, [""; 0], "{when}");
    }

    fn assert_works(&self, when: &str) {
        self.assert_blocked(&Grudge::default(), when);
        let cut = self.network.cut(&isolate()).unwrap();
        self.assert_blocked(&isolate(), when);
        // Two nodes and the clients, both ways.
        assert_eq!(self.network.heal(cut).unwrap().total(), 4, "{when}");
        self.assert_blocked(&Grudge::default(), when);
    }

    fn a_cut_whose_rules_are_gone(&self) {
        let ways: [&[&str]; 5] = [
            &["-F"],
            &["-F", "-X"],
            &["-D INPUT -j ORDEAL-IN"],
            &["-D ORDEAL-CUT -j ORDEAL-ID"],
            &["-F ORDEAL-ID"],
        ];
        for way in ways {
            let cut = self.network.cut(&isolate()).unwrap();
            self.assert_blocked(&isolate(), "before somebody else came");
            let CutId(id) = cut;
            for args in way {
                self.somebody(&args.replace("ID", &id.to_string()));
            }
            let when = format!("after {way:?}");
            self.assert_told(self.network.heal(cut), &when);
            let again = self.network.heal(cut).unwrap_err();
            assert!(matches!(again, NetworkError::NoSuchCut(_)), "{again}");
            self.assert_works(&when);
        }
    }

    fn a_shaping_whose_rules_are_gone(&self) {
        let edges: BTreeSet<Edge> = isolate().edges().collect();
        for way in ["-F", "-D OUTPUT -j ORDEAL-OUT"] {
            let seed = FateSeed { seed: 1, fault: 1 };
            let shaping = "loss 100%".parse().unwrap();
            let shaping = self.network.shape(&edges, &shaping, seed).unwrap();
            self.assert_blocked(&isolate(), "before somebody else came");
            self.somebody(way);
            self.assert_told(self.network.unshape(shaping), way);
            self.assert_works(way);
        }
    }

    fn all_faults_that_nothing_leads_to(&self) {
        let both = [(); 2].map(|()| self.network.cut(&isolate()).unwrap());
        self.somebody("-D INPUT -j ORDEAL-IN");
        let [first, second] = both.map(|cut| self.network.heal(cut));
        assert!(
            matches!(first, Err(NetworkError::Disturbed { .. })),
            "{first:?}"
        );
        self.assert_told(second, "the second one was not in force either");
        self.assert_works("after both");
    }

    fn a_planned_fault_says_so(&self) {
        let planned = PlannedFault {
            id: 1,
            at_ms: 0,
            for_ms: 400,
            fault: "isolate n1".parse().unwrap(),
        };
        let levers = Levers {
            network: Some(self.network.clone()),
            ..Levers::default()
        };
        let (began, stop, events) = (Instant::now(), Stop::new(), Mutex::new(Vec::new()));
        let injector = Injector {
            nodes: 3,
            spares: 0,
            levers: &levers,
            observer: &Nobody,
            clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
            sink: &|event: FaultEvent| events.lock().unwrap().push(event.message),
            stop: &stop,
            seed: 1,
            patience: Patience::default(),
        };
        let schedule = Schedule {
            faults: vec![planned],
        };
        let records = std::thread::scope(|scope| {
            let running = scope.spawn(|| injector.run(&schedule));
            support::eventually("it is in force", || !self.network.cuts().is_empty());
            // The network is locked until the cut is there.
            let _ = self.network.dropped(self.network.cuts()[0]);
            self.assert_blocked(&isolate(), "while it is in force");
            self.somebody("-F");
            running.join().unwrap()
        });
        let [record] = &records[..] else {
            panic!("{records:?}")
        };
        let Effect::Indeterminate(why) = &record.effect else {
            panic!("{record:?}")
        };
        assert!(record.healed, "{record:?}");
        assert!(
            why.contains("how long all of it was in force is unknown"),
            "{why}"
        );
        let last = events.lock().unwrap().last().cloned();
        assert_eq!(last.as_ref(), Some(why), "nothing is said to be left");
        self.assert_works("after the run");
    }
}
