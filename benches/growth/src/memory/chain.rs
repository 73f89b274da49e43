//! What the machine's caches and memory cost by themselves.

use std::hint::black_box;

/// Memory in which each cache line names the next one, in a random order that comes by all of them.
///
/// A load in a large store has to wait for memory at least once. Following the chain waits once a line, in as much
/// memory as the store has: what it grows by is not the store's doing.
pub(super) struct Chain(Vec<Line>);

#[repr(align(64))]
struct Line(u32);

impl Chain {
    /// A chain in about this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let count = (bytes / size_of::<Line>()).clamp(2, u32::MAX as usize);
        let mut next: Vec<u32> = (0..).take(count).collect();
        // Sattolo's shuffle: never leaving one where it is makes a single cycle of all.
        let mut random = fastrand::Rng::with_seed(11);
        for at in (1..count).rev() {
            next.swap(at, random.usize(..at));
        }
        Self(next.into_iter().map(Line).collect())
    }

    /// Follows the chain over this many lines; different starts are far from each other.
    pub(super) fn follow(&self, start: usize, steps: usize) {
        let mut at = start % self.0.len();
        for _ in 0..steps {
            at = self.0[at].0 as usize;
        }
        black_box(at);
    }
}
