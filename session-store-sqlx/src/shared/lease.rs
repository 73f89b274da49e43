//! Connections that aren't given back half-way.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};

/// A connection that is closed, and not given back to its pool, unless what it was taken for is finished: the call
/// may be dropped at any await, and may fail.
///
/// Closing it ends whatever it has open, a transaction or a lock, without anybody waiting for an answer. The drivers
/// can't do that by themselves: of a `BEGIN` that was given up while it was on its way sqlx 0.9.0 forgets that it may
/// have begun a transaction, and the connection's next user would write into that. Its driver for MySQL moreover
/// loses its place when it is given up amid an answer, and would wait for ever for the rest of it.
pub(crate) struct Lease<DB: Database> {
    connection: PoolConnection<DB>,
    is_finished: bool,
}

impl<DB: Database> Lease<DB> {
    pub(crate) async fn take(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: pool.acquire().await?,
            is_finished: false,
        })
    }

    /// Gives the connection back. Nothing may be open on it.
    pub(crate) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl<DB: Database> Deref for Lease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Lease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.connection.close_on_drop();
        }
    }
}
