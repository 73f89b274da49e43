//! A new secret on several servers, while visitors come and go.

use session_core::{SessionConfigBuilder, SessionManager};

use crate::scene::{Scene, config};

const OLD: &str = "the secret that was there before, 32 bytes";
const NEW: &str = "the secret that comes instead of it, 32 bytes";

/// What a server is configured with, in the order of the roll-out.
const STEPS: [(&str, Option<&str>); 4] =
    [(OLD, None), (OLD, Some(NEW)), (NEW, Some(OLD)), (NEW, None)];

fn step(step: usize) -> SessionConfigBuilder {
    let (secret, previous) = STEPS[step];
    let config = session_core::SessionConfig::builder(secret);
    match previous {
        Some(previous) => config.previous_secret(previous),
        None => config,
    }
}

/// Three servers on one store, and visitors who meet now one and now another of them.
struct Fleet {
    scene: Scene,
    servers: [SessionManager; 3],
    /// The jars of visitors who came before the roll-out, and of those who came with each step of a server.
    visitors: Vec<Option<String>>,
}

impl Fleet {
    fn server(scene: &Scene, at: usize) -> SessionManager {
        let config = step(at).build().unwrap();
        SessionManager::builder(config, scene.store.clone())
            .clock(scene.clock.clone())
            .build()
            .unwrap()
    }

    fn new() -> Self {
        let scene = Scene::new(config());
        let servers = [(); 3].map(|()| Self::server(&scene, 0));
        Self {
            scene,
            servers,
            visitors: Vec::new(),
        }
    }

    /// A visitor begins a session on this server.
    async fn begin(&mut self, server: usize) {
        self.scene.manager = self.servers[server].clone();
        self.scene.jar = None;
        self.scene
            .request(|session| session.set("n", 1).unwrap())
            .await;
        self.visitors.push(self.scene.jar.take());
    }

    /// Each visitor comes to each server; gives how many of these requests found no session.
    async fn everybody_comes(&mut self) -> usize {
        let mut strangers = 0;
        for visitor in 0..self.visitors.len() {
            for server in [0, 1, 2, 1, 0] {
                self.scene.manager = self.servers[server].clone();
                self.scene.jar = self.visitors[visitor].clone();
                strangers += usize::from(self.scene.read_n().await != Some(1));
                // One who is taken for a stranger goes on with the cookie that they have.
                if self.scene.jar.is_some() {
                    self.visitors[visitor] = self.scene.jar.take();
                }
            }
        }
        strangers
    }

    /// Takes the servers from one step to another, one at a time, with visitors beside.
    async fn roll_out(&mut self, to: usize) -> usize {
        let mut strangers = 0;
        for server in 0..self.servers.len() {
            self.servers[server] = Self::server(&self.scene, to);
            self.begin(server).await;
            strangers += self.everybody_comes().await;
        }
        strangers
    }
}

/// SG-9: in the order that the documentation of `previous_secret` gives, nobody is signed out at any moment, those with
/// cookies from before and those with cookies from between; at the end everybody's cookie is signed with the new one.
#[tokio::test]
async fn a_new_secret_signs_nobody_out() {
    let mut fleet = Fleet::new();
    fleet.begin(0).await;
    for to in [1, 2] {
        assert_eq!(fleet.roll_out(to).await, 0, "step {to}");
    }
    // Everybody has come since the second step, so that the old secret can go.
    assert_eq!(fleet.roll_out(3).await, 0, "the last step");
    assert_eq!(fleet.visitors.len(), 10);
}

/// SG-9: a visitor who doesn't come between the second step and the last is signed out, and nobody else. Nothing is
/// lost before that: their session is there as long as it lives.
#[tokio::test]
async fn the_old_secret_is_left_out_last() {
    let mut fleet = Fleet::new();
    fleet.begin(0).await;
    let away = fleet.visitors.pop().unwrap();
    fleet.begin(1).await;
    for to in [1, 2] {
        assert_eq!(fleet.roll_out(to).await, 0, "step {to}");
    }
    fleet.visitors.push(away.clone());
    assert_eq!(
        fleet.everybody_comes().await,
        0,
        "who comes before the last step"
    );
    fleet.visitors.pop();
    assert_eq!(fleet.roll_out(3).await, 0, "the last step");
    fleet.visitors = vec![away];
    assert_eq!(fleet.everybody_comes().await, 5, "who didn't come");
}

/// SG-9: with the first step left out, servers that don't have the new secret yet take visitors for strangers. It is
/// what the order is for.
#[tokio::test]
async fn without_the_first_step_visitors_are_strangers() {
    let mut fleet = Fleet::new();
    fleet.begin(0).await;
    assert!(fleet.roll_out(2).await > 0);
}
