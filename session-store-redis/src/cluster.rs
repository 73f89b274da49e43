//! A Redis Cluster: a connection to each of its masters, and who of them owns what.
//!
//! redis-rs has a client for whole clusters, which is not used here, because a command that may be sent only once can't
//! be redirected by it: it counts a redirection as another attempt, and sends again what a connection was lost with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, Value};

use crate::dial::{Dialer, Place};
use crate::error::{BoxError, Failure, Refusal, WrongKind};
use crate::node::{Deadline, Node};
use crate::slots::{Redirection, Server, SlotMap, slot_of};
use crate::tls::Tls;

const IS_NO_CLUSTER: &str =
    "this server is no node of a cluster: connect with redis://, or rediss:// for TLS";

/// How often one command is sent on to another node. Two are usual while slots are being moved.
const MOST_REDIRECTIONS: usize = 5;

/// How often the nodes are asked who owns what, at most, as long as somebody fails.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long one node may take to answer that.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct Cluster {
    gate: Gate,
    /// The nodes that are known from the start.
    seeds: Vec<Server>,
    map: Mutex<Map>,
    /// Held by whoever asks the nodes who owns what.
    turn: tokio::sync::Mutex<()>,
}

/// How to get in, whichever node it is.
struct Gate {
    info: ConnectionInfo,
    tls: Tls,
}

impl Gate {
    fn dialer(&self, server: &Server) -> Dialer {
        let has_tls = matches!(self.info.addr(), ConnectionAddr::TcpTls { .. });
        let info = self.info.clone().set_addr(server.address(has_tls));
        Dialer {
            place: Place::Known(Box::new(info)),
            tls: self.tls.clone(),
        }
    }
}

struct Map {
    slots: SlotMap,
    nodes: HashMap<Server, Arc<Node>>,
    asked_at: Instant,
    /// Something has happened that another distribution of the slots would explain.
    is_doubtful: bool,
    /// The node that last gave no answer.
    suspect: Option<Server>,
}

impl Cluster {
    /// Connects to the first node that lets us in and says who owns what; or tells why none does.
    pub(crate) async fn connect(
        info: ConnectionInfo,
        tls: Tls,
        seeds: Vec<Server>,
    ) -> Result<Self, BoxError> {
        let gate = Gate { info, tls };
        let mut failure = BoxError::from("no node of the cluster is known");
        for seed in &seeds {
            let entered = async {
                let node = Node::dial(gate.dialer(seed)).await?;
                let asked = ask(&node, seed, Deadline::after(ASK_TIMEOUT)).await;
                Ok((asked.map_err(Failure::into_source)?, node))
            };
            match entered.await {
                Ok((slots, node)) => {
                    let map = Map {
                        slots: SlotMap::default(),
                        nodes: HashMap::from([(seed.clone(), Arc::new(node))]),
                        asked_at: Instant::now(),
                        is_doubtful: false,
                        suspect: None,
                    };
                    let cluster = Self {
                        gate,
                        map: Mutex::new(map),
                        seeds,
                        turn: tokio::sync::Mutex::default(),
                    };
                    cluster.install(slots);
                    return Ok(cluster);
                }
                Err(error) => failure = error,
            }
        }
        match failure.downcast_ref::<Refusal>() {
            Some(refusal) if refusal.text().contains("cluster support disabled") => {
                Err(WrongKind(IS_NO_CLUSTER).into())
            }
            _ => Err(failure),
        }
    }

    /// Sends a command to the owner of its key, and on to where that sends us.
    pub(crate) async fn call(
        &self,
        key: &str,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let slot = slot_of(key);
        let (mut server, mut node) = self.owner(slot, deadline).await?;
        let mut answer = node.send(command, deadline).await;
        for _ in 0..MOST_REDIRECTIONS {
            let Some(redirection) = redirection(&answer, &server) else {
                break;
            };
            server = redirection.server;
            node = self.node(&server);
            answer = if redirection.is_temporary {
                node.send_asking(command, deadline).await
            } else {
                self.move_slot(slot, &server);
                node.send(command, deadline).await
            };
        }
        self.note(&server, &answer);
        answer
    }

    /// Sends commands to the owners of their keys, all those of one server together. One that is redirected then goes
    /// its own way.
    pub(crate) async fn call_all(
        &self,
        calls: &[(String, Cmd)],
        deadline: Deadline,
    ) -> Vec<Result<Value, Failure>> {
        let mut answers = vec![Err(Failure::Unexpected); calls.len()];
        let mut groups: HashMap<Server, (Arc<Node>, Vec<usize>)> = HashMap::new();
        for (at, (key, _)) in calls.iter().enumerate() {
            match self.owner(slot_of(key), deadline).await {
                Ok((server, node)) => {
                    let group = groups.entry(server).or_insert((node, Vec::new()));
                    group.1.push(at);
                }
                Err(failure) => answers[at] = Err(failure),
            }
        }
        let sent = groups
            .into_iter()
            .map(|(server, (node, places))| async move {
                let commands = places.iter().map(|&at| &calls[at].1);
                let answers = node.send_all(commands, deadline).await;
                (server, places.into_iter().zip(answers))
            });
        for (server, group) in join_all(sent).await {
            for (at, answer) in group {
                self.note(&server, &answer);
                answers[at] = match redirection(&answer, &server) {
                    None => answer,
                    Some(_) => self.call(&calls[at].0, &calls[at].1, deadline).await,
                };
            }
        }
        answers
    }

    pub(crate) async fn ask_each(
        &self,
        commands: &[Cmd],
        deadline: Deadline,
    ) -> Vec<Vec<Result<Value, Failure>>> {
        let nodes: Vec<_> = self.lock().nodes.values().cloned().collect();
        join_all(nodes.iter().map(|node| node.send_all(commands, deadline))).await
    }

    /// A node that gives no answer may be dead, and another one have taken its place.
    fn note(&self, server: &Server, answer: &Result<Value, Failure>) {
        if let Err(Failure::Unanswered(_)) = answer {
            let mut map = self.lock();
            map.is_doubtful = true;
            map.suspect = Some(server.clone());
        }
    }

    pub(crate) fn compares(&self, key: &str) -> bool {
        let owner = self.known_owner(slot_of(key));
        owner.is_some_and(|(_, node)| node.compares())
    }

    /// The owner of a slot, as far as is known. If it isn't connected, another one may own the slot by now.
    async fn owner(&self, slot: u16, deadline: Deadline) -> Result<(Server, Arc<Node>), Failure> {
        if self.lock().is_doubtful {
            self.ask_nodes(deadline).await;
        }
        if let Some((server, node)) = self.known_owner(slot)
            && node.ready(deadline).await.is_ok()
        {
            return Ok((server, node));
        }
        self.ask_nodes(deadline).await;
        let nobody = || Failure::unsent("no node of the cluster owns the key's slot");
        self.known_owner(slot).ok_or_else(nobody)
    }

    /// Asks the nodes, one after the other, who owns what, unless somebody does or has just done so. What was known
    /// holds until one answers.
    async fn ask_nodes(&self, deadline: Deadline) {
        let Ok(_turn) = self.turn.try_lock() else {
            return;
        };
        for server in self.candidates() {
            let asked = ask(&self.node(&server), &server, deadline).await;
            if let Ok(slots) = asked {
                return self.install(slots);
            }
        }
    }

    /// Whom to ask: those who are connected, then those who are known from the start, and a suspect last. Nobody, if
    /// they have just been asked.
    fn candidates(&self) -> Vec<Server> {
        let mut map = self.lock();
        if map.asked_at.elapsed() < ASK_EVERY {
            return Vec::new();
        }
        map.asked_at = Instant::now();
        let connected = map.nodes.iter().filter(|(_, node)| node.is_connected());
        let mut servers: Vec<_> = connected.map(|(server, _)| server.clone()).collect();
        for seed in &self.seeds {
            if !servers.contains(seed) {
                servers.push(seed.clone());
            }
        }
        servers.sort_by_key(|server| map.suspect.as_ref() == Some(server));
        servers
    }

    /// Takes over what a node has told: new nodes are connected to, and those that own nothing any more are given up.
    fn install(&self, slots: SlotMap) {
        let mut map = self.lock();
        map.nodes
            .retain(|server, _| slots.servers().contains(server));
        for server in slots.servers() {
            let start = || Arc::new(Node::start(self.gate.dialer(server)));
            map.nodes.entry(server.clone()).or_insert_with(start);
        }
        map.slots = slots;
        map.asked_at = Instant::now();
        map.is_doubtful = false;
        map.suspect = None;
    }

    /// One slot that has moved is rarely the only one.
    fn move_slot(&self, slot: u16, server: &Server) {
        let mut map = self.lock();
        map.is_doubtful = true;
        map.slots.move_slot(slot, server);
    }

    fn known_owner(&self, slot: u16) -> Option<(Server, Arc<Node>)> {
        let server = self.lock().slots.owner(slot)?.clone();
        let node = self.node(&server);
        Some((server, node))
    }

    /// The node at this address, which is connected to if it is a new one.
    fn node(&self, server: &Server) -> Arc<Node> {
        let start = || Arc::new(Node::start(self.gate.dialer(server)));
        let mut map = self.lock();
        let node = map.nodes.entry(server.clone()).or_insert_with(start);
        node.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Nothing that happens under the lock leaves the map half-changed where it could panic.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the answer of this server sends the command.
fn redirection(answer: &Result<Value, Failure>, server: &Server) -> Option<Redirection> {
    match answer {
        Err(Failure::Refused(refusal)) => Redirection::parse(refusal.text(), &server.host),
        _ => None,
    }
}

/// Asks a node who owns what.
async fn ask(node: &Node, server: &Server, deadline: Deadline) -> Result<SlotMap, Failure> {
    let deadline = deadline.or_after(ASK_TIMEOUT);
    let answer = node
        .send(redis::cmd("CLUSTER").arg("SLOTS"), deadline)
        .await?;
    SlotMap::parse(&answer, &server.host).ok_or(Failure::Unexpected)
}
