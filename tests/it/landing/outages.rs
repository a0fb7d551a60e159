//! The database goes away, hangs, or loses its answer.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use sqlx::Executor as _;
use testkit::database::{MariaDb, connect, until};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_holds_landing_up_and_loses_nothing() {
    let mut server = MariaDb::start().await;
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    sale(&store, 100).await;
    let (producer, landing) = start(&store);
    assert_eq!(
        wait(&publish(&producer, vec![outbound(&order("a", "1"))])),
        Ok(())
    );
    server.down();
    let orders: Vec<Outbound> = (0..50).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    let answer = publish(&producer, orders);
    until("landing notices", || landing.metrics().retries.get() >= 2).await;
    assert!(answer.try_recv().is_err(), "nothing is acknowledged meanwhile");
    server.up().await;
    assert_eq!(wait(&answer), Ok(()));
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!(metrics.confirmed.get(), 51);
    assert!(state.last_error().is_some());
    let stock = store.stock("spring").await.expect("read");
    assert_eq!(stock[0].sold, 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_database_that_is_away() {
    let mut server = MariaDb::start().await;
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    let (producer, landing) = start(&store);
    server.down();
    let answer = publish(&producer, vec![outbound(&order("a", "1"))]);
    until("landing notices", || landing.metrics().retries.get() >= 1).await;
    stop(landing).await;
    assert!(matches!(wait(&answer), Err(BusError::Unacknowledged(_))));
}

/// Stands before a MariaDB's socket; once armed, it swallows the answer to the next COMMIT and hangs up.
struct Swallow {
    armed: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Swallow {
    fn before(socket: std::path::PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).expect("bound");
        let armed = Arc::new(AtomicBool::new(false));
        let arm = armed.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = UnixStream::connect(&socket).expect("connects");
                let (arm, swallow) = (arm.clone(), Arc::new(AtomicBool::new(false)));
                let both = |stream: &UnixStream| stream.try_clone().expect("cloned");
                let (from, to, told) = (both(&client), both(&server), swallow.clone());
                std::thread::spawn(move || {
                    copy(from, to, |bytes| {
                        let commit = bytes.windows(6).any(|word| word == b"COMMIT");
                        if commit && arm.swap(false, SeqCst) {
                            told.store(true, SeqCst);
                        }
                        true
                    })
                });
                std::thread::spawn(move || copy(server, client, |_| !swallow.load(SeqCst)));
            }
        });
        Self {
            armed,
            _folder: folder,
            path,
        }
    }
}

/// Copies until the end, or until `goes_on` says no; then both ends are closed.
fn copy(mut from: UnixStream, mut to: UnixStream, mut goes_on: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 65536];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if !goes_on(&buffer[..bytes]) || to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_resolved_by_reading() {
    let server = MariaDb::start().await;
    let direct = server.create("sales").await;
    let swallow = Swallow::before(server.socket());
    let url = format!("mysql://root@localhost/sales?socket={}", swallow.path.display());
    let store = connect(&url).await;
    store.migrate().await.expect("migrates");
    sale(&store, 30).await;
    let (producer, landing) = start(&store);
    assert_eq!(
        wait(&publish(&producer, vec![outbound(&order("a", "1"))])),
        Ok(())
    );
    swallow.armed.store(true, SeqCst);
    let orders: Vec<Outbound> = (0..40).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    assert_eq!(wait(&publish(&producer, orders)), Ok(()));
    let metrics = stop(landing).await;
    assert!(!swallow.armed.load(SeqCst), "an answer was swallowed");
    assert_eq!((metrics.commits_resolved.get(), metrics.retries.get()), (1, 1));
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.duplicates.get()
        ),
        (30, 11, 0)
    );
    let store = connect(&direct).await;
    assert_eq!(store.stock("spring").await.expect("read")[0].sold, 30);
    assert_eq!(store.offsets(TOPIC).await.expect("read")[&0], 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_row_stays_locked_is_moved_and_the_others_land() {
    let db = database::mariadb().await;
    sale(&db.store, 100).await;
    let mut holder = db.raw().await;
    for statement in [
        "START TRANSACTION",
        "INSERT INTO `usage` (campaign_id, counter, window_start, subject, used) \
         VALUES ('spring', 'one-per-user/orders', 0, 'held', 0)",
    ] {
        holder.execute(sqlx::raw_sql(statement)).await.expect("runs");
    }
    let (producer, consumer) = embedded::pair(0);
    let retry = producer.consumer("retry", 0);
    let config = Config {
        locked_tries: 1,
        ..poison::with_retry(quick(), "retry", 1)
    };
    let landing = spawn(config, &db.store, &producer, consumer);
    let users = ["a", "b", "held", "c"];
    let orders = users.map(|user| outbound(&order(user, "1"))).to_vec();
    assert_eq!(wait(&publish(&producer, orders)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (3, 1));
    let row = "SELECT COUNT(*) FROM dead_letters WHERE class = 'locked' AND stage = 'retry' AND `offset` = 2";
    assert_eq!(db.number(row).await, 1);
    holder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("runs");
    let config = Config {
        topic: "retry".to_owned(),
        delay: Duration::from_millis(1),
        ..quick()
    };
    let landing = spawn(config, &db.store, &producer, retry);
    until("the order lands", || landing.metrics().confirmed.get() == 1).await;
    stop(landing).await;
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'landed'")
            .await,
        1
    );
}
