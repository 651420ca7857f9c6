//! The request to end a run early, and the one way in which the injector waits for time to pass.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Asks a run to end early: heal everything now. Clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the end. May be called from any thread, any number of times.
    pub fn request(&self) {
        *self.requested() = true;
        self.0.1.notify_all();
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        *self.requested()
    }

    /// Waits until it is requested or `until` has come; returns whether it was requested.
    pub fn wait_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        self.wait_for(left)
    }

    /// Waits until it is requested or `time` has passed; returns whether it was requested.
    pub fn wait_for(&self, time: Duration) -> bool {
        let requested = self.requested();
        let waited = self
            .0
            .1
            .wait_timeout_while(requested, time, |requested| !*requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn requested(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
