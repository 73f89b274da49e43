//! What somebody gets who takes away all that an engine keeps.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use session_core::{Session, SessionManager, SessionRef};
use session_test_servers::Redis;
use sqlx::{AssertSqlSafe, Row as _};

use crate::{Place, config, mariadb_pool, postgres_pool, request, sqlite_pool};

on_every_engine!(a_dump_holds_no_cookie_and_no_id);

/// The endings of the three tables' names.
const TABLES: [&str; 3] = ["", "_users", "_schema"];

const VISITORS: usize = 24;
const USERS: usize = 4;

/// A value that visitors store.
const NOTE: &str = "a text that every dump has to hold";

/// Half of an id; nobody could guess the other half.
const PIECE: usize = 16;

/// SR-1: neither a cookie nor an id is in what an engine keeps, whole or in pieces, as bytes or as text.
async fn a_dump_holds_no_cookie_and_no_id(place: &Place) {
    let manager = SessionManager::new(config().build().unwrap(), place.open().await);
    let visits = visit(&manager).await;
    let dump = Dump::of(&contents(place).await);

    // The search finds what is there: text, and sixteen bytes that are no text.
    assert!(dump.holds_all_of(NOTE.as_bytes()), "what was stored");
    for reference in &visits.alive {
        assert!(dump.holds_all_of(reference.as_bytes()), "{reference}");
    }
    for cookie in &visits.cookies {
        for (form, bytes) in forms(cookie) {
            assert!(!dump.holds_any_of(&bytes), "a piece of {form} is stored");
        }
    }
    println!(
        "{} cookies against {} pieces of what is stored",
        visits.cookies.len(),
        dump.0.len()
    );
}

/// What visitors have left behind.
#[derive(Default)]
struct Visits {
    /// All cookies that any of them ever had.
    cookies: BTreeSet<String>,
    /// The sessions that have not been ended.
    alive: Vec<SessionRef>,
}

/// Visitors store something, log in, get another id, and some of them log out.
async fn visit(manager: &SessionManager) -> Visits {
    let mut visits = Visits::default();
    for n in 0..VISITORS {
        let stores = |session: Session| async move { session.set("note", NOTE) };
        let begun = request(manager, "", stores).await;
        let ((), anonymous) = begun.expect("a new session");
        let logs_in = request(manager, &anonymous, |session| async move {
            session.login(format!("user {}", n % USERS))?;
            Ok(())
        });
        let ((), known) = logs_in.await.expect("a login");
        let rotates = request(manager, &known, |session| async move {
            session.regenerate();
            session.set("rotated", n)?;
            Ok(session.reference())
        });
        let (reference, rotated) = rotates.await.expect("a rotation");
        if n % 3 == 0 {
            let logs_out = request(manager, &rotated, |session| async move {
                session.logout();
                Ok(())
            });
            logs_out.await.expect("a logout");
        } else {
            visits.alive.push(reference.expect("the session is there"));
        }
        visits.cookies.extend([anonymous, known, rotated]);
    }
    assert_eq!(visits.cookies.len(), 3 * VISITORS, "every id is another");
    visits
}

/// What a cookie could be found by: as it is sent, and what it holds, in the spellings that there are.
fn forms(cookie: &str) -> [(&'static str, Vec<u8>); 6] {
    let (_, value) = cookie.split_once('=').expect("a cookie has a name");
    let raw = URL_SAFE_NO_PAD.decode(value).expect("it is base64url");
    assert_eq!(raw.len(), 69, "format, key id, session id and tag");
    let id = &raw[5..37];
    let hex = hex(id);
    [
        ("the cookie", value.as_bytes().to_vec()),
        ("the id as base64url", URL_SAFE_NO_PAD.encode(id).into()),
        ("the id as base64", STANDARD.encode(id).into()),
        ("the id as hex", hex.clone().into()),
        ("the id as HEX", hex.to_uppercase().into()),
        // The id lies in it as it is.
        ("the cookie's bytes", raw),
    ]
}

/// All pieces of what is stored.
struct Dump(HashSet<[u8; PIECE]>);

impl Dump {
    fn of(contents: &[Vec<u8>]) -> Self {
        Self(contents.iter().flat_map(|bytes| pieces(bytes)).collect())
    }

    fn holds_all_of(&self, bytes: &[u8]) -> bool {
        assert!(bytes.len() >= PIECE, "there is a piece to look for");
        pieces(bytes).all(|piece| self.0.contains(&piece))
    }

    fn holds_any_of(&self, bytes: &[u8]) -> bool {
        pieces(bytes).any(|piece| self.0.contains(&piece))
    }
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = [u8; PIECE]> {
    let pieces = bytes.windows(PIECE);
    pieces.map(|piece| piece.try_into().expect("it has this length"))
}

/// Everything that the engine keeps: keys, values and columns, one by one.
async fn contents(place: &Place) -> Vec<Vec<u8>> {
    if let Place::Redis { nodes, .. } = place {
        return nodes.iter().flat_map(all_keys_and_values).collect();
    }
    let mut contents = Vec::new();
    for table in TABLES {
        contents.extend(cells(place, table).await);
    }
    if let Place::Sqlite { folder } = place {
        // The files hold more than the tables: the log, and what was deleted and hasn't been overwritten.
        for file in fs::read_dir(folder.path()).expect("the folder is there") {
            let file = file.expect("the folder can be read").path();
            contents.push(fs::read(file).expect("the file can be read"));
        }
    }
    contents
}

/// All that a server of Redis holds, whoever has stored it, in one step. It goes as hexadecimal digits, because not all
/// of it is text.
fn all_keys_and_values(node: &Redis) -> Vec<Vec<u8>> {
    const DUMP: &str = "\
        local function digits(byte) return string.format('%02x', string.byte(byte)) end \
        local function hex(bytes) return (string.gsub(bytes, '.', digits)) end \
        local dump = {} \
        for _, key in ipairs(redis.call('KEYS', '*')) do \
            local kind = redis.call('TYPE', key).ok \
            dump[#dump + 1] = hex(key) \
            if kind == 'string' then \
                dump[#dump + 1] = hex(redis.call('GET', key)) \
            elseif kind == 'zset' then \
                for _, part in ipairs(redis.call('ZRANGE', key, 0, -1)) do dump[#dump + 1] = hex(part) end \
            else \
                return redis.error_reply('a key of the kind ' .. kind) \
            end \
        end \
        return dump";
    let reply = node.command(&["EVAL", DUMP, "0"]);
    assert!(!reply.starts_with('-'), "{reply}");
    reply.lines().map(unhex).collect()
}

/// What lies in all columns of all rows of one of a store's [`TABLES`], as bytes. Numbers are as the engine sends them.
pub(crate) async fn cells(place: &Place, ending: &str) -> Vec<Vec<u8>> {
    /// The same for the three databases, whose rows have nothing in common but their methods' names.
    macro_rules! select_all {
        ($pool:expr, $table:expr) => {{
            let select = AssertSqlSafe(format!("SELECT * FROM {}{ending}", $table));
            let rows = sqlx::query(select).fetch_all(&$pool).await;
            let mut cells = Vec::new();
            for row in rows.expect("the table is there") {
                for column in 0..row.len() {
                    // Unchecked, as what is no bytes is to be read as bytes, too.
                    let cell: Option<Vec<u8>> = row.try_get_unchecked(column).unwrap();
                    cells.extend(cell);
                }
            }
            cells
        }};
    }
    match place {
        Place::Redis { .. } => panic!("Redis has no tables"),
        Place::Postgres { table } => select_all!(postgres_pool().await, table),
        Place::MariaDb { table } => select_all!(mariadb_pool().await, table),
        Place::Sqlite { folder } => select_all!(sqlite_pool(folder).await, "sessions"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
