//! Where a node listens: for its peers, its clients and its administrators.

use std::io;

use tokio::net::TcpListener;

use super::NodeError;
use crate::args::Settings;
use crate::server::Socket;

/// Where a node listens.
pub(super) struct Sockets {
    pub(super) peers: TcpListener,
    pub(super) clients: Socket,
    pub(super) admin: Option<Socket>,
}

impl Sockets {
    pub(super) async fn bind(settings: &Settings) -> Result<Self, NodeError> {
        let membership = &settings.membership;
        let peers = &membership.addresses[&membership.id];
        let peers = TcpListener::bind(peers)
            .await
            .map_err(busy("peers", peers))?;
        let clients = &settings.listen_client;
        let clients = Socket::bind(clients)
            .await
            .map_err(busy("clients", clients))?;
        let admin = match &settings.listen_admin {
            Some(admin) => {
                let socket = Socket::bind(admin).await;
                Some(socket.map_err(busy("administrators", admin))?)
            }
            None => None,
        };
        Ok(Self {
            peers,
            clients,
            admin,
        })
    }
}

/// Says that an address cannot be had.
fn busy(whom: &'static str, address: &str) -> impl FnOnce(io::Error) -> NodeError {
    let address = address.to_owned();
    move |source| NodeError::Listen {
        whom,
        address,
        source,
    }
}
