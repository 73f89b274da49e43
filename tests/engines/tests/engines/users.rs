//! Users whose devices are at it at the same time, in three processes as it were: three managers over three clients of
//! one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use session_core::{ErrorKind, Session, SessionConfig, SessionManager, SessionRef, WhenFull};
use session_engine_tests::random_bytes;
use tokio::task::JoinSet;

use crate::{PATIENCE, Place, config, request};

on_every_engine!(ending_all_others_lets_none_escape);
on_every_engine!(the_cap_holds_for_logins_at_once);

const CLIENTS: usize = 3;
const DEVICES: usize = 50;
const ROUNDS: usize = 5;

/// How long a device does nothing between two requests, at most.
const LONGEST_REST: Duration = Duration::from_millis(200);

const CAP: usize = 5;
const LOGINS: usize = 50;

/// US-2: "sign out everywhere else" while all devices of the user write, rotate or log in again: of the sessions that
/// were there one is left, and none comes back under any cookie that a device ever had.
async fn ending_all_others_lets_none_escape(place: &Place) {
    let fleet = Fleet::start(place, &config().build().unwrap()).await;
    for round in 0..ROUNDS {
        end_all_others(&fleet, &format!("user {round}")).await;
    }
}

async fn end_all_others(fleet: &Fleet, user: &str) {
    let mut devices = Vec::new();
    for n in 0..DEVICES {
        devices.push(Device::log_in(fleet, user, n).await);
    }
    let existed: BTreeSet<_> = devices.iter().map(|device| device.reference).collect();
    assert_eq!(existed.len(), DEVICES, "each has a session of its own");
    // The first one writes, and so keeps its cookie.
    let (own, own_cookie) = (devices[0].reference, devices[0].cookie().to_owned());

    let activity = Arc::new(Activity::default());
    let mut active = JoinSet::new();
    for device in devices {
        active.spawn(device.be_active(activity.clone()));
    }
    activity.is_under_way().await;
    let before = activity.requests();
    let ends = |session: Session| async move { session.end_other_sessions().await };
    let ended = request(fleet.manager(0), &own_cookie, ends).await;
    let meanwhile = activity.requests() - before;
    activity.is_over.store(true, Ordering::SeqCst);
    let (ended, _) = ended.expect("the others are ended");
    let devices = active.join_all().await;
    println!("{user}: {ended} ended, {meanwhile} requests meanwhile");
    assert!(meanwhile > 0, "the devices were at it");
    // One that was caught with both its ids counts for two.
    assert!(ended >= DEVICES - 1, "only {ended} of {DEVICES} were ended");

    let alive = alive(fleet, devices.iter().flat_map(|device| &device.cookies)).await;
    let left: Vec<_> = alive.intersection(&existed).collect();
    assert_eq!(left, [&own], "one's own session is left, and no other");
    let listed = listed(fleet, user).await;
    let left: Vec<_> = listed.intersection(&existed).collect();
    assert_eq!(left, [&own], "so does the list say");
}

/// US-3: fifty logins at once leave as many sessions as are allowed, and at no moment are there more.
async fn the_cap_holds_for_logins_at_once(place: &Place) {
    const USER: &str = "ada";
    let capped = config().max_sessions_per_user(CAP, WhenFull::EndOldest);
    let fleet = Fleet::start(place, &capped.build().unwrap()).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(fleet.manager(0).clone(), USER, is_over.clone()));
    let mut logins = JoinSet::new();
    for n in 0..LOGINS {
        let manager = fleet.manager(n).clone();
        logins.spawn(async move { log_in(&manager, USER).await });
    }
    let devices = logins.join_all().await;
    is_over.store(true, Ordering::SeqCst);
    let (looks, most) = watcher.await.expect("the watcher has seen it all");
    println!("{looks} looks, at {most} sessions at most");
    assert!(looks > 1, "the watcher has looked while they logged in");
    assert!(most <= CAP, "{most} sessions at once");

    let existed: BTreeSet<_> = devices.iter().map(|(reference, _)| *reference).collect();
    assert_eq!(existed.len(), LOGINS, "each login begins a session");
    let alive = alive(&fleet, devices.iter().map(|(_, cookie)| cookie)).await;
    assert_eq!(alive.len(), CAP, "sessions that are alive");
    assert_eq!(listed(&fleet, USER).await, alive, "sessions in the list");
}

/// Lists the user's live sessions again and again. Gives how often, and how many there were at most.
async fn watch(
    manager: SessionManager,
    user: &'static str,
    is_over: Arc<AtomicBool>,
) -> (usize, usize) {
    let (mut looks, mut most) = (0, 0);
    loop {
        // The last look is one at how it ended.
        let is_last = is_over.load(Ordering::SeqCst);
        let live = manager.list_sessions(user).await.expect("there is a list");
        (looks, most) = (looks + 1, most.max(live.len()));
        if is_last {
            return (looks, most);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The sessions that these cookies lead to.
async fn alive<'c>(
    fleet: &Fleet,
    cookies: impl Iterator<Item = &'c String>,
) -> BTreeSet<SessionRef> {
    let mut alive = BTreeSet::new();
    for (n, cookie) in cookies.enumerate() {
        let reads = |session: Session| async move { Ok(session.reference()) };
        let read = request(fleet.manager(n), cookie, reads).await;
        let (reference, _) = read.expect("a request");
        alive.extend(reference);
    }
    alive
}

async fn listed(fleet: &Fleet, user: &str) -> BTreeSet<SessionRef> {
    let listed = fleet.manager(1).list_sessions(user).await;
    let listed = listed.expect("there is a list");
    listed.iter().map(|info| info.reference).collect()
}

async fn log_in(manager: &SessionManager, user: &str) -> (SessionRef, String) {
    let user = user.to_owned();
    let login = request(manager, "", |session| async move {
        session.login(user)?;
        // A session has its reference when it is stored.
        session.commit().await?;
        Ok(session.reference())
    });
    let (reference, cookie) = login.await.expect("a login");
    (reference.expect("a session"), cookie)
}

/// Several managers, each with a client of the same store.
struct Fleet(Vec<SessionManager>);

impl Fleet {
    async fn start(place: &Place, config: &SessionConfig) -> Self {
        let mut managers = Vec::new();
        for _ in 0..CLIENTS {
            let store = place.open().await;
            managers.push(SessionManager::new(config.clone(), store));
        }
        Self(managers)
    }

    fn manager(&self, n: usize) -> &SessionManager {
        &self.0[n % CLIENTS]
    }
}

/// What the devices of a round are doing.
#[derive(Default)]
struct Activity {
    /// How many requests have been answered.
    requests: AtomicUsize,
    /// The others have been ended.
    is_over: AtomicBool,
}

impl Activity {
    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until the devices are in the midst of it.
    async fn is_under_way(&self) {
        let started = Instant::now();
        while self.requests() < 2 * DEVICES {
            assert!(started.elapsed() < PATIENCE, "the devices send nothing");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A browser in which the user has logged in.
struct Device {
    manager: SessionManager,
    user: String,
    habit: Habit,
    /// The session that it has at first.
    reference: SessionRef,
    /// All cookies that it has had, the present one last.
    cookies: Vec<String>,
}

/// What a device does with each of its requests.
#[derive(Clone, Copy)]
enum Habit {
    Write,
    Rotate,
    LogIn,
}

impl Device {
    async fn log_in(fleet: &Fleet, user: &str, n: usize) -> Self {
        // Four of them, so that each of the three clients has devices of each habit.
        let habits = [Habit::Write, Habit::Rotate, Habit::LogIn, Habit::Rotate];
        let (reference, cookie) = log_in(fleet.manager(n), user).await;
        Self {
            manager: fleet.manager(n).clone(),
            user: user.to_owned(),
            habit: habits[n % habits.len()],
            reference,
            cookies: vec![cookie],
        }
    }

    fn cookie(&self) -> &str {
        self.cookies.last().expect("it has logged in")
    }

    /// Sends requests until the others have been ended, and one more. Between them it rests for some time, longer the
    /// slower the engine is: otherwise whoever ends the others would wait in a queue for each of hundreds of calls.
    async fn be_active(mut self, activity: Arc<Activity>) -> Self {
        loop {
            let is_last = activity.is_over.load(Ordering::SeqCst);
            let started = Instant::now();
            self.send().await;
            activity.requests.fetch_add(1, Ordering::SeqCst);
            if is_last {
                return self;
            }
            let rest = started.elapsed() * u32::from(random_bytes(1)[0] % 8);
            tokio::time::sleep(rest.min(LONGEST_REST)).await;
        }
    }

    async fn send(&mut self) {
        let (habit, user) = (self.habit, self.user.clone());
        let act = |session: Session| async move {
            match habit {
                Habit::Write => {
                    session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
                }
                Habit::Rotate => session.regenerate(),
                Habit::LogIn => session.login(user)?,
            }
            Ok(())
        };
        let sent = request(&self.manager, self.cookie(), act).await;
        match (sent, habit) {
            (Ok(((), cookie)), _) => {
                if cookie != self.cookie() {
                    self.cookies.push(cookie);
                }
            }
            // Whoever ended the others was there before the new id had its record. So it never gets one.
            (Err(error), Habit::LogIn | Habit::Rotate) if error.kind() == ErrorKind::Conflict => {}
            (Err(error), _) => panic!("a request of a device: {error:?}"),
        }
    }
}
