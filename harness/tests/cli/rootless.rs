//! Everything without root: the real program as a fresh user without any rights.
//!
//! As root, a test becomes that user, in a mount namespace of its own where `/dev/net/tun` and
//! `/dev/fuse` have the modes that it is about. Otherwise it stays who it is, with what it has.

use crate::trace::{Machine, processes_with};
use crate::{Results, one_cluster_at_a_time, stderr, stdout};
use nix::unistd::geteuid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// A user whom no machine has.
const NOBODY: u32 = 23_457;

/// Puts devices of this mode, made in a file system of its own, in the place of the machine's.
const DEVICES: &str = "
    mount --make-rprivate / && mount -t tmpfs -o mode=0755 none \"$1\" &&
    mknod \"$1/tun\" c 10 200 && mknod \"$1/fuse\" c 10 229 && chmod \"$2\" \"$1\"/* &&
    mount --bind \"$1/tun\" /dev/net/tun && mount --bind \"$1/fuse\" /dev/fuse &&
    shift 2 && exec \"$@\"";

/// A user's own copy of the program, which lies where that user may reach it.
struct Rootless {
    folder: TempDir,
    results: Results,
    devices: &'static str,
}

impl Rootless {
    fn new(devices: &'static str) -> Self {
        let (folder, results) = (
            TempDir::with_prefix("ordeal-user-").unwrap(),
            Results::new(),
        );
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("devices")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_ordeal"), folder.path().join("ordeal")).unwrap();
        if geteuid().is_root() {
            chown(results.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Rootless {
            folder,
            results,
            devices,
        }
    }

    fn binary(&self) -> PathBuf {
        self.folder.path().join("ordeal")
    }

    /// The command as that user.
    fn command(&self, program: &Path) -> Command {
        if !geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", DEVICES, "sh"]);
        command
            .arg(self.folder.path().join("devices"))
            .arg(self.devices);
        command.args(["setpriv", "--clear-groups", "--bounding-set=-all"]);
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
        command.arg(program).current_dir("/").env("NO_COLOR", "1");
        command
    }

    fn ordeal(&self, args: &[&str]) -> Output {
        self.command(&self.binary()).args(args).output().unwrap()
    }

    /// A run that must end with 0 on all axes and leave nothing; what it said.
    fn run(&self, flags: &[&str]) -> String {
        let before = Machine::look();
        let results = self.results.path().to_str().unwrap();
        let output = self.ordeal(&[&["run", "--results", results], flags].concat());
        let said = format!("{}\n{}", stderr(&output), stdout(&output));
        assert_eq!(output.status.code(), Some(0), "{said}");
        before.is_clean(self.results.path(), &[].into(), Duration::from_secs(1));
        assert!(processes_with(&self.binary()).is_empty(), "{said}");
        let verdict = fs::read_to_string(self.results.latest("verdict.json")).unwrap();
        let verdict: Value = serde_json::from_str(&verdict).unwrap();
        for axis in ["consistency", "durability", "progress", "coverage"] {
            assert_eq!(verdict[axis]["validity"], "valid", "{said}");
        }
        said
    }
}

#[test]
fn a_user_without_any_device_runs_on_packet_sockets() {
    let _guard = one_cluster_at_a_time();
    let user = Rootless::new("0600");
    let said = user.run(&["--time", "10s", "--seed", "6", "--network", "switch"]);
    if geteuid().is_root() {
        let plan = fs::read_to_string(user.results.latest("plan.toml")).unwrap();
        assert!(plan.contains("network_used = \"switch"), "{plan}");
        assert!(said.contains("proven"), "{said}");
    }
}

#[test]
fn a_user_with_the_devices_that_udev_gives_loses_power() {
    let _guard = one_cluster_at_a_time();
    let user = Rootless::new("0666");
    let flags = [
        "--nemesis",
        "power-loss",
        "--workload",
        "set",
        "--network",
        "switch",
    ];
    let said = user.run(&[&flags[..], &["--time", "10s", "--seed", "7"]].concat());
    assert!(said.contains("unsynced bytes in"), "{said}");
}

#[test]
fn the_doctor_tells_a_user_each_setting_and_the_command_that_changes_it() {
    if !geteuid().is_root() {
        return;
    }
    let rows = |devices| {
        let doctor = Rootless::new(devices).ordeal(&["doctor"]);
        let (table, said) = (stdout(&doctor), stderr(&doctor));
        assert!(
            table.contains("sandbox    yes  without root"),
            "{table}{said}"
        );
        assert!(
            table.contains("setting    yes  user.max_user_namespaces is "),
            "{table}"
        );
        assert!(
            table.contains("partition  yes  userspace switch"),
            "{table}"
        );
        (table, doctor.status.code())
    };
    let (open, code) = rows("0666");
    assert!(open.contains("setting    yes  /dev/fuse is 0666"), "{open}");
    assert!(open.contains("power-loss yes"), "{open}");
    assert_eq!(code, Some(0), "{open}");
    let (closed, _) = rows("0600");
    for device in ["/dev/net/tun", "/dev/fuse"] {
        let row = format!("setting    NO   {device} is 0600, not for this user");
        assert!(closed.contains(&row), "{closed}");
        assert!(
            closed.contains(&format!("`sudo chmod 0666 {device}`")),
            "{closed}"
        );
    }
    assert!(closed.contains("power-loss NO"), "{closed}");
}

#[test]
fn where_a_limit_forbids_the_sandbox_its_name_and_the_command_are_told() {
    if !geteuid().is_root() {
        return;
    }
    let user = Rootless::new("0600");
    // A user namespace has limits of its own, which its root may set.
    let forbid = "echo 0 >/proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    for arguments in [&["doctor"][..], &["run", "--seed", "1"]] {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"]);
        let output = command.arg(user.binary()).args(arguments).output().unwrap();
        let (table, said) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(70), "{table}{said}");
        let setting = "user.max_user_namespaces is 0 here; run `sudo sysctl -w \
                       user.max_user_namespaces=15000`";
        assert!(said.contains(setting), "{said}");
        if arguments == ["doctor"] {
            assert!(table.contains("sandbox    NO"), "{table}");
            assert!(
                table.contains("setting    NO   user.max_user_namespaces is 0"),
                "{table}"
            );
        }
    }
}
