//! Which node of a cluster owns which keys, as the nodes tell it.

use std::fmt;

use crc::{CRC_16_XMODEM, Crc};
use redis::{ConnectionAddr, Value};

/// Keys are spread over this many slots.
const SLOTS: u16 = 16_384;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Server {
    /// A name or an address; one of IPv6 has no brackets.
    pub(crate) host: String,
    port: u16,
}

impl Server {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        Self { host, port }
    }

    pub(crate) fn address(&self, has_tls: bool) -> ConnectionAddr {
        let Self { host, port } = self.clone();
        if !has_tls {
            return ConnectionAddr::Tcp(host, port);
        }
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The slot of a key without braces.
pub(crate) fn slot_of(key: &str) -> u16 {
    static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    CRC.checksum(key.as_bytes()) % SLOTS
}

/// Stands for no owner. A cluster has at most as many owners as slots.
const NOBODY: u16 = u16::MAX;

/// Who owns each slot.
#[derive(Default)]
pub(crate) struct SlotMap {
    servers: Vec<Server>,
    /// For each slot, where its owner is among the servers.
    owners: Vec<u16>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS` of the node with this host; `None` if it is none, or names no owner.
    pub(crate) fn parse(answer: &Value, asked_host: &str) -> Option<Self> {
        let mut map = Self {
            servers: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)],
        };
        for range in array(answer)? {
            let [first, last, owner, ..] = array(range)? else {
                return None;
            };
            let [host, port, ..] = array(owner)? else {
                return None;
            };
            let (first, last) = (number(first)?, number(last)?);
            let host = match host {
                Value::BulkString(host) => std::str::from_utf8(host).ok()?,
                _ => "",
            };
            let server = server(host, asked_host, u16::try_from(number(port)?).ok()?);
            let owner = map.index_of(server);
            map.owners.get_mut(first..=last)?.fill(owner);
        }
        (!map.servers.is_empty()).then_some(map)
    }

    pub(crate) fn owner(&self, slot: u16) -> Option<&Server> {
        let owner = *self.owners.get(usize::from(slot))?;
        self.servers.get(usize::from(owner))
    }

    /// Notes that a node has named another owner.
    pub(crate) fn move_slot(&mut self, slot: u16, server: &Server) {
        let index = self.index_of(server.clone());
        if let Some(owner) = self.owners.get_mut(usize::from(slot)) {
            *owner = index;
        }
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    fn index_of(&mut self, server: Server) -> u16 {
        let known = self.servers.iter().position(|known| *known == server);
        let index = known.unwrap_or_else(|| {
            self.servers.push(server);
            self.servers.len() - 1
        });
        // Only answers that no cluster gives name more servers than there are slots; those then have no owner.
        u16::try_from(index).unwrap_or(NOBODY)
    }
}

/// Where a node sends a client that has asked the wrong one.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Redirection {
    pub(crate) server: Server,
    /// It holds for this command only, which has to be announced: the slot is being moved there.
    pub(crate) is_temporary: bool,
}

impl Redirection {
    /// Reads an error of the node with this host; `None` if it is another error.
    pub(crate) fn parse(error: &str, asked_host: &str) -> Option<Self> {
        let mut words = error.split(' ');
        let is_temporary = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        Some(Self {
            server: server(host, asked_host, port.parse().ok()?),
            is_temporary,
        })
    }
}

/// A server as nodes name it. Where they leave the host out, it is the one that they were asked at.
fn server(host: &str, asked_host: &str, port: u16) -> Server {
    let host = match host {
        "" | "?" => asked_host,
        host => host,
    };
    Server::new(host, port)
}

fn number(value: &Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let owner = Value::Array(vec![host, Value::Int(port), text("id")]);
        let replica = Value::Array(vec![text("replica"), Value::Int(port), text("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), owner, replica])
    }

    #[test]
    fn keys_have_the_slots_that_redis_gives_them() {
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of("foo"), 12_182);
    }

    #[test]
    fn owners_are_read_and_moved() {
        let answer = Value::Array(vec![
            range(0, 99, text("one"), 7000),
            range(100, 200, Value::Nil, 7001),
            range(201, 16_383, text("::1"), 7002),
            range(300, 300, text("one"), 7000),
        ]);
        let mut map = SlotMap::parse(&answer, "asked").unwrap();
        let owner = |map: &SlotMap, slot| map.owner(slot).map(ToString::to_string);
        assert_eq!(owner(&map, 0).as_deref(), Some("one:7000"));
        assert_eq!(owner(&map, 100).as_deref(), Some("asked:7001"));
        assert_eq!(owner(&map, 299).as_deref(), Some("[::1]:7002"));
        assert_eq!(owner(&map, 300).as_deref(), Some("one:7000"));
        assert_eq!(owner(&map, 16_384), None);
        assert_eq!(map.servers().len(), 3);

        map.move_slot(0, &Server::new("four", 7003));
        assert_eq!(owner(&map, 0).as_deref(), Some("four:7003"));
        assert_eq!(owner(&map, 1).as_deref(), Some("one:7000"));
    }

    #[test]
    fn other_answers_are_no_map() {
        for answer in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Array(Vec::new())]),
            Value::Array(vec![range(0, 16_384, text("one"), 7000)]),
            Value::Array(vec![range(6, 4, text("one"), 7000)]),
            Value::Array(vec![range(0, 9, text("one"), 70_000)]),
        ] {
            assert!(SlotMap::parse(&answer, "asked").is_none(), "{answer:?}");
        }
    }

    #[test]
    fn redirections_are_read() {
        let to = |host: &str, port, is_temporary| {
            Some(Redirection {
                server: Server::new(host, port),
                is_temporary,
            })
        };
        let parse = |error| Redirection::parse(error, "asked");
        assert_eq!(
            parse("MOVED 3999 127.0.0.1:6381"),
            to("127.0.0.1", 6381, false)
        );
        assert_eq!(
            parse("ASK 3999 node.internal:6381"),
            to("node.internal", 6381, true)
        );
        assert_eq!(parse("MOVED 3999 :6381"), to("asked", 6381, false));
        assert_eq!(parse("MOVED 3999 ::1:6381"), to("::1", 6381, false));
        for error in [
            "",
            "MOVED",
            "MOVED 3999",
            "MOVED 3999 x",
            "ERR MOVED 1 x:1",
            "ASK 1 x:y",
        ] {
            assert_eq!(parse(error), None, "{error}");
        }
    }
}
