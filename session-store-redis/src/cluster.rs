//! A Redis Cluster: a client for each of its masters, and who of them owns what.
//!
//! fred has clients for whole clusters, which are not used here, because a command that may be sent only once can't be
//! redirected by them: they count a redirection as another attempt. After an `ASK` they also read the next answer on
//! the connection as the one to `ASKING`, whoever it is for, and so could hand out somebody else's session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fred::types::Value;
use fred::types::config::Server;
use fred::util::redis_keyslot;

use crate::error::{BoxError, Failure};
use crate::node::{Command, Deadline, Node};
use crate::setup::{CONNECT_TIMEOUT, Setup};
use crate::slots::{Redirection, SlotMap};

/// How often one command is sent on to another node. Two are usual while slots are being moved.
const MOST_REDIRECTIONS: usize = 5;

/// How often the nodes are asked who owns what, at most, as long as somebody fails.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long one node may take to answer that.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct Cluster {
    setup: Setup,
    /// The nodes that are known from the start.
    seeds: Vec<Server>,
    map: Mutex<Map>,
    /// Held by whoever asks the nodes who owns what.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Map {
    /// `None` until a node has told.
    slots: Option<SlotMap>,
    nodes: HashMap<Server, Arc<Node>>,
    /// Something has happened that another distribution of the slots would explain.
    is_doubtful: bool,
    /// The node that last gave no answer.
    suspect: Option<Server>,
    asked_at: Option<Instant>,
}

impl Cluster {
    /// Connects when it is first used.
    pub(crate) fn new(setup: Setup, seeds: Vec<Server>) -> Self {
        Self {
            setup,
            seeds,
            map: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Connects to the first node that lets us in, and asks it who owns what; or says why that failed.
    pub(crate) async fn connect(setup: Setup, seeds: Vec<Server>) -> Result<Self, BoxError> {
        let cluster = Self::new(setup, seeds);
        let mut failure = None;
        for seed in &cluster.seeds {
            match Node::dial(&cluster.setup, seed).await {
                Ok(node) => {
                    cluster.lock().nodes.insert(seed.clone(), Arc::new(node));
                    failure = None;
                    break;
                }
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        let asked = cluster.ask_nodes(Deadline::after(CONNECT_TIMEOUT)).await;
        asked.map_err(Failure::into_source)?;
        Ok(cluster)
    }

    /// Sends a command to the owner of its key, and on to where that sends us.
    pub(crate) async fn call(
        &self,
        key: &str,
        command: &Command,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let slot = redis_keyslot(key.as_bytes());
        let (mut server, mut node) = self.owner(slot, deadline).await?;
        let mut answer = node.send(command, deadline.remaining()?).await;
        for _ in 0..MOST_REDIRECTIONS {
            let redirection = match &answer {
                Err(Failure::Refused(refusal)) => Redirection::parse(refusal.text(), &server.host),
                _ => None,
            };
            let Some(redirection) = redirection else {
                break;
            };
            server = redirection.server;
            node = self.node(&server);
            if !redirection.is_temporary {
                self.move_slot(slot, &server);
            }
            node.ready(deadline).await?;
            let timeout = deadline.remaining()?;
            answer = if redirection.is_temporary {
                node.send_asking(command, timeout).await
            } else {
                node.send(command, timeout).await
            };
        }
        if let Err(Failure::Client(_)) = answer {
            // The node may be dead, and another one have taken its place.
            self.suspect(server);
        }
        answer
    }

    /// The owner of a slot. It is connected, as far as is known.
    async fn owner(&self, slot: u16, deadline: Deadline) -> Result<(Server, Arc<Node>), Failure> {
        if self.is_in_doubt() {
            self.ask_nodes(deadline).await?;
        }
        if let Some((server, node)) = self.known_owner(slot)
            && node.ready(deadline).await.is_ok()
        {
            return Ok((server, node));
        }
        self.ask_nodes(deadline).await?;
        let Some((server, node)) = self.known_owner(slot) else {
            return Err(Failure::unsent(
                "no node of the cluster owns the key's slot",
            ));
        };
        node.ready(deadline).await?;
        Ok((server, node))
    }

    /// Asks the nodes, one after the other, who owns what. It is no failure if none answers as long as something is
    /// known, nor if they have just been asked.
    async fn ask_nodes(&self, deadline: Deadline) -> Result<(), Failure> {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // Somebody is asking. Meanwhile the others go on with what is known.
            Err(_) if self.knows_owners() => return Ok(()),
            Err(_) => tokio::time::timeout(deadline.remaining()?, self.turn.lock())
                .await
                .map_err(|_| Failure::unsent("no node of the cluster has answered"))?,
        };
        if self.was_asked_lately() {
            return Ok(());
        }
        let mut failure = Failure::unsent("no node of the cluster is known");
        for server in self.candidates() {
            let answer = self.ask(&server, deadline).await;
            match answer {
                Ok(slots) => {
                    self.install(slots);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        if self.note_asked() {
            return Ok(());
        }
        // The command that wanted to know has not been sent, whatever happened to the question.
        Err(Failure::Unsent(failure.into_source()))
    }

    async fn ask(&self, server: &Server, deadline: Deadline) -> Result<SlotMap, Failure> {
        let node = self.node(server);
        node.ready(deadline).await?;
        let timeout = deadline.remaining()?.min(ASK_TIMEOUT);
        let answer = node.send(&Command::new("CLUSTER SLOTS"), timeout).await?;
        SlotMap::parse(&answer, &server.host).ok_or(Failure::Unexpected)
    }

    /// Whom to ask: those who are connected, then those who are known from the start, and a suspect last.
    fn candidates(&self) -> Vec<Server> {
        let map = self.lock();
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
        let servers = slots.servers();
        let mut map = self.lock();
        map.nodes.retain(|server, _| servers.contains(server));
        for server in servers {
            let start = || Arc::new(Node::start(&self.setup, &server));
            map.nodes.entry(server.clone()).or_insert_with(start);
        }
        map.slots = Some(slots);
        map.is_doubtful = false;
        map.suspect = None;
        map.asked_at = Some(Instant::now());
    }

    /// Notes that the nodes were asked in vain; says whether there is an older answer.
    fn note_asked(&self) -> bool {
        let mut map = self.lock();
        map.asked_at = Some(Instant::now());
        map.slots.is_some()
    }

    fn was_asked_lately(&self) -> bool {
        let map = self.lock();
        map.slots.is_some() && map.asked_at.is_some_and(|at| at.elapsed() < ASK_EVERY)
    }

    fn knows_owners(&self) -> bool {
        self.lock().slots.is_some()
    }

    fn is_in_doubt(&self) -> bool {
        let map = self.lock();
        map.slots.is_none() || map.is_doubtful
    }

    fn suspect(&self, server: Server) {
        let mut map = self.lock();
        map.is_doubtful = true;
        map.suspect = Some(server);
    }

    /// One slot that has moved is rarely the only one.
    fn move_slot(&self, slot: u16, server: &Server) {
        let mut map = self.lock();
        map.is_doubtful = true;
        if let Some(slots) = &mut map.slots {
            slots.move_slot(slot, server);
        }
    }

    fn known_owner(&self, slot: u16) -> Option<(Server, Arc<Node>)> {
        let server = self.lock().slots.as_ref()?.owner(slot)?.clone();
        let node = self.node(&server);
        Some((server, node))
    }

    /// The node at this address, which is connected to if it is a new one.
    fn node(&self, server: &Server) -> Arc<Node> {
        let start = || Arc::new(Node::start(&self.setup, server));
        let mut map = self.lock();
        map.nodes
            .entry(server.clone())
            .or_insert_with(start)
            .clone()
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        // Nothing that happens under the lock leaves the map half-changed where it could panic.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
