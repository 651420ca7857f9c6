//! The thread that answers the calls of one process and its children.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Watched,
    call::{self, About, Kind},
    growth::growth,
    place::is_below,
};
use crate::{
    disk::{AilmentId, lock},
    fault::Ailment,
    sys::{self, Answer, Call},
};

/// How soon a call that waits goes on after what it waits for was healed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A call whose answer comes later.
struct Late {
    call: u64,
    due: Instant,
    /// What it waits for: once they are healed it goes on.
    because: Vec<AilmentId>,
}

/// What becomes of a call, and because of what.
#[derive(Default)]
struct Fate {
    fails: Option<i32>,
    lies: bool,
    late: Duration,
    because: Vec<AilmentId>,
}

/// Answers until the last process with this filter is gone. Should this thread ever end before
/// that, their calls fail with ENOSYS, which no node takes for success.
pub(super) fn serve(socket: &OwnedFd, watched: &Watched) {
    // A command that was never executed sends no listener.
    let Ok(Some(listener)) = sys::receive_listener(socket) else {
        return;
    };
    let mut late: Vec<Late> = Vec::new();
    loop {
        let wait = (!late.is_empty()).then(|| next_look(&late));
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        // Interrupted: polled again.
        let _ = poll(&mut fds, wait.as_ref());
        let seen = fds[0].revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        if seen.contains(PollFlags::IN)
            && let Ok(Some(call)) = sys::receive_call(&listener)
        {
            late.extend(meet(&listener, watched, &call));
        }
        late.retain(|one| {
            let ailments = lock(&watched.ailments);
            let is_ill = one.because.iter().any(|id| ailments.contains_key(id));
            let waits = is_ill && one.due > Instant::now();
            drop(ailments);
            if !waits {
                // Nobody is there any more: then nobody waits.
                let _ = sys::answer_call(&listener, one.call, Answer::Goes);
            }
            waits
        });
    }
}

fn next_look(late: &[Late]) -> Timespec {
    let due = late.iter().map(|one| one.due).min();
    let left = due.map_or(LOOK_INTERVAL, |due| {
        due.saturating_duration_since(Instant::now())
    });
    let wait = left.min(LOOK_INTERVAL);
    Timespec {
        tv_sec: 0,
        tv_nsec: wait.subsec_nanos().into(),
    }
}

/// Answers a call, unless its answer is to come later.
fn meet(listener: &OwnedFd, watched: &Watched, call: &Call) -> Option<Late> {
    let fate = fate(watched, call);
    let answer = match (fate.fails, fate.lies) {
        (Some(number), _) => Answer::Fails(number),
        (None, true) => Answer::Lies,
        (None, false) => Answer::Goes,
    };
    if answer == Answer::Goes && fate.late > Duration::ZERO {
        count(watched, &fate.because);
        return Some(Late {
            call: call.id,
            due: Instant::now() + fate.late,
            because: fate.because,
        });
    }
    // Counted when it was there to get its answer, and before it can act on it.
    count(watched, &fate.because);
    if !sys::answer_call(listener, call.id, answer) {
        take_back(watched, &fate.because);
    }
    None
}

fn fate(watched: &Watched, call: &Call) -> Fate {
    let mut fate = Fate::default();
    let ill: Vec<(AilmentId, Ailment, u64)> = {
        let ailments = lock(&watched.ailments);
        let ill = ailments.iter();
        ill.map(|(id, one)| (*id, one.ailment, one.capacity))
            .collect()
    };
    for (id, ailment, capacity) in ill {
        let mut kinds = Kind::met_by(ailment).iter();
        let about = kinds.find_map(|kind| kind.about(call));
        let Some(about) = about.filter(|about| is_below(&watched.path, call, *about)) else {
            continue;
        };
        match ailment {
            // It tells nobody of an error.
            Ailment::FsyncError if about == About::Everything => continue,
            Ailment::ReadError | Ailment::WriteError | Ailment::FsyncError => {
                fate.fails = Some(libc::EIO);
            }
            Ailment::Full | Ailment::FullAfter(_)
                if lacks_room(watched, growth(call, about), capacity) =>
            {
                fate.fails = fate.fails.or(Some(libc::ENOSPC));
            }
            Ailment::Full | Ailment::FullAfter(_) => continue,
            Ailment::LyingWrite | Ailment::ReadFlip => continue,
            Ailment::SlowFsync(late) => fate.late += late,
            Ailment::LyingFsync => fate.lies = true,
        }
        fate.because.push(id);
    }
    fate
}

/// Whether what makes the files longer, all together, makes them longer than there is room for.
fn lacks_room(watched: &Watched, growth: u64, capacity: u64) -> bool {
    growth > 0 && call::length(&watched.path).saturating_add(growth) > capacity
}

fn count(watched: &Watched, ids: &[AilmentId]) {
    let mut ailments = lock(&watched.ailments);
    for id in ids {
        if let Some(one) = ailments.get_mut(id) {
            one.met += 1;
        }
    }
}

fn take_back(watched: &Watched, ids: &[AilmentId]) {
    let mut ailments = lock(&watched.ailments);
    for id in ids {
        if let Some(one) = ailments.get_mut(id) {
            one.met = one.met.saturating_sub(1);
        }
    }
}
