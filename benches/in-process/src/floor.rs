//! The work that no signed read of a session can do without: decoding the cookie, checking its MAC, hashing its id, and
//! one lookup.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The parts, with what each of them took in nanoseconds, in one round of `count` times.
pub fn measure(count: u32) -> [(&'static str, f64); 4] {
    let value = URL_SAFE_NO_PAD.encode([5; 69]);
    let mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("every length is valid");
    let map: DashMap<[u8; 32], Arc<[u8]>> = DashMap::new();
    for n in 0..1_000_u32 {
        map.insert(Sha256::digest(n.to_le_bytes()).into(), vec![0; 302].into());
    }
    let present: [u8; 32] = Sha256::digest(7_u32.to_le_bytes()).into();
    [
        (
            "base64 of the cookie",
            nanos(count, || {
                let mut raw = [0; 69];
                let decoded = URL_SAFE_NO_PAD.decode_slice(black_box(&value), &mut raw);
                black_box(decoded.is_ok());
                black_box(raw);
            }),
        ),
        (
            "HMAC-SHA256, key prepared",
            nanos(count, || {
                let mut mac = mac.clone();
                mac.update(black_box(&[5; 37]));
                black_box(mac.finalize());
            }),
        ),
        (
            "SHA-256 of the id",
            nanos(count, || {
                black_box(Sha256::digest(black_box([5; 32])));
            }),
        ),
        (
            "lookup in a concurrent map",
            nanos(count, || {
                black_box(
                    map.get(black_box(&present))
                        .map(|found| found.value().clone()),
                );
            }),
        ),
    ]
}

fn nanos(count: u32, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..count {
        work();
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}
