//! One server, and how commands get to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error as ClientError;
use fred::interfaces::{ClientLike as _, KeysInterface as _, MetricsInterface as _};
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Resp3Frame, Value};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::error::{Failure, Refusal};
use crate::setup::Setup;

/// The most commands that wait to be written to one connection. More than this pile up only behind a server that
/// reads no more.
const LONGEST_QUEUE: usize = 4_096;

/// The longest that a command waits for the first connection to a node.
const FIRST_CONNECTION: Duration = Duration::from_millis(500);

/// How often a command that waits for it looks for the first connection.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a connection is kept that was made anew, even if it leads to a replica. Until the name leads to the new
/// master, another one changes nothing, and takes along what others have under way.
const RECONNECT_EVERY: Duration = Duration::from_millis(500);

/// A command and its arguments.
pub(crate) struct Command {
    /// The name, which may consist of two words.
    name: &'static str,
    arguments: Vec<Value>,
}

impl Command {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, argument: impl Into<Value>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// To fred it is one that it doesn't know, so that it hands out the answer as it came. The node is chosen by us.
    fn custom(&self) -> CustomCommand {
        CustomCommand::new_static(self.name, ClusterHash::FirstKey, false)
    }
}

/// When a call has to be over.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// How long the next command may take. Never zero, which to fred means for ever.
    pub(crate) fn remaining(self) -> Result<Duration, Failure> {
        let remaining = self.0.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(Failure::unsent(
                "the time was up before the command was sent",
            ));
        }
        Ok(remaining)
    }
}

/// One server.
pub(crate) struct Node {
    client: Client,
    /// What keeps the client connected, if the client is ours.
    task: Option<ConnectHandle>,
    was_connected: AtomicBool,
    /// When a replica was left for the last time. Whoever leaves it has the lock meanwhile.
    left_replica_at: Mutex<Option<Instant>>,
}

impl Node {
    /// The server of somebody else's client.
    pub(crate) fn of(client: Client) -> Self {
        Self::new(client, None)
    }

    /// Connects, or says why not.
    pub(crate) async fn dial(setup: &Setup, server: &Server) -> Result<Self, ClientError> {
        let client = setup.client(server, true);
        let task = client.init().await?;
        Ok(Self::new(client, Some(task)))
    }

    /// Begins to connect, and goes on trying.
    pub(crate) fn start(setup: &Setup, server: &Server) -> Self {
        let client = setup.client(server, false);
        let task = client.connect();
        Self::new(client, Some(task))
    }

    fn new(client: Client, task: Option<ConnectHandle>) -> Self {
        Self {
            client,
            task,
            was_connected: AtomicBool::new(false),
            left_replica_at: Mutex::new(None),
        }
    }

    /// Whether the client believes that it is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Waits a little while for a connection that has never been there yet. One that was lost comes back, or it
    /// doesn't: nobody waits for it.
    pub(crate) async fn ready(&self, deadline: Deadline) -> Result<(), Failure> {
        let patience = FIRST_CONNECTION.min(deadline.remaining()?);
        let until = Instant::now() + patience;
        while !self.client.is_connected() {
            if self.was_connected.load(Ordering::Relaxed) || Instant::now() >= until {
                return Err(Failure::unsent("there is no connection to the server"));
            }
            sleep(LOOK_EVERY).await;
        }
        self.was_connected.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives up the connection to a replica that refused what was sent then, for one to whatever server has the name
    /// by now. Says whether there is a newer connection than that: not if one was tried in vain just now, or it takes
    /// too long. The connections of somebody else's client are theirs.
    pub(crate) async fn has_left_replica(&self, sent_at: Instant, deadline: Deadline) -> bool {
        let (Some(_), Ok(patience)) = (&self.task, deadline.remaining()) else {
            return false;
        };
        let leaving = async {
            let mut left_at = self.left_replica_at.lock().await;
            match *left_at {
                Some(at) if at > sent_at => true,
                Some(at) if at.elapsed() < RECONNECT_EVERY => false,
                _ => {
                    let reconnected = self.client.force_reconnection().await;
                    *left_at = Some(Instant::now());
                    reconnected.is_ok()
                }
            }
        };
        timeout(patience, leaving).await.unwrap_or(false)
    }

    /// Sends a command once.
    ///
    /// A `GET` goes as one that fred knows: others are written to the socket by themselves, while these wait for
    /// what is behind them in the queue, which gives a third more reads with 32 requests at a time. fred
    /// goes by its count of that queue, which is right as long as the queue has no bound.
    pub(crate) async fn send(
        &self,
        command: &Command,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        self.check_queue()?;
        let client = self.client.with_options(&options(timeout));
        if let ("GET", [Value::String(key)], true) =
            (command.name, &*command.arguments, self.is_unbounded())
        {
            return client.get(key).await.map_err(Failure::of_known);
        }
        let answer = client
            .custom_raw(command.custom(), command.arguments.clone())
            .await;
        match answer.map_err(Failure::Client)? {
            Resp3Frame::SimpleError { data, .. } => Err(Failure::Refused(Refusal::new(&data))),
            Resp3Frame::BlobError { data, .. } => {
                let text = String::from_utf8_lossy(&data);
                Err(Failure::Refused(Refusal::new(&text)))
            }
            frame => Value::try_from(frame).map_err(Failure::Client),
        }
    }

    /// Sends a command once, as one for a slot that is being moved to this server.
    pub(crate) async fn send_asking(
        &self,
        command: &Command,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        self.check_queue()?;
        // One behind the other on the connection, as the announcement holds for the very next command.
        let both = self.client.pipeline().with_options(&options(timeout));
        for command in [&Command::new("ASKING"), command] {
            both.custom_raw(command.custom(), command.arguments.clone())
                .await
                .map_err(Failure::Client)?;
        }
        let mut answers = both.try_all::<Value>().await;
        match (answers.len(), answers.pop()) {
            (2, Some(Ok(answer))) => Ok(answer),
            (2, Some(Err(error))) => Err(Failure::Refused(Refusal::new(error.details()))),
            (_, Some(Err(error))) => Err(Failure::Client(error)),
            _ => Err(Failure::Unexpected),
        }
    }

    fn check_queue(&self) -> Result<(), Failure> {
        if self.is_unbounded() && self.client.command_queue_len() >= LONGEST_QUEUE {
            return Err(Failure::unsent("too many commands wait to be sent"));
        }
        Ok(())
    }

    /// With a bound of its own, fred refuses commands by itself, and then miscounts those that wait.
    fn is_unbounded(&self) -> bool {
        self.client.connection_config().max_command_buffer_len == 0
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What every command is sent with, whatever its client is configured for: a command whose connection is lost is never
/// sent again, and where there is no connection it fails instead of waiting for one.
fn options(timeout: Duration) -> Options {
    Options {
        max_attempts: Some(1),
        fail_fast: true,
        timeout: Some(timeout),
        ..Options::default()
    }
}
