//! What a user without root depends on: settings of the kernel, and the modes of two devices.
//!
//! Nothing is concluded from them, the probes are what counts: they say why a probe failed, and
//! which command helps.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use nix::unistd::geteuid;

/// One of them, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `user.max_user_namespaces`, `/dev/fuse`.
    pub name: &'static str,
    /// As it is here: a number, or a device's mode.
    pub value: String,
    /// What it keeps from working, and the command that changes it; `None` where it is right.
    pub remedy: Option<String>,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.name, self.value)
    }
}

/// Settings that forbid a user namespace, its rights, or one of the namespaces that a sandbox is
/// made of (`sandbox/namespaces.rs`), when they have this value.
const FORBIDDING: [(&str, &str, &str); 8] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_pid_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
    ("user.max_mnt_namespaces", "0", "15000"),
    ("user.max_uts_namespaces", "0", "15000"),
    ("user.max_ipc_namespaces", "0", "15000"),
];

/// Devices, and what is done without them.
const DEVICES: [(&str, &str, &str); 2] = [
    (
        "/dev/net/tun",
        "tun",
        "the switch goes over packet sockets instead",
    ),
    (
        "/dev/fuse",
        "fuse",
        "no disk of ours under the nodes' data: no power losses, no damage",
    ),
];

/// All that this kernel has, in the same order always. To be asked outside of any sandbox, which
/// has limits of its own.
pub fn settings() -> Vec<Setting> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let kernel = FORBIDDING
        .into_iter()
        .filter_map(|(name, bad, good)| of_kernel(name, bad, good, read));
    let devices = DEVICES
        .into_iter()
        .map(|(path, module, without)| of_device(path, module, without, look(Path::new(path))));
    kernel.chain(devices).collect()
}

/// Nothing where the kernel has no such setting: most come from one distribution's patches.
fn of_kernel(
    name: &'static str,
    bad: &str,
    good: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Option<Setting> {
    let text = read(&format!("/proc/sys/{}", name.replace('.', "/")))?;
    let value = text.trim().to_owned();
    let remedy = (value == bad).then(|| {
        format!(
            "no sandbox without root: run as root (sudo), or `sudo sysctl -w {name}={good}`, and \
             for good `echo {name}={good} | sudo tee /etc/sysctl.d/60-ordeal.conf`"
        )
    });
    Some(Setting {
        name,
        value,
        remedy,
    })
}

/// What comes of opening a device.
enum Access {
    Given,
    /// Its mode forbids it to this user.
    ForOthers,
    /// Whatever its mode.
    Refused,
}

/// The mode of a device, and whether this user gets it to read and write, as is tried: a mount
/// with `nodev` refuses what the mode allows.
fn look(path: &Path) -> io::Result<(u32, Access)> {
    let metadata = fs::metadata(path)?;
    if !metadata.file_type().is_char_device() {
        return Err(io::Error::other("not a device"));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let access = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Access::Given,
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) if mode == 0o666 || geteuid().is_root() => Access::Refused,
        Err(_) => Access::ForOthers,
    };
    Ok((mode, access))
}

fn of_device(
    path: &'static str,
    module: &str,
    without: &str,
    found: io::Result<(u32, Access)>,
) -> Setting {
    let (value, remedy) = match found {
        Ok((mode, Access::Given)) => (format!("{mode:04o}"), None),
        Ok((mode, Access::Refused)) => (
            format!("{mode:04o}, and is refused all the same"),
            Some(format!(
                "{without}; it is on a mount with `nodev` (`findmnt -T {path}` tells which): mount \
                 that without, or start the container with `--device {path}`"
            )),
        ),
        Ok((mode, Access::ForOthers)) => (
            format!("{mode:04o}, not for this user"),
            Some(format!(
                "{without}; run as root (sudo), or `sudo chmod 0666 {path}` (the mode that udev \
                 gives it)"
            )),
        ),
        Err(error) => (
            format!("not to be had: {error}"),
            Some(format!(
                "{without}; `sudo modprobe {module}`, or start the container with `--device {path}`"
            )),
        ),
    };
    Setting {
        name: path,
        value,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_forbids_is_told_with_the_command_that_changes_it() {
        for (name, bad, good) in FORBIDDING {
            let asked = |value: &'static str| {
                let path = format!("/proc/sys/{}", name.replace('.', "/"));
                let read = move |asked: &str| (asked == path).then(|| format!("{value}\n"));
                of_kernel(name, bad, good, read).unwrap()
            };
            let told = asked(bad);
            assert_eq!(told.to_string(), format!("{name} is {bad}"));
            let command = format!("`sudo sysctl -w {name}={good}`");
            assert!(told.remedy.unwrap().contains(&command));
            assert_eq!(asked(good).remedy, None);
            assert_eq!(of_kernel(name, bad, good, |_| None), None);
        }
    }

    #[test]
    fn a_device_is_told_with_its_mode() {
        let [_, (path, module, without)] = DEVICES;
        let tell = |found| of_device(path, module, without, found);
        assert_eq!(tell(Ok((0o666, Access::Given))).remedy, None);
        let closed = tell(Ok((0o600, Access::ForOthers)));
        assert_eq!(closed.to_string(), "/dev/fuse is 0600, not for this user");
        assert!(
            closed
                .remedy
                .unwrap()
                .contains("`sudo chmod 0666 /dev/fuse`")
        );
        let refused = tell(Ok((0o666, Access::Refused)));
        assert_eq!(
            refused.to_string(),
            "/dev/fuse is 0666, and is refused all the same"
        );
        assert!(refused.remedy.unwrap().contains("`nodev`"));
        let missing = tell(Err(io::Error::from_raw_os_error(libc::ENOENT)));
        assert!(missing.remedy.unwrap().contains("`sudo modprobe fuse`"));
    }
}
