//! Answers that come later: the file system's own thread must not wait.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

type Answer = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Waiting {
    answers: Vec<(Instant, Answer)>,
    quit: bool,
}

/// Gives answers when their time has come, on a thread of its own.
pub(super) struct Late {
    shared: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Late {
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let shared: Arc<(Mutex<Waiting>, Condvar)> = Arc::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&own))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Gives `answer` after `late`; at once where that is nothing.
    pub(super) fn answer(&self, late: Duration, answer: impl FnOnce() + Send + 'static) {
        if late.is_zero() {
            return answer();
        }
        let due = Instant::now() + late;
        lock(&self.shared.0).answers.push((due, Box::new(answer)));
        self.shared.1.notify_all();
    }

    /// What waits goes out now: nothing is slow any more.
    pub(super) fn hurry(&self) {
        let now = Instant::now();
        for (due, _) in &mut lock(&self.shared.0).answers {
            *due = now;
        }
        self.shared.1.notify_all();
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.hurry();
        lock(&self.shared.0).quit = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run((waiting, changed): &(Mutex<Waiting>, Condvar)) {
    let mut guard = lock(waiting);
    loop {
        let now = Instant::now();
        let due: Vec<(Instant, Answer)> =
            guard.answers.extract_if(.., |one| one.0 <= now).collect();
        if !due.is_empty() {
            drop(guard);
            due.into_iter().for_each(|(_, answer)| answer());
            guard = lock(waiting);
            continue;
        }
        let next = guard.answers.iter().map(|(due, _)| *due).min();
        guard = match next {
            None if guard.quit => return,
            None => changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(next) => {
                let wait = changed.wait_timeout(guard, next - now);
                wait.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// An answer that panics has been taken out before.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
