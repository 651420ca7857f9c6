//! What the doctor finds, on a machine that has everything and on one that lacks TUN.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use ordeal_nemesis::{
    FaultClass, PacketEffect, Schedule,
    disk::{DiskBackend, DiskWanted},
    doctor::{Row, choose, choose_disk, examine, examine_all},
    network::{Backend, Network, Ports, Switch, SwitchOptions, Wanted},
    sandbox::Sandbox,
};

fn main() -> ExitCode {
    support::main(&cases![
        Inside every_class_is_tried_and_nothing_is_left,
        Inside without_tun_packet_sockets_do,
        OnDisks without_fuse_a_filter_of_calls_does_what_it_can,
        Inside the_network_is_what_was_seen_to_do_all_that_is_planned,
    ])
}

fn every_class_is_tried_and_nothing_is_left(sandbox: &Sandbox) {
    let rows = examine_all(sandbox).into_iter();
    let (of_backoff, mut rows): (Vec<Row>, Vec<Row>) =
        rows.partition(|row| row.mechanism.contains("tcp_rto_max_ms"));
    let [row] = &of_backoff[..] else {
        panic!("{of_backoff:?}")
    };
    assert_tells_of_backoff(row);
    // What something else can do too.
    rows.retain(|row| !row.is_spare());
    let classes: Vec<FaultClass> = rows.iter().map(|row| row.fault).collect();
    let mut of_machine = FaultClass::ALL.to_vec();
    of_machine.retain(|class| !class.is_offered_by_target());
    assert_eq!(classes, of_machine);
    let on_disks = |row: &Row| row.mechanism.contains("through FUSE");
    let without_disks = rows.iter().find_map(|row| match &row.result {
        Err(why) if on_disks(row) => Some(why.clone()),
        _ => None,
    });
    for row in &rows {
        let excused = without_disks.is_some() && on_disks(row);
        assert!(row.is_available() || excused, "{row:?}");
    }
    let of_packets = rows.iter().find(|row| row.fault == FaultClass::Packet);
    assert_tells_of_each_effect(of_packets.unwrap());
    // There is room for the run's own network, and no process but this one.
    let switch = Switch::create(sandbox, 3, &SwitchOptions::default()).unwrap();
    assert_eq!((switch.cuts(), switch.shapings()), (vec![], vec![]));
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    assert_eq!(pids.collect::<Vec<_>>(), [1, 2], "init and this process");
    assert_eq!(examine(sandbox, &[].into()), []);
    if let Some(why) = without_disks {
        assert!(why.contains("/dev/fuse"), "{why}");
        support::lacks("fuse", why);
    }
}

/// What was seen of each of them, in its order.
fn assert_tells_of_each_effect(row: &Row) {
    let seen: Vec<&str> = row.result.as_ref().unwrap().split("; ").collect();
    let says = [
        " ms late",
        "lost",
        "two of one",
        "overtaken",
        "taken for whole",
        "one bit differs",
        "reset",
        "refused",
        "200 ms of packets in ",
    ];
    assert_eq!(
        (seen.len(), says.len()),
        (PacketEffect::ALL.len(), says.len())
    );
    assert!(
        seen.iter()
            .zip(says)
            .all(|(seen, says)| seen.contains(says)),
        "{seen:?}"
    );
    let probed = row.probe.split("; ").count();
    assert_eq!(
        probed,
        PacketEffect::ALL.len() + 1,
        "each, and the heal: {}",
        row.probe
    );
}

/// As this machine is: whatever it can do, the choice is the one that follows, and its words.
fn the_network_is_what_was_seen_to_do_all_that_is_planned(sandbox: &Sandbox) {
    let chosen = |fault: &str, wanted| {
        let (choice, rows) = choose(sandbox, wanted, &schedule(fault));
        (choice, rows.into_iter().find(|row| !row.is_available()))
    };
    let (choice, missing) = chosen("isolate n1", Wanted::Iptables);
    if let Some(row) = missing {
        return support::lacks("iptables", format!("{choice}, but {row:?}"));
    }
    for fault in ["isolate n1", "packets all: loss 5%, rate 1mbit, refuse 5%"] {
        let (choice, missing) = chosen(fault, Wanted::Auto);
        assert_eq!(
            (choice.backend, missing),
            (Backend::Iptables, None),
            "{fault}"
        );
        assert_eq!(
            choice.to_string(),
            "iptables: it can do all that is planned, as was tried here"
        );
    }
    // One effect that the kernel's network has no means for, and the switch has the whole plan.
    let (choice, missing) = chosen("packets all: loss 5%, corrupt-deliver 5%", Wanted::Auto);
    assert_eq!((choice.backend, missing), (Backend::Switch, None));
    let says = "switch: iptables cannot do all that is planned: corrupt-deliver: ";
    assert!(choice.to_string().starts_with(says), "{choice}");
    assert!(
        choice.why.contains("no rule of iptables and no qdisc does"),
        "{choice}"
    );
    // Who insists is refused, with that row.
    let (_, missing) = chosen("packets all: corrupt-deliver 5%", Wanted::Iptables);
    assert_eq!(missing.unwrap().effects, [PacketEffect::CorruptDeliver]);
    // Without netem the switch, with it iptables.
    let (of_kernel, missing) = chosen("packets all: delay 5ms", Wanted::Iptables);
    assert_eq!(of_kernel.backend, Backend::Iptables);
    let (choice, _) = chosen("packets all: delay 5ms", Wanted::Auto);
    match missing {
        None => assert_eq!(choice.backend, Backend::Iptables),
        Some(row) => {
            assert_eq!(choice.backend, Backend::Switch);
            let why = row.result.unwrap_err();
            assert!(
                why.contains("modprobe sch_netem") && choice.why.contains(&why),
                "{choice}"
            );
        }
    }
    let (choice, _) = chosen("kill n1", Wanted::Auto);
    assert_eq!(
        choice.to_string(),
        "switch: no fault of this plan is one of the network's"
    );
}

fn assert_tells_of_backoff(row: &Row) {
    assert_eq!(row.fault, FaultClass::Partition);
    let seen = row.result.as_ref().unwrap();
    let can = std::path::Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms").exists();
    let says = match can {
        true => "bounded to 1000 ms; ",
        false => "does not bound it",
    };
    assert!(
        seen.contains(says) && seen.contains(" ms after the heal"),
        "{seen}"
    );
}

fn without_tun_packet_sockets_do(sandbox: &Sandbox) {
    let none = None::<&str>;
    mount(
        Some("tmpfs"),
        "/dev/net",
        Some("tmpfs"),
        MsFlags::empty(),
        none,
    )
    .unwrap();
    let rows = examine(sandbox, &[FaultClass::Kill, FaultClass::Packet].into());
    assert!(rows.iter().all(Row::is_available), "{rows:?}");
    let options = SwitchOptions {
        ports: Ports::Tun,
        ..SwitchOptions::default()
    };
    let error = Switch::create(sandbox, 1, &options).unwrap_err();
    let missing = "cannot open /dev/net/tun: No such file or directory (os error 2); load the \
                   module (`sudo modprobe tun`), or start the container with `--device \
                   /dev/net/tun`";
    assert_eq!(error.to_string(), missing);
}

fn schedule(fault: &str) -> Schedule {
    let text = format!("[[fault]]\nid = 1\nat_ms = 0\nfor_ms = 1\nfault = \"{fault}\"");
    let mut table: toml::Table = text.parse().unwrap();
    table.remove("fault").unwrap().try_into().unwrap()
}

fn without_fuse_a_filter_of_calls_does_what_it_can(sandbox: &Sandbox) {
    let ill = schedule("disk n1: fsync-error");
    let (choice, rows) = choose_disk(sandbox, DiskWanted::Auto, &ill);
    assert!(rows.iter().all(Row::is_available), "{rows:?}");
    assert_eq!(choice.unwrap().backend, DiskBackend::Fuse);
    assert_eq!(
        choose_disk(sandbox, DiskWanted::Auto, &schedule("kill n1")),
        (None, vec![])
    );

    let (from, bind) = (Some("/dev/null"), MsFlags::MS_BIND);
    mount(from, "/dev/fuse", None::<&str>, bind, None::<&str>).unwrap();
    let (choice, rows) = choose_disk(sandbox, DiskWanted::Auto, &ill);
    let choice = choice.unwrap();
    assert_eq!(choice.backend, DiskBackend::Seccomp);
    assert!(
        choice
            .to_string()
            .starts_with("seccomp: there is no FUSE here: disk: "),
        "{choice}"
    );
    assert!(rows.len() == 1 && rows[0].is_available(), "{rows:?}");
    let (_, rows) = choose_disk(sandbox, DiskWanted::Fuse, &ill);
    assert!(!rows[0].is_available(), "{rows:?}");
    for wanted in DiskWanted::ALL {
        let (_, rows) = choose_disk(sandbox, wanted, &schedule("power-loss n1: torn"));
        assert!(
            rows.iter().any(|row| !row.is_available()),
            "{wanted}: {rows:?}"
        );
    }
}
