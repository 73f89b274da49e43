//! A Redis Cluster. What can happen to one server happens to all of its masters at once.

use std::thread;

use session_test_servers::{Redis, RedisCluster};
use tokio::time::sleep;

use crate::matrix::{Cell, Engine, Fault};
use crate::redis::{
    HOW_HELD, configure, configure_for_a_while, cut, expect, fill, flush, hold, key_prefix, open,
    refuse,
};
use crate::strike::{Expected, OUTAGE, strike, wait_until};

const MASTERS: usize = 3;

/// After how many milliseconds a node that doesn't answer has failed. Only where a master is lost may another take its
/// place: what that costs would be laid to the other faults.
const NODE_TIMEOUT: &str = "30000";
const NODE_TIMEOUT_OF_FAILOVER: &str = "1000";

/// Longer than it takes to kill all nodes, in milliseconds.
const WRITES_PAUSED: &str = "60000";

/// Three masters, with a replica each.
pub(crate) struct Cluster(RedisCluster);

impl Engine for Cluster {
    const NAME: &'static str = "Redis Cluster";

    async fn start() -> Self {
        Self(RedisCluster::start(MASTERS, 1))
    }

    fn title(&self) -> String {
        format!("Cluster of {}", self.0.node(0).version())
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        self.settle().await;
        let masters = self.masters();
        let fails = Expected::Failures;
        match fault {
            Fault::Killed => {
                let work = self.kill_and_restart();
                self.strike(fault, fails, "all nodes", work).await
            }
            Fault::Paused => self.strike(fault, fails, "all nodes", self.pause()).await,
            Fault::Cut => self.strike(fault, fails, "", cut(&masters)).await,
            Fault::Full => self.strike(fault, fails, "maxmemory", fill(&masters)).await,
            Fault::ReadOnly => {
                // Each master has one replica.
                let option = "min-replicas-to-write";
                let work = configure_for_a_while(&masters, option, "2", "0");
                self.strike(fault, fails, "too few replicas", work).await
            }
            Fault::Refused => refuse(&masters, "-cluster").await,
            Fault::Flushed => {
                self.strike(fault, Expected::Nothing, "", flush(&masters))
                    .await
            }
            Fault::Held => {
                let work = async { hold(self.visited_master(fault)) };
                self.strike(fault, fails, HOW_HELD, work).await
            }
            Fault::Lost => {
                let work = self.lose_master(fault);
                let expected = Expected::FailuresAndLosses;
                self.strike(fault, expected, "", work).await
            }
        }
    }
}

impl Cluster {
    async fn strike(
        &self,
        fault: Fault,
        expected: Expected,
        how: &str,
        work: impl Future<Output = ()>,
    ) -> Cell {
        strike(open(&self.0.url(), fault).await, expected, how, work).await
    }

    /// All nodes at once, so that none of them can take another's place.
    ///
    /// They keep nothing on their disks by themselves. So they have to stop writing for a moment, in which they make a
    /// snapshot: it has all that they have acknowledged, and nothing is acknowledged between it and their end.
    async fn kill_and_restart(&self) {
        for master in self.masters() {
            expect(master, &["CLIENT", "PAUSE", WRITES_PAUSED, "WRITE"], "OK");
        }
        for node in self.0.nodes() {
            expect(node, &["SAVE"], "OK");
        }
        at_once(self.0.nodes(), Redis::kill);
        at_once(self.0.nodes(), Redis::restart);
        self.wait_until_complete().await;
    }

    async fn pause(&self) {
        at_once(self.0.nodes(), Redis::pause);
        sleep(OUTAGE).await;
        at_once(self.0.nodes(), Redis::resume);
        self.wait_until_complete().await;
    }

    /// Kills a master, and waits until its replica has taken its place and everybody knows.
    async fn lose_master(&self, fault: Fault) {
        for node in self.living() {
            configure(node, "cluster-node-timeout", NODE_TIMEOUT_OF_FAILOVER);
        }
        self.visited_master(fault).kill();
        self.wait_until_complete().await;
    }

    /// Makes failovers unlikely, and waits until the replicas have what their masters have.
    async fn settle(&self) {
        for node in self.living() {
            configure(node, "cluster-node-timeout", NODE_TIMEOUT);
        }
        self.wait_until_complete().await;
        let is_copied = |node: &Redis| {
            let state = node.command(&["INFO", "replication"]);
            state.contains("role:master") || state.contains("master_link_status:up")
        };
        let are_copied = async || self.living().all(is_copied);
        wait_until("the replicas have copies", are_copied).await;
    }

    async fn wait_until_complete(&self) {
        let is_well = |node: &Redis| {
            let state = node.command(&["CLUSTER", "INFO"]);
            state.contains("cluster_state:ok")
        };
        let is_complete = async || self.masters().len() == MASTERS && self.living().all(is_well);
        wait_until("the cluster is complete", is_complete).await;
    }

    /// A master that has sessions of this fault's visitors. They are too few for all masters to have some for certain.
    fn visited_master(&self, fault: Fault) -> &Redis {
        let keys = format!("{}*", key_prefix(fault));
        let mut masters = self.masters().into_iter();
        let visited = masters.find(|master| !master.command(&["KEYS", &keys]).is_empty());
        visited.expect("the sessions are somewhere")
    }

    fn masters(&self) -> Vec<&Redis> {
        let is_master = |node: &&Redis| node.command(&["ROLE"]).starts_with("master");
        self.living().filter(is_master).collect()
    }

    fn living(&self) -> impl Iterator<Item = &Redis> {
        self.0.nodes().iter().filter(|node| node.is_running())
    }
}

/// One after the other would take so long that those who are left notice.
fn at_once(nodes: &[Redis], act: fn(&Redis)) {
    thread::scope(|scope| {
        for node in nodes {
            scope.spawn(move || act(node));
        }
    });
}
