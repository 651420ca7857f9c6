//! `ordeal run`: one run, from the plan to the verdict.

use super::doctor::Told;
use super::tell::tell;
use crate::args::{RunArgs, ScenarioArgs};
use crate::clock::Clock;
use crate::console::{end, print, say};
use crate::plan::{self, Plan, PlanError};
use crate::run::{self, Evidence, RigError, Setting};
use crate::store::{MARK, Mark, RunFolder, Started, StoreError};
use crate::target::Targets;
use crate::verdict::Exit;
use ordeal_nemesis::disk::DiskBackend;
use ordeal_nemesis::doctor::{Row, choose, choose_disk};
use ordeal_nemesis::network::Backend;
use ordeal_nemesis::sandbox::{self, Sandbox, SandboxError};
use ordeal_workloads::check::{Effort, Unjudgeable};
use ordeal_workloads::{Workload, workload};
use rand::TryRng;
use rand::rngs::SysRng;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the run is over, but {0}")]
    Tell(StoreError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Rig(#[from] RigError),
    #[error("the recorded history is malformed, which is a defect of the harness: {0}")]
    Unjudgeable(#[from] Unjudgeable),
    #[error("this plan cannot be run here; `ordeal doctor` tells what can\n{0}")]
    Unavailable(String),
    #[error("cannot start the runtime: {0}")]
    Runtime(#[from] io::Error),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Plan(_) | Failure::Store(_) | Failure::Unavailable(_) => Exit::Usage,
            // Whoever interrupts a run does not get to know how it would have ended.
            Failure::Rig(RigError::InterruptedEarly) => Exit::Undecided,
            _ => Exit::Harness,
        }
    }
}

/// Does one run and tells what it found.
pub(crate) fn run(args: &RunArgs, targets: &Targets) -> Exit {
    tried(args, targets, make_plan)
}

/// Does one scripted run and tells what it found, and whether that is what the scenario announces.
pub(crate) fn scenario(args: &ScenarioArgs, targets: &Targets) -> Exit {
    tried(&args.run, targets, make_scripted_plan)
}

/// How the plan comes about, and whether its faults were drawn just now.
type Make = fn(&RunArgs, &Targets) -> Result<(Plan, bool), PlanError>;

fn tried(args: &RunArgs, targets: &Targets, make: Make) -> Exit {
    let clock = Clock::start();
    match attempt(args, targets, clock, make) {
        Ok(exit) => exit,
        Err(failure) => {
            let exit = failure.exit();
            say(format_args!("ordeal: {failure}"));
            if exit == Exit::Harness {
                say("ordeal: the harness failed, which says nothing about the target");
            }
            exit
        }
    }
}

fn attempt(args: &RunArgs, targets: &Targets, clock: Clock, make: Make) -> Result<Exit, Failure> {
    let (mut plan, is_drawn) = make(args, targets)?;
    let workload: Arc<dyn Workload> = workload(plan.workload, plan.concurrency).into();
    if args.dry_run {
        let printed = dry_run(&plan, is_drawn, &*workload, args.operations);
        return Ok(end(printed, Exit::Valid));
    }
    // Inside, nobody can be seen who is outside.
    let outer = Started::of(std::process::id());
    let sandbox = sandbox::enter()?;
    let (backend, disks) = choose_means(&mut plan, is_drawn, &sandbox)?;
    let name = format!("{}-{}-{}", plan.target, plan.workload, plan.seed);
    let folder = RunFolder::create(&args.results, &name)?;
    if let Some(outer) = outer {
        let mark = serde_json::to_vec(&Mark::inside(outer)?).expect("a mark is plain data");
        folder.write(MARK, &mark)?;
    }
    folder.write("plan.toml", plan.to_toml().as_bytes())?;
    let path = folder.path().display();
    say(format_args!(
        "ordeal {}\n{plan}  results   {path}\n",
        folder.name()
    ));
    let target = targets
        .get(&plan.target)
        .expect("a plan names a target that there is")
        .clone();
    let interrupt = CancellationToken::new();
    let setting = Setting {
        target,
        workload,
        folder,
        clock,
        sandbox,
        backend,
        disks,
        interrupt,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (evidence, verdict) = runtime.block_on(async {
        listen(&setting.interrupt)?;
        let evidence = ran(plan, &setting, args.keep_data).await?;
        say(format_args!("checking {} events …", evidence.events.len()));
        let (name, workload) = (setting.folder.name(), &*setting.workload);
        let verdict = run::judge(&name, &evidence, workload, &Effort::default())?;
        Ok::<_, Failure>((evidence, verdict))
    })?;
    if let Some(scenario) = &evidence.plan.scenario
        && scenario.exit != verdict.exit().code()
    {
        say(format_args!(
            "ordeal: {} announces exit {}, and this run ends with {}",
            scenario.name,
            scenario.exit,
            verdict.exit().code()
        ));
    }
    match tell(&setting, &evidence, &verdict, args) {
        // A violation outranks everything, a full disk too.
        Err(error) if verdict.exit() == Exit::Violated => {
            say(format_args!("ordeal: {}", Failure::Tell(error)));
        }
        told => told.map_err(Failure::Tell)?,
    }
    Ok(verdict.exit())
}

/// Runs the plan. One that was interrupted before it began leaves nothing to look into.
async fn ran(plan: Plan, setting: &Setting, keep_data: bool) -> Result<Evidence, Failure> {
    let evidence = run::run(plan, setting).await;
    if matches!(evidence, Err(RigError::InterruptedEarly)) && !keep_data {
        setting.folder.drop_node_data()?;
    }
    Ok(evidence?)
}

/// Tries all that the plan needs, before anything is started, and says in the plan which network
/// and which disks it gets, and why. A choice of many faults is drawn again without what is
/// missing.
fn choose_means(
    plan: &mut Plan,
    is_drawn: bool,
    sandbox: &Sandbox,
) -> Result<(Backend, Option<DiskBackend>), Failure> {
    loop {
        let (network, mut rows) = choose(sandbox, plan.network, &plan.faults());
        let (disks, of_disks) = choose_disk(sandbox, plan.disk, &plan.faults());
        rows.extend(of_disks);
        let missing: Vec<&Row> = rows.iter().filter(|row| !row.is_available()).collect();
        if missing.is_empty() {
            plan.network_used = Some(network.to_string());
            plan.disk_used = disks.as_ref().map(ToString::to_string);
            return Ok((network.backend, disks.map(|choice| choice.backend)));
        }
        if !is_drawn || !plan.do_without(&missing)? {
            let missing: Vec<String> = missing
                .into_iter()
                .map(|row| Told(row).to_string())
                .collect();
            return Err(Failure::Unavailable(missing.join("\n")));
        }
    }
}

fn make_plan(args: &RunArgs, targets: &Targets) -> Result<(Plan, bool), PlanError> {
    let file = args.plan.as_deref().map(plan::read).transpose()?;
    let draft = args.draft().or(file.unwrap_or_default());
    let is_drawn = draft.fault.is_none() && draft.scenario.is_none();
    Ok((draft.validate(targets, fresh_seed)?, is_drawn))
}

fn make_scripted_plan(args: &RunArgs, targets: &Targets) -> Result<(Plan, bool), PlanError> {
    let name = args.plan.as_deref().expect("the command line requires it");
    let draft = args.draft().or(plan::scenario(name)?);
    Ok((draft.validate(targets, fresh_seed)?, false))
}

/// Short enough to be read out to somebody.
fn fresh_seed() -> u64 {
    let seed = SysRng
        .try_next_u32()
        .expect("the kernel has random numbers");
    u64::from(seed % 1_000_000)
}

/// The first signal asks for an orderly end; the second one ends the sandbox at once.
fn listen(interrupt: &CancellationToken) -> io::Result<()> {
    let mut signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .into_iter()
    .map(signal)
    .collect::<io::Result<Vec<_>>>()?;
    let interrupt = interrupt.clone();
    let [mut int, mut term, mut hup] = {
        let mut next = || signals.remove(0);
        [next(), next(), next()]
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
            if interrupt.is_cancelled() {
                say("ordeal: interrupted twice: ending at once, without a verdict");
                std::process::exit(i32::from(Exit::Undecided.code()));
            }
            interrupt.cancel();
            say("ordeal: interrupted: healing, stopping, judging what there is (again: end)");
        }
    });
    Ok(())
}

/// Prints the plan and tries nothing; a choice of many may be drawn again when it is run.
fn dry_run(
    plan: &Plan,
    is_drawn: bool,
    workload: &dyn Workload,
    operations: u32,
) -> io::Result<()> {
    if is_drawn && plan.nemesis.is_a_choice() {
        say(format_args!(
            "ordeal: drawn from all that {} has: on a machine that lacks some of it a run draws \
             again without, and says so under left_out (`ordeal doctor` tells what that is)",
            plan.nemesis
        ));
    }
    let mut text = plan.to_toml();
    for worker in 0..plan.concurrency {
        let mut generator = workload.generator(plan.seed, worker);
        for _ in 0..operations {
            let intent = generator.next_intent();
            writeln!(text, "# worker {worker}: {intent}").expect("writing to a string");
        }
    }
    print(&text)
}
