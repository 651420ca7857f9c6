//! What the doctor finds, on a machine that has everything and on one that lacks TUN.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use ordeal_nemesis::{
    FaultClass,
    doctor::{Row, examine},
    network::{Network, Ports, Switch, SwitchOptions},
    sandbox::Sandbox,
};

fn main() -> ExitCode {
    support::main(&cases![
        Inside every_class_is_tried_and_nothing_is_left,
        Inside without_tun_packet_sockets_do,
    ])
}

fn every_class_is_tried_and_nothing_is_left(sandbox: &Sandbox) {
    let rows = examine(sandbox, &FaultClass::ALL.into());
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
