//! Leaving the caller's namespaces, and saying why when that is not allowed.

use std::{fs, io};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

use super::SandboxError;

/// Unshares what the sandbox needs; returns whether it took a user namespace to be allowed to.
///
/// The pid namespace is entered by the next child only.
pub(super) fn unshare_all() -> Result<bool, SandboxError> {
    let wanted = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    match unshare(wanted) {
        Ok(()) => return Ok(false),
        Err(Errno::EPERM) => {}
        Err(errno) => return Err(explain("unshare", errno.into())),
    }
    let (user, group) = (geteuid(), getegid());
    unshare(wanted | CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| explain("unshare with a user namespace", errno.into()))?;
    // Order matters: the group map may be written only once setgroups is denied.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ] {
        fs::write(file, text).map_err(|source| explain(&format!("write {file}"), source))?;
    }
    Ok(true)
}

/// The error for a failed call: where settings of this machine explain it, with what helps.
pub(super) fn explain(call: &str, source: io::Error) -> SandboxError {
    let errno = Errno::from_raw(source.raw_os_error().unwrap_or(0));
    let advice = match advice(errno, setting) {
        // Where AppArmor lets a user namespace come about without any rights, this is the first
        // call that lacks them.
        Some(advice) if advice == APPARMOR => Some(advice),
        _ if call == MOUNT_PROC && errno == Errno::EPERM => Some(MASKED_PROC.to_owned()),
        advice => advice,
    };
    match advice {
        Some(advice) => SandboxError::Forbidden(format!("{call}: {source}: {advice}")),
        None => SandboxError::call(call, source),
    }
}

/// The name under which init reports that it could not mount a /proc of its own.
pub(super) const MOUNT_PROC: &str = "mount /proc";

/// A user namespace may mount /proc only if it hides no more than the /proc it came from.
const MASKED_PROC: &str = "parts of /proc are masked here, as container runtimes do; run as root \
                           outside a container, or start the container with `--privileged` or \
                           `--security-opt systempaths=unconfined`";

const APPARMOR: &str = "AppArmor restricts unprivileged user namespaces here; run as root (sudo), \
                        or `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`";

/// What explains `errno`, given the machine's settings by path.
fn advice(errno: Errno, setting: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    match errno {
        Errno::EPERM | Errno::EACCES => Some(
            if is(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ) {
                APPARMOR
            } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
                "unprivileged user namespaces are switched off here; run as root (sudo), or \
                 `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            } else if seccomp_filtered(setting("/proc/self/status")) {
                "a seccomp filter forbids it, as container runtimes install one; start the \
                 container with `--privileged`, or with \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
            } else {
                "neither the capability CAP_SYS_ADMIN nor user namespaces are to be had here; \
                 run as root (sudo), or in a container started with `--privileged`"
            }
            .to_owned(),
        ),
        // The kernel's answer to a namespace limit that is used up, of any kind.
        Errno::ENOSPC | Errno::EUSERS => Some(exhausted(setting)),
        Errno::EINVAL | Errno::ENOSYS => Some(
            "the kernel was built without pid, mount, network, UTS, IPC or user namespaces".into(),
        ),
        _ => None,
    }
}

/// Names the limits that are 0; where none is, all of them.
fn exhausted(setting: impl Fn(&str) -> Option<String>) -> String {
    let kinds = ["user", "pid", "mnt", "net", "uts", "ipc"];
    let path = |kind: &str| format!("/proc/sys/user/max_{kind}_namespaces");
    let zero = kinds
        .into_iter()
        .filter(|kind| setting(&path(kind)).as_deref() == Some("0"));
    let names: Vec<String> = zero
        .map(|kind| format!("user.max_{kind}_namespaces"))
        .collect();
    if names.is_empty() {
        return "a namespace limit is used up; raise user.max_*_namespaces with `sudo sysctl -w`, \
                or end what holds them"
            .to_owned();
    }
    let commands: Vec<String> = names.iter().map(|name| format!("{name}=15000")).collect();
    format!(
        "{} {} 0 here; run `sudo sysctl -w {}`",
        names.join(" and "),
        if names.len() == 1 { "is" } else { "are" },
        commands.join(" ")
    )
}

fn seccomp_filtered(status: Option<String>) -> bool {
    let status = status.unwrap_or_default();
    status.lines().any(|line| {
        line.strip_prefix("Seccomp:")
            .is_some_and(|mode| mode.trim() == "2")
    })
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_where(errno: Errno, path: &str, value: &str) -> String {
        advice(errno, |asked| (asked == path).then(|| value.to_owned())).unwrap()
    }

    #[test]
    fn a_refusal_names_the_setting_that_causes_it() {
        let path = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        let text = advice_where(Errno::EPERM, path, "1");
        assert!(text.contains("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));

        let path = "/proc/sys/kernel/unprivileged_userns_clone";
        let text = advice_where(Errno::EPERM, path, "0");
        assert!(text.contains("sysctl -w kernel.unprivileged_userns_clone=1"));

        let text = advice_where(Errno::EPERM, "/proc/self/status", "Name:\tx\nSeccomp:\t2");
        assert!(text.contains("--security-opt seccomp=unconfined"));

        let text = advice_where(Errno::ENOSPC, "/proc/sys/user/max_user_namespaces", "0");
        assert!(
            text.contains("`sudo sysctl -w user.max_user_namespaces=15000`"),
            "{text}"
        );
    }

    #[test]
    fn a_failure_that_no_setting_explains_is_told_as_it_is() {
        assert_eq!(advice(Errno::ENOMEM, |_| None), None);
        let error = explain("fork", io::Error::from_raw_os_error(libc::ENOMEM));
        assert!(matches!(error, SandboxError::Call { .. }));
    }
}
