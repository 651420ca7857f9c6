//! A node, put together: flags in, exit code out.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tasks, signals, a clock"
)]

mod mode;
mod sockets;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::args::{ArgsError, NodeArgs, Settings};
use crate::console::Console;
use crate::defect::Defect;
use crate::driver::{Beacon, DriverError, Inbox, Parts, Routing};
use crate::failpoint::Failpoints;
use crate::peer::{self, Directory, Links, Surroundings};
use crate::primary_backup;
use crate::quorum;
use crate::raft::{ConfigError, LogId, Recovered};
use crate::server::{self, Gateway};
use crate::storage::{Identity, Storage, StorageError};
use crate::trace::Tracer;
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
            Self::Storage(StorageError::Corrupt { .. }) => DATA,
            Self::Storage(StorageError::Foreign { .. }) => FOREIGN,
            Self::Storage(StorageError::Full { .. })
            | Self::Driver(DriverError::Storage(StorageError::Full { .. })) => FULL,
            Self::Storage(StorageError::Locked { .. }) | Self::Listen { .. } => UNAVAILABLE,
            Self::Storage(StorageError::Io { .. })
            | Self::Driver(_)
            | Self::Io { .. }
            | Self::Trace { .. }
            | Self::Panic(_) => SOFTWARE,
        }
    }
}

/// Runs a node until SIGTERM or SIGINT, or until it cannot go on.
///
/// | exit code | means |
/// |---|---|
/// | 0 | stopped in order |
/// | 64 | flags that make no sense |
/// | 65 | data that is corrupt: nothing was changed, and the message says where |
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
    let membership = &settings.membership;
    let boot = boot_number();
    announce(&settings, console);
    let failpoints = Failpoints::default();
    let tracer = begin_trace(&settings, boot)?;
    // Addresses first: who has the address has the data too, and its message is the clearer one.
    let Sockets {
        peers,
        clients,
        admin,
    } = Sockets::bind(&settings).await?;
    let (storage, recovered) = restore(&settings, console, &failpoints)?;
    let (report, persisted) = mpsc::unbounded_channel();
    let writer = storage.into_writer(tracer.clone(), move |result| {
        let _ = report.send(result);
    });
    let writer = writer.map_err(|source| NodeError::Io {
        doing: "start a thread",
        source,
    })?;
    let (requests, request_queue) = mpsc::channel(QUEUE_MAX);
    let (events, event_queue) = mpsc::channel(QUEUE_MAX);
    let directory = Arc::new(Directory::default());
    let surroundings = Surroundings {
        membership: membership.clone(),
        console,
        events,
        directory: Arc::clone(&directory),
    };
    let beacon = Arc::new(Beacon::default());
    let parts = Parts {
        membership: membership.clone(),
        boot,
        defects: settings.defects,
        routing: settings.routing,
        election_ticks: settings.pace.election_ticks,
        snapshot_entries: settings.snapshot_entries,
        consistency: settings.consistency,
        modes: settings.modes(),
        console,
        inbox: Inbox {
            persisted,
            peers: event_queue,
            requests: request_queue,
            tick: settings.pace.tick,
        },
        beacon: Arc::clone(&beacon),
        failpoints: failpoints.clone(),
        tracer: tracer.clone(),
    };
    let links = Links::dial(&surroundings);
    tokio::spawn(peer::listen(peers, surroundings));
    let gateway = Gateway {
        node: membership.id,
        requests,
        beacon,
        directory,
        failpoints,
        tracer,
        redirects: settings.routing == Routing::Redirect,
    };
    let (stop, stopped) = watch::channel(false);
    let driver = mode::start(&settings, recovered, parts, writer, links, stopped)?;
    let server = tokio::spawn(server::serve(clients, gateway.clone(), stop.subscribe()));
    if let Some(admin) = admin {
        tokio::spawn(server::serve_admin(admin, gateway, stop.subscribe()));
    }
    work(driver, stop, server, console).await
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

/// Opens the data directory, and tells what is in it.
fn restore(
    settings: &Settings,
    console: Console,
    failpoints: &Failpoints,
) -> Result<(Storage, Recovered), NodeError> {
    let membership = &settings.membership;
    let identity = Identity {
        cluster: membership.realm(),
        node: membership.id,
    };
    let (storage, recovered, repair) = Storage::open(&settings.data_dir, &identity, failpoints)?;
    if repair.torn_bytes > 0 {
        let bytes = repair.torn_bytes;
        console.say(format_args!(
            "dropped {bytes} bytes of a write that a crash cut short"
        ));
    }
    if let Some(last) = repair.unreadable {
        console.say(format_args!(
            "cannot read the snapshot at {last}, and set it aside: begins with an older state and \
             all entries since"
        ));
    }
    let state = recovered.hard_state;
    let (last, base) = (recovered.last(), recovered.base);
    let snapshot = recovered.snapshot.as_ref();
    let snapshot = snapshot.map_or(LogId::ZERO, |snapshot| snapshot.last);
    console.say(format_args!(
        "recovered term {}, vote {:?}, snapshot at {snapshot}, log from {base} to {last}",
        state.term, state.vote
    ));
    Ok((storage, recovered))
}

/// Drives and serves until a signal comes or the driver ends.
async fn work(
    mut driver: JoinHandle<Result<(), DriverError>>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    console: Console,
) -> Result<(), NodeError> {
    let handler = |kind| {
        signal(kind).map_err(|source| NodeError::Io {
            doing: "hear signals",
            source,
        })
    };
    let (mut terminate, mut interrupt) = (
        handler(SignalKind::terminate())?,
        handler(SignalKind::interrupt())?,
    );
    tokio::select! {
        end = &mut driver => return Ok(end??),
        _ = terminate.recv() => console.say(format_args!("stopping: SIGTERM")),
        _ = interrupt.recv() => console.say(format_args!("stopping: SIGINT")),
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
