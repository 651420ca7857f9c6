//! What the doctor finds, on a machine that has everything and on one that lacks TUN.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use ordeal_nemesis::{
    FaultClass, Schedule,
    disk::{DiskBackend, DiskWanted},
    doctor::{Row, choose_disk, examine, examine_all},
    network::{Network, Ports, Switch, SwitchOptions},
    sandbox::Sandbox,
};

fn main() -> ExitCode {
    support::main(&cases![
        Inside every_class_is_tried_and_nothing_is_left,
        Inside without_tun_packet_sockets_do,
        Inside without_fuse_a_filter_of_calls_does_what_it_can,
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
    for row in &rows {
        assert!(row.is_available(), "{row:?}");
    }
    // There is room for the run's own network, and no process but this one.
    let switch = Switch::create(sandbox, 3, &SwitchOptions::default()).unwrap();
    assert_eq!((switch.cuts(), switch.shapings()), (vec![], vec![]));
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    assert_eq!(pids.collect::<Vec<_>>(), [1, 2], "init and this process");
    assert_eq!(examine(sandbox, &[].into()), []);
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
