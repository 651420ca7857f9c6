//! A fault of the kernel's network that fails at one node, for real: the chain that its rules are
//! hung into is gone there, and `iptables-restore` refuses. At another node a script in its place
//! refuses to take rules away, as long as a file is there.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Instant,
};

use ordeal_nemesis::{
    Edge, Effect, Grudge, Node, Schedule,
    doctor::choose,
    injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop},
    lever::{Levers, Observer},
    network::{FateSeed, Iptables, IptablesOptions, Network, NetworkError, Wanted},
    sandbox::{self, Sandbox},
    schedule::PlannedFault,
};

use crate::support::{self, probes::Probes};

const RESTORE: &str = "iptables-restore";

/// Where administrators' programs are, whatever a plain user's PATH.
fn real() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(more);
    folders
        .map(|folder| folder.join(RESTORE))
        .find(|file| file.is_file())
}

/// Puts the script before the program in the PATH of a test that needs both.
pub(crate) fn what_is_half_installed_is_known_until_it_is_healed() {
    let Some(real) = real() else {
        return support::lacks("iptables", "no iptables-restore (`apt install iptables`)");
    };
    let folder = tempfile::tempdir().unwrap();
    let (script, stuck) = (folder.path().join(RESTORE), folder.path().join("stuck"));
    let text = format!(
        "#!/bin/sh\nrules=$(cat)\n\
         case $rules in *'-X ORDEAL-'*)\n\
         here=$(readlink /proc/self/ns/net)\n\
         if [ \"$(cat {stuck} 2>/dev/null)\" = \"$here\" ]; then\n\
         echo stuck >&2; exit 4; fi;; esac\n\
         printf '%s\\n' \"$rules\" | {real} \"$@\"\n",
        stuck = stuck.display(),
        real = real.display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.path().display());
    let mut command = support::case("half_installed");
    let output = command.arg(&stuck).env("PATH", path).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    match support::lacking(&said) {
        Some(why) => support::lacks("iptables", why),
        None => assert!(output.status.success(), "{said}"),
    }
}

/// What of the kernel's network this test needs and was seen not to work here.
fn missing(sandbox: &Sandbox) -> Option<String> {
    let planned = |id, fault: &str| PlannedFault {
        id,
        at_ms: 0,
        for_ms: 1,
        fault: fault.parse().unwrap(),
    };
    let faults = [planned(1, "isolate n1"), planned(2, "packets all: loss 5%")];
    let schedule = Schedule {
        faults: faults.into(),
    };
    let (_, rows) = choose(sandbox, Wanted::Iptables, &schedule);
    let row = rows.into_iter().find(|row| !row.is_available())?;
    Some(format!("{}: {}", row.mechanism, row.result.unwrap_err()))
}

/// The kernel's network of three nodes, in which no fault can be installed at n2.
struct Half {
    network: Arc<Iptables>,
    /// Holds the namespace in which rules are not taken away.
    stuck: PathBuf,
}

pub(crate) fn half_installed(args: &[String]) {
    let sandbox = sandbox::enter().unwrap();
    if let Some(why) = missing(&sandbox) {
        return support::lacks("iptables", why);
    }
    let network = Iptables::create(&sandbox, 3, &IptablesOptions::default()).unwrap();
    let half = Half {
        network: Arc::new(network),
        stuck: Path::new(&args[0]).to_owned(),
    };
    half.break_n2();
    let mut probes = Probes::new(&*half.network);
    half.a_failed_cut_is_taken_back(&mut probes);
    half.a_cut_that_stays_is_known(&mut probes);
    half.a_shaping_that_stays_is_known(&mut probes);
    half.its_fault_heals_it_later(&mut probes);
    half.or_the_end_of_the_run_does(&mut probes);
    half.or_it_is_told_that_it_is_there();
}

impl Half {
    /// Unhooks and deletes the chains that cuts and shapings are hung into.
    fn break_n2(&self) {
        let mut command = Command::new(real().unwrap());
        command.arg("--noflush").stdin(Stdio::piped());
        self.network.namespace(Node(2)).contain(&mut command);
        let mut child = command.spawn().unwrap();
        let rules = "*filter\n-F ORDEAL-IN\n-X ORDEAL-CUT\n-X ORDEAL-SHAPE\nCOMMIT\n";
        child
            .stdin
            .take()
            .unwrap()
            .write_all(rules.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn stick(&self) {
        let read = || fs::read_link("/proc/thread-self/ns/net").unwrap();
        let reading = self.network.namespace(Node(1)).spawn("read", read);
        let here = reading.unwrap().join().unwrap();
        fs::write(&self.stuck, here.to_str().unwrap()).unwrap();
    }

    fn loosen(&self) {
        fs::remove_file(&self.stuck).unwrap();
    }

    fn grudge() -> Grudge {
        Grudge::isolate(Node(1), 3)
    }

    /// What of it is in force at n1.
    fn at_n1() -> Grudge {
        let edges = Self::grudge();
        edges
            .edges()
            .filter(|edge| edge.to == Node(1).into())
            .collect()
    }

    fn a_failed_cut_is_taken_back(&self, probes: &mut Probes) {
        let error = self.network.cut(&Self::grudge()).unwrap_err();
        assert!(matches!(error, NetworkError::Tool { .. }), "{error}");
        assert_eq!(self.network.cuts(), []);
        probes.assert_blocked(&Grudge::default(), "after a cut that failed");
    }

    fn a_cut_that_stays_is_known(&self, probes: &mut Probes) {
        self.stick();
        let error = self.network.cut(&Self::grudge()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, NetworkError::Half { .. }) && text.contains("in force at n1 all"),
            "{text}"
        );
        let [cut] = self.network.cuts()[..] else {
            panic!("{:?}", self.network.cuts())
        };
        probes.assert_blocked(&Self::at_n1(), "where it could not be taken back");
        self.network.heal(cut).unwrap_err();
        assert_eq!(self.network.cuts(), [cut]);
        self.loosen();
        self.network.heal(cut).unwrap();
        assert_eq!(self.network.cuts(), []);
        probes.assert_blocked(&Grudge::default(), "after its heal");
    }

    fn a_shaping_that_stays_is_known(&self, probes: &mut Probes) {
        let edges: BTreeSet<Edge> = Self::grudge().edges().collect();
        let shape = || {
            let seed = FateSeed { seed: 1, fault: 1 };
            let shaping = "loss 100%".parse().unwrap();
            self.network.shape(&edges, &shaping, seed).unwrap_err()
        };
        let error = shape();
        assert!(!matches!(error, NetworkError::Half { .. }), "{error}");
        assert_eq!(self.network.shapings(), []);
        probes.assert_blocked(&Grudge::default(), "after a shaping that failed");
        self.stick();
        let error = shape();
        assert!(matches!(error, NetworkError::Half { .. }), "{error}");
        probes.assert_blocked(&Self::at_n1(), "where it loses everything");
        let [shaping] = self.network.shapings()[..] else {
            panic!("{:?}", self.network.shapings())
        };
        self.network.unshape(shaping).unwrap_err();
        self.loosen();
        self.network.unshape(shaping).unwrap();
        assert_eq!(self.network.shapings(), []);
        probes.assert_blocked(&Grudge::default(), "after its heal");
    }

    /// Runs a plan's fault that is stuck at first; `loosen` is asked at each event.
    fn run(&self, fault: &str, loosen: impl Fn(&FaultEvent) -> bool + Sync) -> Ended {
        let planned = PlannedFault {
            id: 1,
            at_ms: 0,
            for_ms: 300,
            fault: fault.parse().unwrap(),
        };
        let levers = Levers {
            network: Some(self.network.clone()),
            ..Levers::default()
        };
        let (began, events) = (Instant::now(), Mutex::new(Vec::new()));
        let sink = |event: FaultEvent| {
            if loosen(&event) && self.stuck.exists() {
                self.loosen();
            }
            events.lock().unwrap().push((event.what, event.message));
        };
        self.stick();
        let records = Injector {
            nodes: 3,
            spares: 0,
            levers: &levers,
            observer: &Nobody,
            clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
            sink: &sink,
            stop: &Stop::new(),
            seed: 1,
            patience: Patience::default(),
        }
        .run(&Schedule {
            faults: vec![planned],
        });
        let [record] = <[FaultRecord; 1]>::try_from(records).unwrap();
        assert!(
            matches!(record.effect, Effect::Indeterminate(_)),
            "{record:?}"
        );
        Ended {
            record,
            events: events.into_inner().unwrap(),
        }
    }

    fn its_fault_heals_it_later(&self, probes: &mut Probes) {
        let ended = self.run("isolate n1", |event| event.what == Step::Healing);
        assert!(ended.record.healed, "{ended:?}");
        assert!(
            ended
                .record
                .effect
                .to_string()
                .contains("it was healed later")
        );
        let steps: Vec<Step> = ended.events.iter().map(|(step, _)| *step).collect();
        let expected = [Step::Injecting, Step::Healing, Step::Indeterminate];
        assert_eq!(steps, expected);
        probes.assert_blocked(&Grudge::default(), "after its heal");
    }

    fn or_the_end_of_the_run_does(&self, probes: &mut Probes) {
        for fault in ["isolate n1", "packets n1: loss 100%"] {
            let ended = self.run(fault, |event| event.what == Step::Indeterminate);
            assert!(ended.record.healed, "{ended:?}");
            let [.., (_, first), (_, last)] = &ended.events[..] else {
                panic!("{ended:?}")
            };
            assert!(first.ends_with("it may not be undone"), "{first}");
            assert_eq!(last, "healed at the end of the run");
            probes.assert_blocked(&Grudge::default(), "after the run");
        }
    }

    fn or_it_is_told_that_it_is_there(&self) {
        let ended = self.run("isolate n1", |_| false);
        assert!(!ended.record.healed, "{ended:?}");
        let (_, last) = ended.events.last().unwrap();
        assert!(
            last.starts_with("it may still be in force at the end"),
            "{last}"
        );
        assert_eq!(self.network.cuts().len(), 1);
    }
}

#[derive(Debug)]
struct Ended {
    record: FaultRecord,
    events: Vec<(Step, String)>,
}

pub(crate) struct Nobody;

impl Observer for Nobody {
    fn leader(&self) -> Option<Node> {
        None
    }

    fn serving(&self, _: Node, _: u32) -> bool {
        false
    }
}
