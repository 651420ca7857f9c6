//! Three etcd nodes on loopback, as processes of our own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{PATIENCE, eventually, exchange, free_addresses};

const VERSION: &str = "3.4.23";

/// A cluster whose data lives as long as this value; its processes never outlive it.
pub(crate) struct Etcd {
    pub(crate) version: String,
    clients: Vec<SocketAddr>,
    children: Vec<Child>,
    _dir: TempDir,
}

impl Etcd {
    pub(crate) fn start() -> Self {
        let program = find();
        let version = version(&program).expect("an etcd that tells its version");
        if version != VERSION {
            println!("NOTE: etcd {version}, where {VERSION} was asked for");
        }
        let dir = tempfile::tempdir().unwrap();
        let (peers, clients) = (free_addresses(3), free_addresses(3));
        let members: Vec<String> = (0..3)
            .map(|place| format!("n{place}=http://{}", peers[place]))
            .collect();
        let children = (0..3).map(|place| {
            let (name, peer) = (format!("n{place}"), format!("http://{}", peers[place]));
            let client = format!("http://{}", clients[place]);
            let data = dir.path().join(&name);
            Command::new(&program)
                .args(["--name", &name, "--data-dir", data.to_str().unwrap()])
                .args([
                    "--listen-peer-urls",
                    &peer,
                    "--initial-advertise-peer-urls",
                    &peer,
                ])
                .args([
                    "--listen-client-urls",
                    &client,
                    "--advertise-client-urls",
                    &client,
                ])
                .args(["--initial-cluster", &members.join(",")])
                .args(["--heartbeat-interval", "100", "--election-timeout", "1000"])
                .args(["--logger", "zap", "--log-level", "error"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(dir.path().join(format!("{name}.log"))).unwrap())
                .spawn()
                .unwrap()
        });
        let children = children.collect();
        Self {
            version,
            clients,
            children,
            _dir: dir,
        }
    }

    /// The clients' addresses, the leader's first; waits until all agree on it.
    pub(crate) fn nodes(&self) -> Vec<SocketAddr> {
        let leader = eventually("a leader of etcd", || {
            let views: Option<Vec<Value>> = self.clients.iter().map(|&node| status(node)).collect();
            let views = views?;
            let leader = views[0]["leader"].as_str()?;
            let is_common = views.iter().all(|view| view["leader"] == leader);
            let place = views
                .iter()
                .position(|view| view["header"]["member_id"] == leader)?;
            is_common.then_some(place)
        });
        (0..3)
            .map(|turn| self.clients[(leader + turn) % 3])
            .collect()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn status(node: SocketAddr) -> Option<Value> {
    let answer = exchange(node, "POST", "/v3/maintenance/status", b"{}", PATIENCE).ok()?;
    (answer.status == 200).then_some(answer.body)
}

/// The program: from `PATH`, or from Debian's package.
fn find() -> PathBuf {
    let installed = PathBuf::from("etcd");
    if version(&installed).is_some() {
        return installed;
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("etcd-server");
    let unpacked = home.join("usr/bin/etcd");
    if version(&unpacked).is_none() {
        unpack(&home);
    }
    unpacked
}

/// Downloads the package and unpacks it, which needs no rights and starts no service.
fn unpack(home: &Path) {
    println!(
        "etcd is not installed: unpacking Debian's etcd-server below {}",
        home.display()
    );
    fs::create_dir_all(home).unwrap();
    run(Command::new("apt-get")
        .args(["download", "etcd-server"])
        .current_dir(home));
    let package = fs::read_dir(home).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension()
            .is_some_and(|end| end == "deb")
            .then_some(path)
    });
    let package = package.expect("apt-get has left a package");
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .arg(package)
        .arg(home));
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "failed: {command:?}"
    );
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .next()?
        .strip_prefix("etcd Version: ")
        .map(str::to_owned)
}
