//! Free ports.
//!
//! They lie below those that the system gives to connections (32768 and up, unless it has been told otherwise), so
//! port 0 won't do. A server that has been killed needs the same port again, and clients that try to connect
//! meanwhile must not be given it: a connection to a free port from that very port is one with itself, and keeps the
//! server out.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::iter;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 16_384;

/// A power of two, so that the counter's overflow goes unnoticed.
const COUNT: u16 = 16_384;

/// How far the port for the other nodes of a Redis cluster is above the one for clients.
const BUS: u16 = 10_000;

pub(crate) fn free() -> u16 {
    find(is_free)
}

/// A free port whose cluster bus port is free, and no connection's either.
pub(crate) fn free_with_bus() -> u16 {
    find(|port| port < FIRST + COUNT - BUS && is_free(port) && is_free(port + BUS))
}

fn find(mut suits: impl FnMut(u16) -> bool) -> u16 {
    // One after the other, so that no two servers of this process are given the same; from a random start, so that
    // the servers of other processes rarely are.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
        AtomicU16::new(u16::from_le_bytes([low, high]))
    });
    iter::repeat_with(|| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .take(usize::from(COUNT))
        .find(|port| suits(*port))
        .expect("a port is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let (one, other) = (free(), free_with_bus());
        assert_ne!(one, other);
        let range = FIRST..FIRST + COUNT;
        assert!(range.contains(&one) && range.contains(&(other + BUS)));
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
