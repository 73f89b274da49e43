//! One server or a cluster: what commands are sent to.

use std::time::Instant;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::types::Value;

use crate::cluster::Cluster;
use crate::connect::Address;
use crate::error::{Failure, SetupError};
use crate::node::{Command, Deadline, Node};
use crate::setup::Setup;

pub(crate) enum Engine {
    Single(Node),
    Cluster(Box<Cluster>),
}

impl Engine {
    /// What is at this URL.
    pub(crate) async fn connect(url: &str) -> Result<Self, SetupError> {
        let address = Address::parse(url)?;
        if address.is_cluster {
            let cluster = Cluster::connect(address.setup, address.servers).await;
            return Ok(Self::Cluster(Box::new(
                cluster.map_err(SetupError::connection)?,
            )));
        }
        let Some(server) = address.servers.first() else {
            return Err(SetupError::config("a Redis URL has to name a host"));
        };
        let node = Node::dial(&address.setup, server).await;
        Ok(Self::Single(node.map_err(SetupError::connection)?))
    }

    /// What somebody else's client is for.
    pub(crate) fn of(client: Client) -> Self {
        if client.is_clustered() {
            let setup = Setup::of(&client);
            let seeds = setup.servers();
            Self::Cluster(Box::new(Cluster::new(setup, seeds)))
        } else {
            Self::Single(Node::of(client))
        }
    }

    /// Sends a command about this key.
    pub(crate) async fn call(
        &self,
        key: &str,
        command: &Command,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        match self {
            Self::Single(node) => {
                let sent_at = Instant::now();
                let answer = node.send(command, deadline.remaining()?).await;
                if let Err(Failure::Refused(refusal)) = &answer
                    && refusal.is_of_replica()
                    && node.has_left_replica(sent_at, deadline).await
                {
                    // The replica has done nothing, so that this is no second time.
                    return node.send(command, deadline.remaining()?).await;
                }
                answer
            }
            Self::Cluster(cluster) => cluster.call(key, command, deadline).await,
        }
    }
}
