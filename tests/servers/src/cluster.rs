//! Redis clusters.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::Redis;
use crate::processes::wait_until;

const SLOTS: usize = 16_384;

/// A node that doesn't answer for this long has failed. Short, so that a test of a failover is, too.
const NODE_TIMEOUT: &str = "1000";

/// For a cluster that nobody kills, and that a busy machine must not take for dead.
const LONG_NODE_TIMEOUT: &str = "10000";

/// When nodes that have not met are introduced again: a handshake may have taken too long for them.
const NEXT_INTRODUCTION: Duration = Duration::from_secs(3);

/// Redis servers that form a cluster.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then the replicas of the first master, of the second, and so on.
    nodes: Vec<Redis>,
    masters: usize,
    replicas_per_master: usize,
}

impl RedisCluster {
    /// The cluster that this process's tests share: three masters with a replica each. None of the tests may kill,
    /// pause or reconfigure it.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<RedisCluster> =
            LazyLock::new(|| RedisCluster::form(3, 1, LONG_NODE_TIMEOUT));
        &SHARED
    }

    /// A cluster of one's own, complete and able to fail over when this returns. Failing over takes the votes of
    /// more than half of the masters, so three are the fewest that survive the loss of one.
    pub fn start(masters: usize, replicas_per_master: usize) -> Self {
        Self::form(masters, replicas_per_master, NODE_TIMEOUT)
    }

    fn form(masters: usize, replicas_per_master: usize, node_timeout: &str) -> Self {
        assert!(masters > 0, "a cluster has a master");
        let arguments = [
            ["--cluster-enabled", "yes"],
            ["--cluster-config-file", "nodes.conf"],
            ["--cluster-node-timeout", node_timeout],
            ["--cluster-announce-ip", "127.0.0.1"],
            // A replica may take over however long ago it last heard from its master.
            ["--cluster-replica-validity-factor", "0"],
            // Otherwise a replica's first copy waits for others that might want one, too.
            ["--repl-diskless-sync-delay", "0"],
        ];
        let count = masters * (1 + replicas_per_master);
        let cluster = Self {
            nodes: (0..count)
                .map(|_| Redis::start_node(arguments.as_flattened()))
                .collect(),
            masters,
            replicas_per_master,
        };
        cluster.distribute_slots();
        cluster.introduce_nodes();
        cluster.assign_replicas();
        cluster
    }

    /// Where it is, for a client: `redis-cluster://` and the addresses of the masters, separated by commas.
    pub fn url(&self) -> String {
        let addresses = self.masters().iter();
        let addresses = addresses.map(|master| format!("127.0.0.1:{}", master.port()));
        let addresses: Vec<_> = addresses.collect();
        format!("redis-cluster://{}", addresses.join(","))
    }

    /// A node; the masters come first.
    pub fn node(&self, index: usize) -> &Redis {
        &self.nodes[index]
    }

    /// All nodes; the masters come first.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The nodes that were masters when the cluster was formed, in the order of their slots.
    pub fn masters(&self) -> &[Redis] {
        &self.nodes[..self.masters]
    }

    /// The (first) node that was a replica of this master when the cluster was formed.
    pub fn replica_of(&self, master: usize) -> &Redis {
        assert!(
            master < self.masters && self.replicas_per_master > 0,
            "the cluster has no replica of a master {master}"
        );
        self.node(self.masters + master * self.replicas_per_master)
    }

    /// Gives each master an equal part of the slots.
    fn distribute_slots(&self) {
        // Different epochs, as nodes that find theirs equal first have to agree on others.
        for (epoch, node) in (1_u32..).zip(&self.nodes) {
            let epoch = epoch.to_string();
            expect_ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for (index, master) in self.masters().iter().enumerate() {
            let slots = SLOTS * index / self.masters..SLOTS * (index + 1) / self.masters;
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            let slots = slots.iter().map(String::as_str);
            let words: Vec<_> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots).collect();
            expect_ok(master, &words);
        }
    }

    /// Makes all nodes known to one another.
    fn introduce_nodes(&self) {
        let introduce = || {
            let (first, others) = self.nodes.split_first().expect("there is a master");
            for other in others {
                let port = other.port().to_string();
                expect_ok(first, &["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
            Instant::now()
        };
        let ids = self.ids();
        let mut introduced = introduce();
        wait_until("the nodes of a Redis cluster know one another", || {
            let know_all = self.nodes.iter().all(|node| knows_all(node, &ids));
            // Knowing a node already, being introduced to it does no harm.
            if !know_all && introduced.elapsed() > NEXT_INTRODUCTION {
                introduced = introduce();
            }
            know_all
        });
    }

    /// Makes the nodes after the masters replicas, and waits until all nodes have heard of everything.
    fn assign_replicas(&self) {
        let ids = self.ids();
        let replicas = (self.masters..self.nodes.len()).map(|index| {
            let master = (index - self.masters) / self.replicas_per_master;
            (index, &ids[master])
        });
        for (index, master) in replicas.clone() {
            expect_ok(self.node(index), &["CLUSTER", "REPLICATE", master]);
        }
        wait_until("a Redis cluster is complete", || {
            let has_copy = |index: usize| {
                let state = self.node(index).command(&["INFO", "replication"]);
                state.contains("master_link_status:up")
            };
            let is_settled = |node: &Redis| {
                let state = node.command(&["CLUSTER", "INFO"]);
                let table = node.command(&["CLUSTER", "NODES"]);
                state.contains("cluster_state:ok")
                    && state.contains(&format!("cluster_slots_ok:{SLOTS}"))
                    && replicas.clone().all(|(index, master)| {
                        let line = table.lines().find(|line| line.starts_with(&ids[index]));
                        line.is_some_and(|line| line.contains(&format!("slave {master} ")))
                    })
            };
            self.nodes.iter().all(is_settled) && replicas.clone().all(|(index, _)| has_copy(index))
        });
    }

    fn ids(&self) -> Vec<String> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| node.command(&["CLUSTER", "MYID"]))
            .collect()
    }
}

/// Whether the node has a connection to each of the others, and knows it by its id.
fn knows_all(node: &Redis, ids: &[String]) -> bool {
    let table = node.command(&["CLUSTER", "NODES"]);
    table.lines().count() == ids.len()
        && ids.iter().all(|id| table.contains(id))
        && !table.contains("handshake")
        && !table.contains("disconnected")
}

fn expect_ok(node: &Redis, words: &[&str]) {
    let reply = node.command(words);
    assert_eq!(
        reply,
        "OK",
        "{} to the node at port {}",
        words[1],
        node.port()
    );
}
