//! One server or a cluster: what commands are sent to.

use redis::{Cmd, Value};

use crate::cluster::Cluster;
use crate::connect::Address;
use crate::dial::{Dialer, Place};
use crate::error::{Failure, SetupError};
use crate::node::{Deadline, Node};
use crate::tls::Tls;

pub(crate) enum Engine {
    Single(Node),
    Cluster(Box<Cluster>),
}

impl Engine {
    /// What is at this URL.
    pub(crate) async fn connect(url: &str, tls: Tls) -> Result<Self, SetupError> {
        let Address { info, seeds } = Address::parse(url)?;
        match seeds {
            None => Self::single(Place::Known(Box::new(info)), tls).await,
            Some(seeds) => {
                check(&info, &tls)?;
                let cluster = Cluster::connect(info, tls, seeds).await;
                let cluster = cluster.map_err(SetupError::connection)?;
                Ok(Self::Cluster(Box::new(cluster)))
            }
        }
    }

    pub(crate) async fn single(place: Place, tls: Tls) -> Result<Self, SetupError> {
        if let Place::Known(info) = &place {
            check(info, &tls)?;
        }
        let node = Node::dial(Dialer { place, tls }).await;
        Ok(Self::Single(node.map_err(SetupError::connection)?))
    }

    /// Whether the server of this key compares values by itself, as far as is known.
    pub(crate) fn compares(&self, key: &str) -> bool {
        match self {
            Self::Single(node) => node.compares(),
            Self::Cluster(cluster) => cluster.compares(key),
        }
    }

    /// Sends these commands to each server that is known, wherever their keys are.
    pub(crate) async fn ask_each(
        &self,
        commands: &[Cmd],
        deadline: Deadline,
    ) -> Vec<Vec<Result<Value, Failure>>> {
        match self {
            Self::Single(node) => vec![node.send_all(commands, deadline).await],
            Self::Cluster(cluster) => cluster.ask_each(commands, deadline).await,
        }
    }

    /// Sends a command about this key.
    pub(crate) async fn call(
        &self,
        key: &str,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        match self {
            Self::Single(node) => node.send_to_master(command, deadline).await,
            Self::Cluster(cluster) => cluster.call(key, command, deadline).await,
        }
    }

    /// Sends commands with their keys, each once, in one trip to each server. The order of their effects is nobody's.
    pub(crate) async fn call_all(
        &self,
        calls: &[(String, Cmd)],
        deadline: Deadline,
    ) -> Vec<Result<Value, Failure>> {
        match self {
            Self::Single(node) => {
                let commands = calls.iter().map(|(_, command)| command);
                node.send_all(commands, deadline).await
            }
            Self::Cluster(cluster) => cluster.call_all(calls, deadline).await,
        }
    }
}

/// Finds out before anything is sent whether TLS can be had, where it is asked for.
fn check(info: &redis::ConnectionInfo, tls: &Tls) -> Result<(), SetupError> {
    match info.addr() {
        redis::ConnectionAddr::TcpTls { .. } => tls.check(),
        _ => Ok(()),
    }
}
