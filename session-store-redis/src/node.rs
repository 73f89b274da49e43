//! One server: its connection, which is made again when it is lost, and how commands get there.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};
use session_core::{OsRandom, Random as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::dial::{Dialed, Dialer, LONGEST_QUEUE};
use crate::error::{BoxError, Failure};

/// The longest that a command waits for the first connection to a node.
const FIRST_CONNECTION: Duration = Duration::from_millis(500);

/// How long it is at least, and at most, until a server is tried again. It is never long, so that one that is back is
/// used at once.
const SHORTEST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_millis(400);

/// How long a connection is kept that was made anew, even if it leads to a replica. Until the name leads to the new
/// master, another one changes nothing, and takes along what others have under way.
const RECONNECT_EVERY: Duration = Duration::from_millis(500);

/// When a call has to be over.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    pub(crate) fn or_after(self, timeout: Duration) -> Self {
        Self(self.0.min(Instant::now() + timeout))
    }

    /// What the work gives, unless it takes too long.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, work).await.ok()
    }
}

/// One server. Its connection ends with it.
pub(crate) struct Node {
    state: watch::Receiver<State>,
    under_way: Semaphore,
    left: watch::Sender<Left>,
    task: AbortHandle,
}

/// The connection that was last to be left because it led to a replica, and since when. Numbers begin with one.
#[derive(Default)]
struct Left {
    number: u64,
    at: Option<Instant>,
}

enum State {
    /// There has never been a connection.
    New,
    Connected {
        connection: MultiplexedConnection,
        number: u64,
        compares: bool,
    },
    Lost,
}

impl Node {
    /// Connects, or says why not.
    pub(crate) async fn dial(dialer: Dialer) -> Result<Self, BoxError> {
        let dialed = dialer.dial().await?;
        Ok(Self::keep(dialer, Some(dialed)))
    }

    /// Begins to connect, and goes on trying.
    pub(crate) fn start(dialer: Dialer) -> Self {
        Self::keep(dialer, None)
    }

    fn keep(dialer: Dialer, first: Option<Dialed>) -> Self {
        let state = match &first {
            None => State::New,
            Some(dialed) => State::Connected {
                connection: dialed.connection.clone(),
                number: 1,
                compares: dialed.compares,
            },
        };
        let (sender, receiver) = watch::channel(state);
        let left = watch::Sender::new(Left::default());
        let task = keep_connected(dialer, first, sender, left.subscribe());
        Self {
            state: receiver,
            under_way: Semaphore::new(LONGEST_QUEUE),
            left,
            task: tokio::spawn(task).abort_handle(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), State::Connected { .. })
    }

    /// Whether the server compares values by itself.
    pub(crate) fn compares(&self) -> bool {
        matches!(
            *self.state.borrow(),
            State::Connected { compares: true, .. }
        )
    }

    /// The connection and its number. Waits a little while for one that has never been there yet. One that was lost
    /// comes back, or it doesn't: nobody waits for it.
    async fn connection(
        &self,
        deadline: Deadline,
    ) -> Result<(MultiplexedConnection, u64), Failure> {
        if matches!(*self.state.borrow(), State::New) {
            let mut state = self.state.clone();
            let known = state.wait_for(|state| !matches!(state, State::New));
            // Whether it has come is looked at below.
            let _ = deadline.or_after(FIRST_CONNECTION).limit(known).await;
        }
        match &*self.state.borrow() {
            State::Connected {
                connection, number, ..
            } => Ok((connection.clone(), *number)),
            State::New | State::Lost => {
                Err(Failure::unsent("there is no connection to the server"))
            }
        }
    }

    pub(crate) async fn ready(&self, deadline: Deadline) -> Result<(), Failure> {
        self.connection(deadline).await.map(drop)
    }

    /// Sends a command once.
    pub(crate) async fn send(&self, command: &Cmd, deadline: Deadline) -> Result<Value, Failure> {
        let (mut connection, _) = self.connection(deadline).await?;
        let answer = connection.send_packed_command(command);
        checked(self.limited(answer, deadline).await?)
    }

    /// Sends a command once, as one about a slot that is being moved to this server.
    pub(crate) async fn send_asking(
        &self,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let asking = redis::cmd("ASKING");
        let mut answers = self.send_all([&asking, command], deadline).await;
        answers.pop().unwrap_or(Err(Failure::Unexpected))
    }

    /// Sends commands once, one directly behind the other, and gives as many answers.
    pub(crate) async fn send_all<'c>(
        &self,
        commands: impl IntoIterator<Item = &'c Cmd>,
        deadline: Deadline,
    ) -> Vec<Result<Value, Failure>> {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let count = pipeline.len();
        let answers = async {
            let (mut connection, _) = self.connection(deadline).await?;
            let answers = connection.send_packed_commands(&pipeline, 0, count);
            self.limited(answers, deadline).await
        };
        match answers.await {
            Ok(answers) if answers.len() == count => answers.into_iter().map(checked).collect(),
            Ok(_) => vec![Err(Failure::Unexpected); count],
            Err(failure) => vec![Err(failure); count],
        }
    }

    /// Sends a command to a server that may have been made a replica where it is. One that refuses a command for that
    /// reason has done nothing. So the connection is given up, for one to whatever server has the name by now, and the
    /// command goes there.
    pub(crate) async fn send_to_master(
        &self,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let (mut connection, number) = self.connection(deadline).await?;
        let answer = connection.send_packed_command(command);
        let answer = checked(self.limited(answer, deadline).await?);
        match answer {
            Err(Failure::Refused(refusal))
                if refusal.is_of_replica() && self.has_left(number, deadline).await =>
            {
                self.send(command, deadline).await
            }
            answer => answer,
        }
    }

    /// Leaves the connection of this number, and says whether there is a newer one: not if it is too new to be left,
    /// or that takes too long.
    async fn has_left(&self, number: u64, deadline: Deadline) -> bool {
        let mut is_too_new = false;
        self.left.send_if_modified(|left| {
            // Others may have seen to it.
            let is_known = left.number >= number;
            is_too_new = !is_known && left.at.is_some_and(|at| at.elapsed() < RECONNECT_EVERY);
            if is_known || is_too_new {
                return false;
            }
            let at = Some(Instant::now());
            *left = Left { number, at };
            true
        });
        if is_too_new {
            return false;
        }
        let is_newer = |state: &State| match state {
            State::Connected { number: newer, .. } => *newer > number,
            State::New | State::Lost => false,
        };
        let mut state = self.state.clone();
        let newer = deadline.limit(state.wait_for(is_newer)).await;
        matches!(newer, Some(Ok(_)))
    }

    /// The answer, if it comes in time.
    async fn limited<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        let Ok(_permit) = self.under_way.try_acquire() else {
            return Err(Failure::unsent("too many commands are under way"));
        };
        if deadline.0 <= Instant::now() {
            return Err(Failure::unsent(
                "the time was up before the command was sent",
            ));
        }
        match deadline.limit(answer).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(Failure::unanswered(error)),
            None => Err(Failure::unanswered("there was no answer in time")),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves the bytes of one connection after the other, for ever. What is under way on one that is lost or left fails:
/// nothing is ever sent again from here.
async fn keep_connected(
    dialer: Dialer,
    mut first: Option<Dialed>,
    state: watch::Sender<State>,
    mut left: watch::Receiver<Left>,
) {
    let (mut number, mut delay) = (0, SHORTEST_DELAY);
    loop {
        let dialed = match first.take() {
            Some(dialed) => Ok(dialed),
            None => dialer.dial().await,
        };
        if let Ok(Dialed {
            connection,
            compares,
            driver,
        }) = dialed
        {
            number += 1;
            delay = SHORTEST_DELAY;
            state.send_replace(State::Connected {
                connection,
                number,
                compares,
            });
            let is_left = tokio::select! {
                () = driver => false,
                _ = left.wait_for(|left| left.number >= number) => true,
            };
            state.send_replace(State::Lost);
            if is_left {
                continue;
            }
        }
        sleep(delay + jitter()).await;
        delay = (2 * delay).min(LONGEST_DELAY);
    }
}

/// Some milliseconds, so that clients that lost their connections together don't all come back at the same moment.
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness they do, which is no reason to stay away.
    let _ = OsRandom.fill(&mut byte);
    SHORTEST_DELAY.mul_f32(f32::from(byte[0]) / 255.0)
}

/// What a server answers with an error is no answer.
fn checked(answer: Value) -> Result<Value, Failure> {
    match answer {
        Value::ServerError(error) => Err(Failure::Refused(error.into())),
        answer => Ok(answer),
    }
}
