//! Seed → schedule, as conversations in `tests/plans/*.txt`, and the planner's bounds over many
//! seeds.
//!
//! A conversation is a request, `----`, and the whole schedule. After a deliberate change run
//! `UPDATE_PLANS=1 cargo test -p ordeal-nemesis --test planner` and review the difference.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use ordeal_nemesis::{
    AdminFault, Fault, FaultClass, Node, PacketEffect, PlannedFault, Schedule, Scope, Shape,
    Targets,
    planner::{Nemesis, PlanError, PlanSpec, atlas, plan},
};

#[test]
fn schedules_are_those_in_the_plan_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let expected = fs::read_to_string(&path).unwrap();
        let actual: Vec<String> = expected.split("\n\n").map(answered).collect();
        let actual = format!("{}\n", actual.join("\n\n"));
        if std::env::var_os("UPDATE_PLANS").is_some() {
            fs::write(&path, &actual).unwrap();
        } else {
            assert_eq!(actual, expected, "{} differs", path.display());
        }
    }
}

/// A conversation with its answer made anew.
fn answered(conversation: &str) -> String {
    let request = conversation.lines().next().unwrap();
    let words: Vec<&str> = request.split_whitespace().collect();
    let [nemesis, nodes, "nodes", time, "s", "seed", seed] = words[..] else {
        panic!("`{request}` is not `NEMESIS N nodes T s seed S`")
    };
    let time_ms = time.parse::<u64>().unwrap() * 1000;
    let spec = PlanSpec::new(
        nemesis.parse().unwrap(),
        nodes.parse().unwrap(),
        time_ms,
        seed.parse().unwrap(),
    );
    let answer = match plan(&spec) {
        Ok(schedule) if schedule.faults.is_empty() => "no fault".to_owned(),
        Ok(schedule) => schedule.to_string(),
        Err(error) => format!("error: {error}\n"),
    };
    format!("{request}\n----\n{}", answer.trim_end_matches('\n'))
}

/// Every nemesis that makes sense for every size up to 9, over some seeds.
fn for_many_specs(mut look: impl FnMut(&PlanSpec, &Schedule)) {
    for nemesis in Nemesis::ALL {
        for nodes in 1..=9 {
            for seed in 0..12 {
                let spec = PlanSpec::new(nemesis, nodes, 30_000, seed);
                match plan(&spec) {
                    Ok(schedule) => look(&spec, &schedule),
                    Err(PlanError::Nodes { .. }) => {}
                    Err(error) => panic!("{spec:?}: {error}"),
                }
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let schedule = plan(&PlanSpec::new(Nemesis::Mixed, 5, 30_000, seed)).unwrap();
        serde_json::to_string(&schedule).unwrap()
    };
    assert_eq!(bytes(7), bytes(7));
    let distinct: BTreeSet<String> = (0..100).map(bytes).collect();
    assert_eq!(distinct.len(), 100);
}

#[test]
fn every_schedule_is_valid_and_calm_at_its_end() {
    for_many_specs(|spec, schedule| {
        schedule.validate(spec.nodes, spec.time_ms - 500).unwrap();
        assert_eq!(
            schedule.faults.is_empty(),
            spec.nemesis == Nemesis::None,
            "{spec:?}"
        );
    });
}

#[test]
fn mixed_plans_every_class_in_30_seconds() {
    for_many_specs(|spec, schedule| {
        if spec.nemesis == Nemesis::Mixed {
            assert_eq!(
                schedule.classes(),
                [
                    FaultClass::Kill,
                    FaultClass::Pause,
                    FaultClass::Partition,
                    FaultClass::PowerLoss,
                    FaultClass::Disk
                ]
                .into(),
                "{spec:?}\n{schedule}"
            );
        }
    });
}

#[test]
fn mixed_plans_every_shape_within_a_few_seeds() {
    let mut kinds = BTreeSet::new();
    for seed in 0..5 {
        let schedule = plan(&PlanSpec::new(Nemesis::Mixed, 5, 30_000, seed)).unwrap();
        for planned in &schedule.faults {
            let leader = if planned.fault.needs_leader() {
                " leader"
            } else {
                ""
            };
            kinds.insert(match &planned.fault {
                Fault::Partition(shape) => format!("{}{leader}", shape.name()),
                other => format!("{}{leader}", other.class()),
            });
        }
    }
    let all = [
        "clients",
        "disk",
        "disk leader",
        "halves",
        "isolate",
        "isolate leader",
        "kill",
        "kill leader",
        "one-way",
        "pause",
        "pause leader",
        "power-loss",
        "power-loss leader",
        "ring",
    ];
    assert_eq!(kinds, all.map(str::to_owned).into());
}

#[test]
fn swarms_differ_in_what_they_leave_out_and_flip_flop_leaves_gaps_as_long_as_its_faults() {
    let classes = |seed| {
        let spec = PlanSpec::new(Nemesis::Swarm, 5, 60_000, seed);
        plan(&spec).unwrap().classes()
    };
    let distinct: BTreeSet<_> = (0..50).map(classes).collect();
    assert!(distinct.len() > 5, "{distinct:?}");
    assert!(distinct.iter().any(|classes| classes.len() == 4));
    for seed in 0..20 {
        let spec = PlanSpec::new(Nemesis::FlipFlop, 5, 60_000, seed);
        let schedule = plan(&spec).unwrap();
        let (last, pairs) = (schedule.faults.len() - 1, schedule.faults.windows(2));
        for pair in pairs {
            assert_eq!(
                pair[1].at_ms - pair[0].heal_ms(),
                pair[0].for_ms,
                "{schedule}"
            );
        }
        let lengths = schedule.faults[..last].iter().map(|planned| planned.for_ms);
        assert!(lengths.collect::<BTreeSet<_>>().len() <= 1, "{schedule}");
    }
}

/// How many tenths of a percent of packets each run of a swarm is to lose.
fn losses_of_swarms() -> Vec<Vec<u32>> {
    let loss = |planned: &PlannedFault| {
        let Fault::Packets(packets) = &planned.fault else {
            return None;
        };
        // A loss alone: beside others it has another scale.
        let text = packets.shaping.to_string();
        let percent = text.strip_prefix("loss ")?.strip_suffix('%')?;
        let (whole, tenths) = percent.split_once('.').unwrap_or((percent, "0"));
        Some(whole.parse::<u32>().ok()? * 10 + tenths.parse::<u32>().ok()?)
    };
    let losses = |seed| {
        let schedule = plan(&PlanSpec::new(Nemesis::Swarm, 5, 60_000, seed)).unwrap();
        schedule.faults.iter().filter_map(loss).collect()
    };
    (0..600).map(losses).collect()
}

#[test]
fn swarms_differ_in_how_hard_they_hit() {
    let runs = losses_of_swarms();
    let all: BTreeSet<u32> = runs.iter().flatten().copied().collect();
    assert!(all.len() > 50, "{all:?}");
    let bounds = all.first().zip(all.last()).unwrap();
    assert!(*bounds.0 >= 50 && *bounds.1 <= 500, "{bounds:?}");
    assert!(*bounds.0 < 80 && *bounds.1 > 400, "{bounds:?}");
    // What one run does several times has a strength of its own.
    let several = runs.iter().filter(|losses| losses.len() > 1);
    let near = several.clone().filter(|losses| {
        let (least, most) = (losses.iter().min().unwrap(), losses.iter().max().unwrap());
        most - least < 100
    });
    let (near, several) = (near.count(), several.count());
    assert!(several >= 20 && near * 2 > several, "{near} of {several}");
}

#[test]
fn packet_plans_every_effect_and_every_kind_of_target_within_a_few_seeds() {
    let (mut effects, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..8 {
        let schedule = plan(&PlanSpec::new(Nemesis::Packet, 5, 60_000, seed)).unwrap();
        for planned in &schedule.faults {
            let Fault::Packets(packets) = &planned.fault else {
                panic!("{planned}")
            };
            effects.extend(packets.shaping.effects());
            targets.insert(match &packets.scope {
                Scope::Around(Targets::Nodes(nodes)) => format!("{} nodes", nodes.len()),
                scope => scope.to_string(),
            });
        }
    }
    let mut survivable = BTreeSet::from(PacketEffect::ALL);
    survivable.remove(&PacketEffect::CorruptDeliver);
    survivable.remove(&PacketEffect::Refuse);
    assert_eq!(effects, survivable);
    let all = [
        "1 nodes",
        "2 nodes",
        "3 nodes",
        "all",
        "followers",
        "leader",
    ];
    assert_eq!(targets, all.map(str::to_owned).into());
}

#[test]
fn at_most_a_minority_is_down_or_paused_at_once() {
    for_many_specs(|spec, schedule| {
        let hits_all = [
            Nemesis::KillAll,
            Nemesis::PauseAll,
            Nemesis::RestartAll,
            Nemesis::PowerLoss,
            Nemesis::LyingFsync,
            // Among them are power losses of all, which stand alone.
            Nemesis::Swarm,
            Nemesis::FlipFlop,
        ];
        let for_all = |planned: &PlannedFault| planned.fault.targets() == Some(&Targets::All);
        if hits_all.contains(&spec.nemesis) && schedule.faults.iter().any(for_all) {
            return;
        }
        let minority = usize::from((spec.nodes.saturating_sub(1) / 2).max(1));
        for moment in &schedule.faults {
            let down: usize = schedule
                .faults
                .iter()
                .filter(|other| (other.at_ms..other.heal_ms()).contains(&moment.at_ms))
                .filter(|other| other.fault.hits_processes())
                .map(|other| match other.fault.targets() {
                    Some(targets) => targets.most(spec.nodes),
                    None => 0,
                })
                .sum();
            assert!(
                down <= minority,
                "{spec:?}: {down} down at {} ms\n{schedule}",
                moment.at_ms
            );
        }
    });
}

#[test]
fn at_most_a_minority_of_the_disks_is_ever_destroyed() {
    let mut damages = 0;
    for_many_specs(|spec, schedule| {
        if spec.nemesis == Nemesis::LyingFsync {
            return;
        }
        let destroyed = atlas::destroyed(schedule, spec.nodes);
        let most = atlas::expendable_most(spec.nodes);
        assert!(
            destroyed.len() <= most,
            "{spec:?}: {destroyed:?}\n{schedule}"
        );
        damages += destroyed.len();
    });
    assert!(damages > 0);
    // Over many seeds every node has its turn, and every kind of damage.
    let (mut nodes, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..10 {
        let schedule = plan(&PlanSpec::new(Nemesis::Damage, 5, 60_000, seed)).unwrap();
        nodes.extend(atlas::destroyed(&schedule, 5));
        kinds.extend(schedule.faults.iter().map(|planned| match &planned.fault {
            Fault::Damage(fault) => fault.damage.name(),
            other => panic!("{other}"),
        }));
    }
    assert_eq!(nodes, Node::first(5).collect());
    assert_eq!(kinds, ["bit-flip", "restore", "truncate", "wipe"].into());
}

#[test]
fn nobody_forgets_what_another_may_never_have_had() {
    let mut damages = 0;
    for_many_specs(|spec, schedule| {
        if spec.nemesis == Nemesis::LyingFsync {
            return;
        }
        let close = atlas::too_close(schedule, spec.nodes);
        assert!(close.is_none(), "{spec:?}: {close:?}\n{schedule}");
        let is_damage = |planned: &&PlannedFault| matches!(planned.fault, Fault::Damage(_));
        if spec.nemesis == Nemesis::Swarm {
            damages += schedule.faults.iter().filter(is_damage).count();
        }
    });
    assert!(damages > 10, "swarms have their share of it: {damages}");
}

#[test]
fn a_choice_of_many_does_without_what_is_not_there_and_what_was_asked_for_does_not() {
    let without: BTreeSet<FaultClass> = [
        FaultClass::PowerLoss,
        FaultClass::Damage,
        FaultClass::Membership,
        FaultClass::Admin,
    ]
    .into();
    for nemesis in [Nemesis::Mixed, Nemesis::Swarm, Nemesis::FlipFlop] {
        for seed in 0..50 {
            let all = PlanSpec::new(nemesis, 5, 60_000, seed);
            let some = PlanSpec {
                without: without.clone(),
                ..all.clone()
            };
            let schedule = plan(&some).unwrap();
            assert!(schedule.classes().is_disjoint(&without), "{schedule}");
            assert!(!schedule.faults.is_empty());
            assert_eq!(plan(&some), Ok(schedule), "the same bytes again");
        }
    }
    let asked_for = PlanSpec {
        without,
        ..PlanSpec::new(Nemesis::PowerLoss, 5, 60_000, 1)
    };
    let classes = plan(&asked_for).unwrap().classes();
    assert_eq!(classes, [FaultClass::PowerLoss].into());
}

#[test]
fn swarms_draw_every_class_there_is() {
    let mut classes = BTreeSet::new();
    for seed in 0..60 {
        let spec = PlanSpec::new(Nemesis::Swarm, 5, 60_000, seed);
        classes.extend(plan(&spec).unwrap().classes());
    }
    assert_eq!(classes, FaultClass::ALL.into());
}

#[test]
fn faults_follow_each_other_within_the_interval_and_last_as_asked() {
    for_many_specs(|spec, schedule| {
        let waits_for_heals = spec.nemesis != Nemesis::Mixed && spec.nemesis != Nemesis::Partition;
        for pair in schedule.faults.windows(2) {
            let gap = pair[1].at_ms - pair[0].at_ms;
            assert!(gap >= 1000, "{spec:?}: {gap} ms");
            assert!(
                gap <= 5000 || waits_for_heals || spec.nodes < 2,
                "{spec:?}: {gap} ms"
            );
        }
        for planned in &schedule.faults {
            let lies = planned.fault.to_string().ends_with("lying-fsync");
            assert!(
                lies || (1000..=5000).contains(&planned.for_ms),
                "{spec:?}: {planned}"
            );
        }
    });
}

#[test]
fn no_shape_is_planned_that_makes_no_sense_for_the_size() {
    for_many_specs(|spec, schedule| {
        for planned in &schedule.faults {
            match &planned.fault {
                Fault::Partition(Shape::MajoritiesRing(order)) => assert!(order.len() >= 4),
                Fault::Partition(Shape::ClientCut(_)) => {}
                Fault::Partition(Shape::Bridge { .. }) => assert!(spec.nodes >= 3),
                Fault::Partition(_) | Fault::Packets(_) => assert!(spec.nodes >= 2),
                Fault::Damage(_) => assert!(spec.nodes >= 3),
                Fault::Member(fault) => {
                    assert!(fault.joining().iter().all(|node| node.0 > spec.nodes));
                    let grows = fault.leaving().is_none();
                    assert!(grows || spec.nodes + schedule.spares(spec.nodes) >= 2);
                }
                Fault::Admin(AdminFault::Transfer { .. } | AdminFault::Campaign(_)) => {
                    assert!(spec.nodes >= 2);
                }
                Fault::Kill(_)
                | Fault::Pause(_)
                | Fault::PowerLoss(_)
                | Fault::Disk(_)
                | Fault::Clock(_)
                | Fault::Admin(_) => {}
                Fault::Stop(_) | Fault::Restart(_) | Fault::CrashLoop(_) => {}
                Fault::StartKill(_) | Fault::SlowCpu(_) | Fault::Memory(_) => {}
            }
        }
    });
}

#[test]
fn what_cannot_be_planned_is_refused_in_words() {
    for (spec, message) in [
        (
            PlanSpec::new(Nemesis::Mixed, 0, 30_000, 1),
            "nemesis `mixed` needs 1 to 50 nodes, not 0",
        ),
        (
            PlanSpec::new(Nemesis::None, 2000, 30_000, 1),
            "nemesis `none` needs 1 to 50 nodes, not 2000",
        ),
        (
            PlanSpec::new(Nemesis::Ring, 3, 30_000, 1),
            "nemesis `ring` needs 4 to 50 nodes, not 3",
        ),
        (
            PlanSpec::new(Nemesis::Kill, 3, 2000, 1),
            "nemesis `kill` needs at least 2500 ms, not 2000 ms",
        ),
        (
            PlanSpec {
                interval_ms: 0..=5,
                ..PlanSpec::new(Nemesis::Kill, 3, 30_000, 1)
            },
            "interval_ms must be a range from at least 1 ms upwards, not 0 to 5",
        ),
    ] {
        assert_eq!(plan(&spec).unwrap_err().to_string(), message);
    }
    assert_eq!(
        plan(&PlanSpec::new(Nemesis::None, 3, 0, 1)).unwrap(),
        Schedule::default()
    );
}

#[test]
fn extreme_specs_do_not_panic() {
    for nemesis in [Nemesis::Mixed, Nemesis::Swarm, Nemesis::FlipFlop] {
        for time_ms in [2500, 2501, 3_600_000] {
            for nodes in [1, 2, 50] {
                let spec = PlanSpec::new(nemesis, nodes, time_ms, u64::MAX);
                let schedule = plan(&spec).unwrap();
                schedule.validate(nodes, time_ms).unwrap();
                assert!(!schedule.faults.is_empty(), "{spec:?}");
            }
        }
        let spec = PlanSpec {
            interval_ms: 1..=u64::MAX,
            duration_ms: 1..=u64::MAX,
            ..PlanSpec::new(nemesis, 5, u64::MAX, 3)
        };
        plan(&spec).unwrap();
    }
}

#[test]
fn an_unknown_nemesis_is_refused_with_the_list() {
    let error = "mixd".parse::<Nemesis>().unwrap_err().to_string();
    assert!(
        error.starts_with("`mixd` is no nemesis: use one of none, kill, "),
        "{error}"
    );
    for nemesis in Nemesis::ALL {
        assert_eq!(nemesis.name().parse(), Ok(nemesis));
        assert!(!nemesis.description().is_empty());
    }
}

#[test]
fn a_schedule_is_readable_toml_and_read_back() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Plan {
        #[serde(rename = "fault", default)]
        schedule: Schedule,
    }
    let text = "[[fault]]\nid = 1\nat_ms = 1200\nfor_ms = 3000\nfault = \"halves n1 n2 | n3\"\n";
    let plan: Plan = toml::from_str(text).unwrap();
    assert_eq!(toml::to_string(&plan).unwrap(), text);
    let wrong = text.replace("for_ms", "for");
    let error = toml::from_str::<Plan>(&wrong).unwrap_err().to_string();
    assert!(error.contains("unknown field `for`"), "{error}");
    let wrong = text.replace("halves", "halfs");
    let error = toml::from_str::<Plan>(&wrong).unwrap_err().to_string();
    assert!(error.contains("`halfs` is no fault"), "{error}");
}

/// Asserts what validating `ID AT+FOR FAULT; …` on three nodes, within ten seconds, says.
fn check(faults: &str, message: &str) {
    let faults: Vec<PlannedFault> = faults
        .split("; ")
        .map(|line| {
            let (id, rest) = line.split_once(' ').unwrap();
            let (at_ms, rest) = rest.split_once('+').unwrap();
            let (for_ms, fault) = rest.split_once(' ').unwrap();
            PlannedFault {
                id: id.parse().unwrap(),
                at_ms: at_ms.parse().unwrap(),
                for_ms: for_ms.parse().unwrap(),
                fault: fault.parse().unwrap(),
            }
        })
        .collect();
    let result = Schedule { faults }.validate(3, 10_000);
    assert_eq!(
        result
            .err()
            .map_or("ok".to_owned(), |error| error.to_string()),
        message
    );
}

#[test]
fn a_schedule_that_cannot_be_run_is_refused_by_its_faults_id() {
    check("1 0+10 kill n3; 2 10+10 kill n3", "ok");
    check("1 0+9000 isolate leader; 2 5+1000 kill leader", "ok");
    check(
        "1 0+10 kill n4",
        "fault 1 names n4, but the cluster has only n1 … n3",
    );
    check(
        "1 0+10 kill n1; 1 20+10 kill n1",
        "two faults have the id 1; give each its own",
    );
    check(
        "1 20+10 kill n1; 2 0+10 kill n2",
        "fault 2 at 0 ms stands after a later one; sort the faults by at_ms",
    );
    check(
        "1 0+0 kill n1",
        "fault 1 has for_ms = 0; give it at least 1 ms",
    );
    check(
        "1 0+10 kill n1; 2 5+10 pause leader",
        "faults 1 and 2 overlap and may both hit n1's process",
    );
    check(
        "1 9000+1001 kill n1",
        "fault 1 heals at 10001 ms, after the main phase ends at 10000 ms",
    );
    check(
        "1 0+10 ring n1 n2 n3",
        "fault 1 (`ring n1 n2 n3`) would change nothing in a cluster of 3",
    );
    check(
        "1 0+10 packets n1 -> n1: loss 5%",
        "fault 1 (`packets n1 -> n1: loss 5%`) would change nothing in a cluster of 3",
    );
    check(
        "1 0+10 packets clients -> n4: loss 5%",
        "fault 1 names n4, but the cluster has only n1 … n3",
    );
    check(
        "1 0+10 disk n1: full; 2 5+10 power-loss n1",
        "faults 1 and 2 overlap and may both hit n1's process",
    );
    check("1 0+10 disk all: lying-fsync; 2 5+10 power-loss n1", "ok");
    check(
        "1 0+10 damage n4: wipe",
        "fault 1 names n4, but the cluster has only n1 … n3",
    );
    check(
        "1 0+10 packets all: loss 5%; 2 5+10 packets leader: rate 1mbit",
        "ok",
    );
}
