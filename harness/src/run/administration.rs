//! The nemesis as administrator: each order given from inside the node's own namespace.

use crate::target::{Administrator, Disobedience, Target};
use ordeal_nemesis::Node;
use ordeal_nemesis::lever::{Admin, Order, OrderError, Standing};
use ordeal_nemesis::network::Network;
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The administrators of a target's nodes.
pub(super) struct Administration {
    target: Arc<dyn Target>,
    network: Arc<dyn Network>,
}

impl Administration {
    pub(super) fn new(target: Arc<dyn Target>, network: Arc<dyn Network>) -> Self {
        Self { target, network }
    }

    /// Does something as administrator of a node: on a thread of its own, because sockets belong
    /// to the namespace of the thread that opens them.
    fn inside<T: Send + 'static>(
        &self,
        node: Node,
        work: impl AsyncFnOnce(&mut dyn Administrator) -> T + Send + 'static,
    ) -> Result<T, String> {
        let address = self.network.address(node);
        let administrator = self.target.administrator(address, PATIENCE);
        let mut administrator = administrator
            .map_err(|error| error.to_string())?
            .ok_or("the target takes no orders")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime to ask with: {error}"))?;
        let ask = move || runtime.block_on(work(&mut *administrator));
        let thread = self.network.namespace(node).spawn("administrator", ask);
        let thread = thread.map_err(|error| format!("no thread to ask with: {error}"))?;
        thread.join().map_err(|_| "asking panicked".to_owned())
    }
}

impl Admin for Administration {
    fn order(&self, at: Node, order: &Order) -> Result<(), OrderError> {
        let (node, given, order) = (at, order.clone(), order.to_string());
        let answer = self.inside(at, async move |node| node.order(&given).await);
        match answer {
            Ok(Ok(())) => Ok(()),
            // What was not even asked has changed nothing.
            Ok(Err(Disobedience::Refused(why))) | Err(why) => {
                Err(OrderError::Refused { node, order, why })
            }
            Ok(Err(Disobedience::Unclear(why))) => Err(OrderError::Unclear { node, order, why }),
        }
    }

    fn standing(&self, node: Node) -> Result<Standing, OrderError> {
        let answer = self.inside(node, async |node| node.standing().await);
        answer.and_then(|standing| standing).map_err(|why| {
            let order = "tell where it stands".to_owned();
            OrderError::Unclear { node, order, why }
        })
    }
}
