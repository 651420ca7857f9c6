//! The gate that every worker passes before an operation: a scenario may hold the workload.

use std::sync::Arc;
use tokio::sync::watch;

/// Open at first. Clones are the same gate.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Gate(Arc::new(watch::Sender::new(true)))
    }
}

impl Gate {
    /// From now on no operation begins.
    pub(super) fn close(&self) {
        self.0.send_replace(false);
    }

    /// Operations go on.
    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Returns when it is open.
    pub(super) async fn pass(&self) {
        // The sender is ours, so that it cannot be gone.
        let _ = self.0.subscribe().wait_for(|is_open| *is_open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn nobody_passes_a_closed_gate_until_it_opens() {
        let gate = Gate::default();
        gate.pass().await;
        gate.close();
        assert!(
            timeout(Duration::from_millis(5), gate.pass())
                .await
                .is_err()
        );
        gate.open();
        gate.pass().await;
    }
}
