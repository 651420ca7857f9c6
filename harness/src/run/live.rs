//! What a person sees while a run goes on.
//!
//! On a terminal one line that is drawn again and again, with the steps of each fault above it;
//! elsewhere a plain line every few seconds, so that a log stays readable.

use super::injection::ActiveFaults;
use super::observer::Cluster;
use super::recorder::Counters;
use crate::console::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ordeal_nemesis::FaultClass;
use ordeal_nemesis::injector::{FaultEvent, Step};
use ordeal_nemesis::process::Death;
use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const REDRAW: Duration = Duration::from_millis(200);
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(5);

/// The live view of a run.
pub(super) struct Live {
    counters: Arc<Counters>,
    cluster: Arc<Cluster>,
    active: ActiveFaults,
    bar: ProgressBar,
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    planned: Duration,
    phase: &'static str,
    ended: bool,
    last: (Instant, [u64; 3]),
}

impl Live {
    pub(super) fn new(
        counters: Arc<Counters>,
        cluster: Arc<Cluster>,
        active: ActiveFaults,
    ) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        bar.set_style(style.expect("the template is well formed"));
        let now = Instant::now();
        let state = State {
            begun: now,
            planned: Duration::ZERO,
            phase: "starting",
            ended: false,
            last: (now, [0; 3]),
        };
        Live {
            counters,
            cluster,
            active,
            bar,
            terminal,
            state: Mutex::new(state),
        }
    }

    /// Begins to show progress; clients will work so long.
    pub(super) fn begin(self: &Arc<Self>, planned: Duration) {
        {
            let mut state = self.state();
            state.begun = Instant::now();
            state.planned = planned;
            state.phase = "";
        }
        let every = if self.terminal {
            REDRAW
        } else {
            PLAIN_LINE_EVERY
        };
        let live = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(line) = live.line() else { return };
                if live.terminal {
                    live.bar.set_message(line);
                    live.bar.tick();
                } else {
                    say(&line);
                }
            }
        });
    }

    /// Says which phase the run is in.
    pub(super) fn phase(&self, phase: &'static str) {
        self.state().phase = phase;
        if self.terminal {
            self.bar.set_message(self.line().unwrap_or_default());
        }
    }

    /// Tells of a step of a fault.
    pub(super) fn announce(&self, event: &FaultEvent, fault: &str) {
        let step = match event.what {
            Step::Injecting | Step::Healing => return,
            Step::Installed => "installed",
            Step::Healed => "healed",
            Step::Skipped => "skipped",
            Step::NoEffect => "no effect",
            Step::Indeterminate => "indeterminate",
        };
        // What proved a pause says the opposite of what is true once it is healed.
        let paused = event.class == FaultClass::Pause && event.what == Step::Healed;
        let message = if paused { "" } else { event.message.as_str() };
        let at = self.state().begun.elapsed().as_secs_f64();
        self.tell(&format!("{at:6.1}s  {step:<9} {fault:<26} {message}"));
    }

    /// Tells of a node that ended without having been told to.
    pub(super) fn tell_death(&self, death: &Death) {
        let at = self.state().begun.elapsed().as_secs_f64();
        let Death { node, status, .. } = death;
        let words = death.last_words().unwrap_or("it said nothing");
        let what = "ended on its own";
        self.tell(&format!(
            "{at:6.1}s  DEATH     {node} {what} ({status}): {words}"
        ));
    }

    /// Tells something that stays to be seen.
    pub(super) fn tell(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            say(line);
        }
    }

    /// No more lines.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.bar.finish_and_clear();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics with the view in hand")
    }

    fn line(&self) -> Option<String> {
        let mut state = self.state();
        if state.ended {
            return None;
        }
        let (now, counts) = (Instant::now(), self.counters.read());
        let (before, last) = state.last;
        let seconds = (now - before).as_secs_f64().max(0.001);
        state.last = (now, counts);
        let rate = |place: usize| {
            #[allow(clippy::cast_precision_loss, reason = "for the eye")]
            let count = (counts[place] - last[place]) as f64;
            count / seconds
        };
        let leader = match self.cluster.leader() {
            Some((node, term)) => format!("n{} leads term {term}", node + 1),
            None => "no leader".to_owned(),
        };
        let faults = self.active.in_words();
        let doing = match (state.phase, faults.is_empty()) {
            ("", true) => "no fault".to_owned(),
            ("", false) => faults.join(" · "),
            (phase, _) => phase.to_owned(),
        };
        Some(format!(
            "{:5.1}s of {}s │ ok {:.0} fail {:.0} info {:.0} /s │ {leader} │ {doing}",
            state.begun.elapsed().as_secs_f64(),
            state.planned.as_secs(),
            rate(0),
            rate(1),
            rate(2),
        ))
    }
}
