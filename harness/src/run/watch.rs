//! Judges what clients see while the run goes on, and says when a violation is certain.

use super::live::Live;
use ordeal_checker::history::Event;
use ordeal_workloads::Watch;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// What the watch found, for whoever waits for it.
#[derive(Clone, Default)]
pub(super) struct Violation {
    is_certain: CancellationToken,
    words: Arc<OnceLock<String>>,
}

impl Violation {
    /// Waits until a violation is certain, if need be for ever; gives it in words.
    pub(super) async fn certain(&self) -> String {
        self.is_certain.cancelled().await;
        self.words.get().cloned().unwrap_or_default()
    }
}

/// Watches, on a thread of its own, until the sender is gone or there is nothing more to watch for.
///
/// # Errors
/// If no thread can be started.
pub(super) fn watch(
    watch: Box<dyn Watch>,
    live: Arc<Live>,
) -> io::Result<(Sender<Event>, Violation)> {
    let (sender, events) = channel();
    let violation = Violation::default();
    let found = violation.clone();
    std::thread::Builder::new()
        .name("watch".into())
        .spawn(move || see_all(watch, &events, &live, &found))?;
    Ok((sender, violation))
}

fn see_all(
    mut watch: Box<dyn Watch>,
    events: &Receiver<Event>,
    live: &Live,
    violation: &Violation,
) {
    while let Ok(event) = events.recv() {
        match watch.see(&event) {
            Ok(None) => {}
            Ok(Some(words)) => {
                live.tell(&format!("certainly violated: {words}"));
                // Only this thread sets it, and it ends here.
                let _ = violation.words.set(words);
                violation.is_certain.cancel();
                return;
            }
            Err(error) => {
                live.tell(&format!(
                    "not watched any further, judged at the end: {error}"
                ));
                return;
            }
        }
    }
}
