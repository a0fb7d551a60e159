//! Log-ins at the console: found until they are over, and ended one by one or with their key.

use testkit::database::{Database, NOW};
use testkit::on_both;

on_both!(
    a_session_is_found_until_it_is_over,
    sessions_end_alone_or_with_their_key
);

async fn key_of(db: &Database, session: &str, now: i64) -> Option<String> {
    db.store.session_key(session, now).await.expect("asked")
}

async fn a_session_is_found_until_it_is_over(db: Database) {
    db.store
        .begin_session("s1", "k1", NOW, NOW + 1000)
        .await
        .expect("begun");
    assert_eq!(key_of(&db, "s1", NOW + 999).await.as_deref(), Some("k1"));
    assert_eq!(key_of(&db, "s1", NOW + 1000).await, None);
    assert_eq!(key_of(&db, "S1", NOW).await, None);
    let again = db.store.begin_session("s1", "k2", NOW, NOW + 1000).await;
    again.expect_err("an id is one session's");
    // One that is over is forgotten with the next.
    db.store
        .begin_session("s2", "k1", NOW + 1000, NOW + 2000)
        .await
        .expect("begun");
    assert_eq!(key_of(&db, "s1", NOW).await, None);
}

async fn sessions_end_alone_or_with_their_key(db: Database) {
    for (session, key) in [("s1", "k1"), ("s2", "k1"), ("s3", "k1"), ("s4", "k2")] {
        db.store
            .begin_session(session, key, NOW, NOW + 1000)
            .await
            .expect("begun");
    }
    let there = async || {
        let mut there = Vec::new();
        for session in ["s1", "s2", "s3", "s4"] {
            if key_of(&db, session, NOW).await.is_some() {
                there.push(session);
            }
        }
        there
    };
    db.store.end_session("s1").await.expect("ended");
    db.store.end_session("s1").await.expect("it had ended");
    assert_eq!(there().await, ["s2", "s3", "s4"]);
    db.store.end_sessions_of("k1").await.expect("ended");
    assert_eq!(there().await, ["s4"]);
}
