//! actix-web builds the application once for each worker, on a thread of its own.

use std::thread;

use actix_web::App;
use actix_web::rt::System;
use session_actix::SessionMiddleware;
use session_store_memory::MemoryStore;

use crate::common::{Site, Visitor};
use crate::{become_eve, config, name, routes};

/// A middleware that is made once and cloned for each worker is one store and one set of keys: a visitor may
/// come to any of them.
#[actix_web::test]
async fn workers_share_their_sessions() {
    let sessions = SessionMiddleware::new(config().build().unwrap(), MemoryStore::new());
    let application = move || {
        let routes = App::new().configure(routes(become_eve));
        routes.wrap(sessions.clone())
    };
    let mut eve = Visitor::new(&Site::new(application()).await);
    eve.send("GET /").await;

    let cookies = eve.cookies.clone();
    let other_worker = thread::spawn(move || {
        System::new().block_on(async move {
            let mut eve = Visitor::new(&Site::new(application()).await);
            eve.cookies = cookies;
            name(&eve).await
        })
    });
    assert_eq!(other_worker.join().unwrap(), "Eve");
    assert_eq!(name(&eve).await, "Eve");
}
