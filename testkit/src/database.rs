//! Databases for tests: SQLite in a temporary folder, and one MariaDB server per test binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rushgate::campaign::{Activation, Campaign, RecordVersion, Schedule, Sku};
use rushgate::order::{Attempt, Charge, OrderEvent, OrderId};
use rushgate::plan::{Attribute, Counter, Expr, Plan, Window};
use rushgate::record::{At, LandingSlice};
use rushgate::revision::Revision;
use rushgate::store::{Config, Store, StoreResult};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub const TOPIC: &str = "rushgate.orders";
/// 2026-11-20T12:00:00.123Z
pub const NOW: i64 = 1_795_176_000_123;
const START_LIMIT: Duration = Duration::from_secs(60);

/// A MariaDB server of our own. It ends with this value, and also when the test process dies: a
/// shell waits at the other end of a pipe, kills it and removes its folder.
pub struct MariaDb {
    folder: TempDir,
    guard: Option<Child>,
}

impl MariaDb {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let installed = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg("--auth-root-authentication-method=normal")
            .arg("--skip-test-db")
            .arg("--user=root")
            // Servers that are made at the same time must not share names of temporary tables.
            .env("TMPDIR", folder.path())
            .arg(format!("--datadir={}", folder.path().join("data").display()))
            .output()
            .expect("mariadb-install-db runs: install mariadb-server");
        assert!(
            installed.status.success(),
            "{}",
            String::from_utf8_lossy(&installed.stderr)
        );
        let mut server = Self { folder, guard: None };
        server.up().await;
        server
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    pub fn url(&self, name: &str) -> String {
        format!("mysql://root@localhost/{name}?socket={}", self.socket().display())
    }

    /// Starts the server (again) and waits until it answers.
    pub async fn up(&mut self) {
        let script = "folder=$1; shift; \"$@\" & server=$!; read word; kill -9 $server; wait $server; \
                      [ \"$word\" = keep ] || rm -rf \"$folder\"";
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log file");
        let guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(self.folder.path())
            .args(["mariadbd", "--no-defaults", "--user=root", "--skip-networking"])
            .arg(format!("--datadir={}", self.folder.path().join("data").display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.path().join("pid").display()))
            .args([
                "--innodb-buffer-pool-size=64M",
                "--innodb-flush-log-at-trx-commit=1",
            ])
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("sh runs");
        self.guard = Some(guard);
        let begun = Instant::now();
        let mut often = tokio::time::interval(Duration::from_millis(50));
        while let Err(error) = MySqlConnection::connect(&self.url("mysql")).await {
            let ended = self
                .guard
                .as_mut()
                .is_none_or(|guard| guard.try_wait().is_ok_and(|end| end.is_some()));
            assert!(!ended && begun.elapsed() < START_LIMIT, "{error}: {}", self.log());
            often.tick().await;
        }
    }

    /// Kills the server, as a power cut would; its data stays.
    pub fn down(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut pipe) = guard.stdin.take() {
                pipe.write_all(b"keep\n").expect("the guard listens");
            }
            guard.wait().expect("the guard ends");
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub async fn create(&self, name: &str) -> String {
        let mut root = MySqlConnection::connect(&self.url("mysql"))
            .await
            .expect("root connects");
        // A foreign default character set: the tables must not depend on it.
        let sql = format!("CREATE DATABASE {name} CHARACTER SET latin1");
        root.execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await
            .expect("a database");
        self.url(name)
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.down();
    }
}

/// One migrated database.
pub struct Database {
    pub store: Store,
    pub url: String,
    _folder: Option<TempDir>,
}

impl Database {
    async fn open(url: String, folder: Option<TempDir>) -> Self {
        let store = connect(&url).await;
        store.migrate().await.expect("migrates");
        Self {
            store,
            url,
            _folder: folder,
        }
    }

    /// A database of a server of the test's own.
    pub fn at(store: Store, url: String) -> Self {
        Self {
            store,
            url,
            _folder: None,
        }
    }

    /// One number of the database, read past the store.
    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.raw().await;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&mut connection).await.expect("a row").get(0)
    }

    /// One text of the database, read past the store.
    pub async fn text(&self, sql: &str) -> String {
        let mut connection = self.raw().await;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&mut connection).await.expect("a row").get(0)
    }

    /// Any statement, also those that cannot be prepared.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.raw().await;
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        connection.execute(statement).await.expect("runs");
    }

    /// Whether it is SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    pub async fn raw(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.expect("connects")
    }
}

pub async fn connect(url: &str) -> Store {
    let config = Config::new(url, 8);
    Store::connect(&config).await.expect("connects")
}

/// An empty SQLite file, not migrated.
pub fn sqlite_url() -> (String, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (file_url(&folder.path().join("rushgate.db")), folder)
}

fn file_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

pub async fn sqlite() -> Database {
    let (url, folder) = sqlite_url();
    Database::open(url, Some(folder)).await
}

/// An empty database of the binary's server, not migrated.
pub async fn mariadb_url() -> String {
    static SERVER: OnceCell<MariaDb> = OnceCell::const_new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(MariaDb::start).await;
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server.create(&name).await
}

pub async fn mariadb() -> Database {
    Database::open(mariadb_url().await, None).await
}

/// Runs each named `async fn(Database)` on both databases.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::database::sqlite().await).await;
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::database::mariadb().await).await;
            })*
        }
    };
}

pub fn campaign(id: &str, skus: &[(&str, u64)]) -> Campaign {
    Campaign {
        id: id.to_owned(),
        title: "Spring — “½ price”".to_owned(),
        skus: skus.iter().map(|(id, stock)| Sku::new(*id, *stock)).collect(),
        uid: "uid-1".to_owned(),
        buckets: 4,
        shards: 1,
        partitions: None,
        record_version: RecordVersion::V1,
        created_at: NOW,
    }
}

/// A revision that counts orders per user, without a limit: see [`order`].
pub fn revision(campaign: &str) -> Revision {
    Revision {
        campaign: campaign.to_owned(),
        number: 1,
        rules: Vec::new(),
        schedule: Schedule {
            opens_at: NOW,
            closes_at: NOW + 3_600_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        plan: Plan {
            nodes: vec![Expr::Int(1)],
            counters: vec![Counter {
                id: "one-per-user/orders".to_owned(),
                key: vec![Attribute::User],
                window: Window::Campaign,
                cost: 0,
            }],
            ..Plan::default()
        },
        plan_digest: "ab".repeat(32),
        audiences: Default::default(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: NOW,
    }
}

/// Activates a revision after whichever is in force.
pub async fn activate(store: &Store, campaign: &str, revision: u32, now: i64) -> StoreResult<Activation> {
    let newest = store.activation(campaign).await?;
    let seen = newest.map_or(0, |activation| activation.epoch);
    let activated = store
        .insert_activation_after(campaign, revision, seen, now)
        .await?;
    Ok(activated.expect("nobody else activates"))
}

/// Looks again and again until something has happened.
pub async fn until(what: &str, happened: impl Fn() -> bool) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(5));
    while !happened() {
        assert!(begun.elapsed() < START_LIMIT, "in vain: {what}");
        often.tick().await;
    }
}

/// Campaign `spring` with so many shoes.
pub async fn sale(store: &Store, shoes: u64) {
    let campaign = campaign("spring", &[("shoe", shoes), ("hat", shoes)]);
    store
        .insert_campaign(&campaign, &revision("spring"))
        .await
        .expect("a campaign");
}

/// An order of one shoe in the campaign `spring`, charged to its user.
pub fn order(user: &str, key: &str) -> OrderEvent {
    let attempt = Attempt {
        order: OrderId::keyed("spring", user, key),
        user: user.to_owned(),
        sku: "shoe".to_owned(),
        quantity: 1,
        attributes: [("claim:tier".to_owned(), "gold".to_owned())].into(),
    };
    OrderEvent {
        charges: vec![charge("one-per-user/orders", 0, user)],
        ..OrderEvent::of(attempt, "spring", 0, (1, &"ab".repeat(32)), NOW - 5)
    }
}

/// One unit of a counter.
pub fn charge(counter: &str, window: i64, subject: &str) -> Charge {
    Charge {
        counter: counter.to_owned(),
        window,
        rolling_ms: 0,
        subject: subject.to_owned(),
        cost: 1,
        limit: None,
    }
}

/// A slice that starts at `from` and holds these orders without a gap.
pub fn slice(partition: i32, from: i64, orders: Vec<OrderEvent>) -> LandingSlice {
    LandingSlice {
        partition,
        from,
        next: from + orders.len() as i64,
        orders: (from..).map(At::from).zip(orders).collect(),
        ..LandingSlice::default()
    }
}
