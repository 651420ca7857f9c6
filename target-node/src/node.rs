//! A node, put together: flags in, exit code out.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tasks, signals, a clock"
)]

mod mode;
mod recovery;
mod signals;
mod sockets;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::args::{ArgsError, NodeArgs, Replication, Settings};
use crate::console::Console;
use crate::defect::Defect;
use crate::driver::{DriverError, Inbox, Parts, Request, Routing};
use crate::peer::{self, Directory, Links, Membership, Surroundings};
use crate::primary_backup;
use crate::quorum;
use crate::raft::ConfigError;
use crate::server::{self, Gateway};
use crate::storage::StorageError;
use crate::trace::Tracer;
use recovery::Restored;
use signals::Signals;
use sockets::Sockets;

/// How many requests, and how many parcels of peers, may wait for the driver.
const QUEUE_MAX: usize = 8192;

/// How long open connections may take to end when the node stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a node does not run.
#[derive(Debug, Error)]
pub(crate) enum NodeError {
    #[error("{0}")]
    Args(#[from] ArgsError),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    PrimaryBackup(#[from] primary_backup::ConfigError),
    #[error("{0}")]
    Quorum(#[from] quorum::ConfigError),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Driver(#[from] DriverError),
    #[error("cannot listen for {whom} on {address}: {source}")]
    Listen {
        whom: &'static str,
        address: String,
        source: io::Error,
    },
    #[error("cannot {doing}: {source}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
    #[error("cannot write the trace to {}: {source}", path.display())]
    Trace { path: PathBuf, source: io::Error },
    #[error("a bug: {0}")]
    Panic(#[from] JoinError),
    #[error("a bug: reading back the data directory panicked")]
    RecoveryPanicked,
}

impl NodeError {
    /// The exit codes of `sysexits.h`, as far as it has one for the case.
    pub(crate) fn exit_code(&self) -> u8 {
        const USAGE: u8 = 64;
        const DATA: u8 = 65;
        const FOREIGN: u8 = 66;
        const UNAVAILABLE: u8 = 69;
        const SOFTWARE: u8 = 70;
        const FULL: u8 = 73;
        match self {
            Self::Args(_) | Self::Config(_) | Self::PrimaryBackup(_) => USAGE,
            Self::Quorum(quorum::ConfigError::State) => DATA,
            Self::Quorum(_) => USAGE,
            Self::Storage(StorageError::Corrupt { .. })
            | Self::Driver(DriverError::State { .. } | DriverError::Forgot { .. }) => DATA,
            Self::Storage(StorageError::Foreign { .. }) => FOREIGN,
            Self::Storage(StorageError::Full { .. })
            | Self::Driver(DriverError::Storage(StorageError::Full { .. })) => FULL,
            // A name that is none, or has no address, has no number of the system's.
            Self::Listen { source, .. } if source.raw_os_error().is_none() => USAGE,
            Self::Storage(StorageError::Locked { .. }) | Self::Listen { .. } => UNAVAILABLE,
            Self::Storage(StorageError::Io { .. })
            | Self::Driver(_)
            | Self::Io { .. }
            | Self::Trace { .. }
            | Self::Panic(_)
            | Self::RecoveryPanicked => SOFTWARE,
        }
    }
}

/// One life of a node: from a start to its end.
#[derive(Clone)]
struct Life {
    settings: Arc<Settings>,
    console: Console,
    boot: u64,
}

/// Runs a node until SIGTERM or SIGINT, or until it cannot go on.
///
/// | exit code | means |
/// |---|---|
/// | 0 | stopped in order |
/// | 64 | flags that make no sense, or an address that is none |
/// | 65 | data that is corrupt: nothing was changed, and the message says where; or less than the
/// node had acknowledged |
/// | 66 | a data directory of another node or another cluster |
/// | 69 | an address or the data directory is in use |
/// | 70 | an I/O error, of the log above all, or a bug |
/// | 73 | the disk is full |
#[must_use]
pub(crate) fn run(args: NodeArgs) -> ExitCode {
    let settings = match args.into_settings() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("target-node: {error}");
            return ExitCode::from(NodeError::from(error).exit_code());
        }
    };
    let console = Console::new(settings.membership.id);
    // The core, the links and the server share one thread: five nodes fit on two cores, and no
    // lock is ever waited for. Only the log has a thread of its own.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let end = runtime
        .map_err(|source| NodeError::Io {
            doing: "start the runtime",
            source,
        })
        .and_then(|runtime| runtime.block_on(live(settings, console)));
    match end {
        Ok(()) => {
            console.say(format_args!("stopped"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            console.say(format_args!("stops: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn live(settings: Settings, console: Console) -> Result<(), NodeError> {
    let life = Life {
        settings: Arc::new(settings),
        console,
        boot: boot_number(),
    };
    let settings = &life.settings;
    announce(settings, console);
    let mut signals = Signals::hear()?;
    let tracer = begin_trace(settings, life.boot)?;
    // Addresses first: who has the address has the data too, and its message is the clearer one.
    let Sockets {
        peers,
        clients,
        admin,
    } = Sockets::bind(settings).await?;
    let (requests, queue) = mpsc::channel(QUEUE_MAX);
    let gateway = Gateway {
        node: settings.membership.id,
        requests,
        beacon: Arc::default(),
        directory: Arc::new(Directory::of(&settings.membership)),
        failpoints: settings.failpoints.clone(),
        tracer,
        redirects: settings.routing == Routing::Redirect,
    };
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(server::serve(clients, gateway.clone(), stopped.clone()));
    if let Some(admin) = admin {
        tokio::spawn(server::serve_admin(admin, gateway.clone(), stopped.clone()));
    }
    let restored = tokio::select! {
        restored = recovery::recover(life.clone()) => restored?,
        signal = signals.next() => {
            console.say(format_args!("stopping: {signal}, before all of the log was read back"));
            return Ok(());
        }
    };
    let driver = life.drive(restored, &gateway, queue, peers, stopped)?;
    work(driver, signals, stop, server, console).await
}

impl Life {
    /// From here on the node takes part.
    fn drive(
        &self,
        restored: Restored,
        gateway: &Gateway,
        requests: mpsc::Receiver<Request>,
        peers: TcpListener,
        stop: watch::Receiver<bool>,
    ) -> Result<JoinHandle<Result<(), DriverError>>, NodeError> {
        let settings = &self.settings;
        // Only Raft's members change; in the other modes all are those of the flags.
        let founders = match settings.replication {
            Replication::Raft => restored.storage.founders().clone(),
            _ => settings.initial_voters.clone(),
        };
        let (report, persisted) = mpsc::unbounded_channel();
        let writer = restored
            .storage
            .into_writer(gateway.tracer.clone(), move |result| {
                let _ = report.send(result);
            });
        let writer = writer.map_err(|source| NodeError::Io {
            doing: "start a thread",
            source,
        })?;
        let (events, event_queue) = mpsc::channel(QUEUE_MAX);
        let surroundings = Surroundings {
            membership: Membership {
                founders,
                ..settings.membership.clone()
            },
            console: self.console,
            events,
            directory: Arc::clone(&gateway.directory),
        };
        let parts = Parts {
            membership: settings.membership.clone(),
            boot: self.boot,
            defects: settings.defects,
            routing: settings.routing,
            election_ticks: settings.pace.election_ticks,
            snapshot_entries: settings.snapshot_entries,
            consistency: settings.consistency,
            modes: settings.modes(),
            console: self.console,
            inbox: Inbox {
                persisted,
                peers: event_queue,
                requests,
                tick: settings.pace.tick,
            },
            beacon: Arc::clone(&gateway.beacon),
            failpoints: gateway.failpoints.clone(),
            tracer: gateway.tracer.clone(),
        };
        let links = Links::dial(&surroundings);
        tokio::spawn(peer::listen(peers, surroundings));
        Ok(restored.core.start(parts, writer, links, stop))
    }
}

/// The trace of this life, which is on where a file is named.
fn begin_trace(settings: &Settings, boot: u64) -> Result<Tracer, NodeError> {
    let tracer = Tracer::new(settings.membership.id, boot);
    if let Some(path) = &settings.trace {
        tracer
            .start(Some(path))
            .map_err(|source| NodeError::Trace {
                path: path.clone(),
                source,
            })?;
    }
    Ok(tracer)
}

/// Drives and serves until a signal comes or the driver ends.
async fn work(
    mut driver: JoinHandle<Result<(), DriverError>>,
    mut signals: Signals,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    console: Console,
) -> Result<(), NodeError> {
    tokio::select! {
        end = &mut driver => return Ok(end??),
        signal = signals.next() => console.say(format_args!("stopping: {signal}")),
    }
    let _ = stop.send(true);
    driver.await??;
    // A client that keeps its connection open does not keep the node alive.
    let _ = timeout(STOP_TIMEOUT, server).await;
    Ok(())
}

fn announce(settings: &Settings, console: Console) {
    let Settings {
        membership,
        listen_client,
        listen_admin,
        trace: _,
        failpoints: _,
        data_dir,
        seed,
        pace,
        routing,
        pre_vote,
        check_quorum,
        jitter,
        consistency,
        initial_voters,
        conf_change,
        conf_effective,
        snapshot_entries,
        snapshot_trailing,
        replication,
        defects,
    } = settings;
    let defects = match defects.iter().map(Defect::name).collect::<Vec<_>>() {
        names if names.is_empty() => "none".to_owned(),
        names => names.join(" "),
    };
    console.say(format_args!(
        "node {} of cluster {:?}, pid {}: peers {:?}, clients on {listen_client}, administrators \
         on {}, data in {}, replication {}, \
         seed {seed}, tick {:?}, election after {} ticks, jitter {jitter:?}, pre-vote {pre_vote}, \
         check-quorum {check_quorum}, snapshot every {snapshot_entries} entries with \
         {snapshot_trailing} kept, routing {routing:?}, reads {consistency:?}, \
         voters at first {initial_voters:?}, changed {conf_change:?}, effective on \
         {conf_effective:?}, defects: {defects}",
        membership.id,
        membership.cluster,
        std::process::id(),
        membership.addresses,
        listen_admin.as_deref().unwrap_or("nothing"),
        data_dir.display(),
        [replication.name(), &replication.describe()]
            .join(" ")
            .trim_end(),
        pace.tick,
        pace.election_ticks,
    ));
}

/// A number that grows with every start: microseconds since 1970. Where the clock was set back,
/// a late answer to a read of the life before could meet a read of this one; it would have to
/// survive the restart in a connection that the restart has closed.
fn boot_number() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX / 2)
}
