//! The store: MySQL/MariaDB or SQLite through sqlx. One code over both; what differs in SQL is in
//! `dialect`. `migrations/README.md` says what the tables mean.

mod attempts;
mod audiences;
mod audit;
mod buyer_orders;
mod campaigns;
mod changes;
mod conditions;
mod config;
mod dialect;
mod error;
mod eyes;
mod keys;
mod landing;
mod leases;
mod letters;
mod modules;
mod operations;
mod order_jobs;
mod order_list;
mod orders;
mod privacy;
mod rebuild;
mod rows;
mod scheduled;
mod seals;
mod server;
mod sessions;
mod standing;
mod stock_changes;
mod tags;
mod time;
mod told;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::pool::PoolOptions;
use sqlx::{Any, AnyPool, ConnectOptions, Connection, MySqlPool, Transaction};

use crate::audience::ListKind;
use crate::campaign::{Activation, Campaign, FourEyes, Origins, Restock, Schedule};
use crate::record::At;
pub use attempts::held::{SampleRow, Spooled};
pub use attempts::older::AttemptsAt;
pub use attempts::pieces::PieceAt;
pub use audit::{AuditFilter, AuditPlace, TrailChecked};
pub use buyer_orders::{BuyerOrder, BuyerPlace, OrdersOf};
pub use campaigns::pause::PauseRow;
pub use campaigns::record_version::OlderSender;
pub use campaigns::revisions::{ActivationRow, AuditRow};
pub use campaigns::{CampaignEdit, Founding, Recorded};
pub use changes::releases::Released;
pub use changes::{CHANGES_AT_ONCE, ChangeRow, ChangedOrder, OrderChange, Outcome};
pub use config::Config;
use dialect::Dialect;
pub use error::StoreError;
pub use eyes::proposals::{ProposalRow, ProposalState};
pub use eyes::{Approval, Approving, Maker, RevisionStanding, Warrant};
pub use keys::merchants::{Issuer, IssuerRow, MerchantEdit, MerchantRow};
pub use keys::owners::{Owned, Owner};
pub use keys::{ApiKeyRow, KeyState};
pub use landing::resolve::Resolved;
pub use letters::moved::{FORGED_MAX, FORGED_PAYLOAD_BYTES_MAX, FORGED_PER_HOUR_MAX};
pub use letters::{
    Count, DeadLetter, Discarded, KeyMatch, LetterFilter, LetterMove, LetterOrder, LetterTotal, ReplayMatch,
    Stage,
};
pub use modules::is_digest;
pub use modules::names::taken;
pub use operations::{OperationKey, OperationRow, Undone, place_of};
pub use order_jobs::{JobCounts, OrderCount, OrderJob};
pub use order_list::{OrderFilter, OrderPlace, OrderRow};
pub use privacy::attempts::AttemptsPlace;
pub use privacy::buyer::BuyerName;
pub use privacy::charges::BuyerUsage;
pub use privacy::deliveries::BuyerDelivery;
pub use privacy::erasures::{
    BegunErasure, ERASE, ErasureRow, FORGOTTEN_MS, NewErasure, SETTLES_MS, new_secret,
};
use privacy::late::Late;
pub use privacy::letters::BuyerLetter;
pub use privacy::orders::ErasedOrders;
pub use privacy::standing::{BuyerCampaign, ERASED_AFTER_MS, Waits};
pub use privacy::traces::{NamingJob, NamingLine};
pub use rebuild::compare::{CampaignSums, HeldOrder, SkuSums, UsageRow};
pub use rebuild::stranded::Stranded;
pub use scheduled::{ScheduledRow, ScheduledState};
pub use seals::senders::{Sender, SenderRow, WITHOUT_SEAL};
pub use seals::{CutOver, KeyRow, contradiction};
use server::encryption;
pub use server::examine::{Place, ServerFacts, TABLES, place};
pub use server::schema::Schema;
pub use standing::Standing;
pub use stock_changes::commit::{Commit, Committed};
pub use stock_changes::{NewStockChange, StockChange, StockChangeKind};
pub use told::Untold;
pub use webhooks::deliveries::{DeliveryOf, DueDelivery, NewDelivery};
pub use webhooks::log::{DeliveryPlace, DeliveryRange, DeliveryRow, DeliveryState};
pub use webhooks::outcome::Attempted;
pub use webhooks::{Disabled, Sending, WebhookRow};

pub type StoreResult<T> = Result<T, StoreError>;

/// A stored rule module.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRow {
    /// Lower-case hex SHA-256 of the bytes.
    pub digest: String,
    pub id: String,
    pub version: String,
    /// The descriptor as JSON.
    pub descriptor: serde_json::Value,
    pub uploaded_at: i64,
    /// `None`: it is there for all.
    pub merchant: Option<String>,
}

/// Where a module's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleOrigin {
    Upload,
    /// It came with a gateway.
    Builtin,
    /// Uploaded under the id of a built-in one, to stand for it.
    Replacement,
}

impl ModuleOrigin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Builtin => "builtin",
            Self::Replacement => "replacement",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Upload, Self::Builtin, Self::Replacement]
            .into_iter()
            .find(|origin| origin.as_str() == text)
    }
}

/// What a version of a module's id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleName {
    pub version: String,
    pub digest: String,
    pub origin: ModuleOrigin,
    /// Its module is gone; the name is not free.
    pub deleted: bool,
}

/// A version of an uploaded list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceRow {
    pub id: String,
    /// From 1; the newest is what the next revision pins.
    pub version: u32,
    /// Different ones.
    pub members: u64,
    pub buckets: u32,
    /// Lower-case hex SHA-256 over the members, whatever their order.
    pub digest: String,
    pub uploaded_at: i64,
    /// The version that was uploaded whole, where this one was made from it by changing members.
    pub base: Option<u32>,
    /// What its members are.
    pub kind: ListKind,
}

impl AudienceRow {
    /// Of the list whose newest version it is.
    pub fn tag(&self) -> String {
        let digest: String = self.digest.chars().take(16).collect();
        format!("{}-{digest}", self.version)
    }
}

/// A list about to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAudience {
    pub id: String,
    /// Random: the members are kept under it.
    pub upload: String,
    pub members: u64,
    pub buckets: u32,
    pub digest: String,
    /// What the digest is made of: opaque here.
    pub partitions: Vec<u8>,
    pub uploaded_at: i64,
    /// The version it was made from: nothing is stored where another one is the newest.
    pub after: Option<u32>,
    pub kind: ListKind,
}

/// A version of a list that differs from the newest one in some buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedAudience {
    /// The newest version.
    pub from: AudienceRow,
    /// Random, as [`NewAudience::upload`].
    pub upload: String,
    pub members: u64,
    pub digest: String,
    pub partitions: Vec<u8>,
    pub uploaded_at: i64,
    /// The packed buckets that differ, each with its number.
    pub buckets: Vec<(u32, Vec<u8>)>,
    pub kind: ListKind,
}

/// A campaign with what is active.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignRow {
    pub campaign: Campaign,
    pub activation: Activation,
    /// Schedule of the active revision.
    pub schedule: Schedule,
    pub pause: PauseRow,
    /// The units that were added last, where that was the last change of the campaign's stock.
    pub restock: Option<Restock>,
    /// Number of the last change of the campaign's stock that was begun; 0 where there was none.
    pub stock_change: u64,
    /// Whose pages may read what gateways say of it; `None`: those that the configuration names.
    pub origins: Option<Arc<Origins>>,
    /// Whose it is.
    pub merchant: String,
    /// How often that merchant's issuer of tokens was changed; 0: it never had one of its own.
    pub issuer_changes: u64,
    pub four_eyes: FourEyes,
    /// Another one after each change through the control plane.
    pub tag: String,
}

/// Stock of one SKU as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRow {
    pub sku: String,
    pub total: i64,
    pub sold: i64,
}

/// An order that fails for itself, while others of its batch land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub partition: i32,
    pub at: At,
    pub error: StoreError,
}

/// What a landing transaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    pub confirmed: u64,
    pub revoked: u64,
    /// Orders that were in the database already.
    pub duplicates: u64,
    /// Of those written: orders and dead letters whose offset was passed and which were not in the database.
    /// Above 0 only after Kafka's log was rewritten; the partition's offset went back.
    pub recovered: u64,
    /// Orders, and records that hold none, which were moved away.
    pub dead: u64,
    /// Forged records that were passed over, and how many of them were kept.
    pub forged: u64,
    pub forged_kept: u64,
    /// Partitions whose expected offset was another one, with the offset the database expects.
    /// Nothing of these slices was written; the other slices were. The expected offset lies behind
    /// the slice when another consumer landed it before (its orders count as duplicates), before
    /// the slice when records between would be skipped.
    pub fenced: BTreeMap<i32, i64>,
    /// Orders that fail for themselves; only [`Store::land_apart`] has any. Their partitions' offsets moved up to
    /// the first of them, the other orders landed.
    pub failed: Vec<Failed>,
    /// Of a batch that was like most: until when its orders are to be paid, by campaign, of those that have a hold;
    /// milliseconds since 1970-01-01 UTC. `None`: nobody says, the orders do.
    pub pay_by: Option<BTreeMap<String, i64>>,
}

/// How long a caller waits for a free or new connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);

/// The database. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// What landing writes through where the database is MySQL.
    own: Option<MySqlPool>,
    dialect: Dialect,
    /// For messages: never the URL, which holds a password.
    place: Arc<str>,
    /// What landing knows of erased buyers.
    late: Arc<Late>,
}

impl Store {
    /// Connects, with a session in UTC; does not migrate. A SQLite file is created when missing.
    pub async fn connect(config: &Config) -> StoreResult<Self> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = parse_url(&config.url)?;
        let options = options(&url).map_err(encryption::wrong)?;
        let place: Arc<str> = describe(dialect, &options).into();
        let mut pool = PoolOptions::<Any>::new()
            .max_connections(config.connections.max(1))
            .acquire_timeout(ACQUIRE_LIMIT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in dialect.session() {
                        sqlx::raw_sql(*statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            });
        if is_memory(&url) {
            // The data lives in the connection: exactly one, for ever.
            pool = pool
                .min_connections(1)
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None);
        }
        let pool = match is_memory(&url) {
            true => pool.connect_with(options).await,
            // A pool retries in silence and then only says that it timed out; one connection by hand
            // says at once what is wrong.
            false => match tokio::time::timeout(ACQUIRE_LIMIT, options.connect()).await {
                Ok(Ok(probe)) => probe.close().await.map(|()| pool.connect_lazy_with(options)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(sqlx::Error::PoolTimedOut),
            },
        };
        let pool = pool.map_err(|error| {
            let cause = error.to_string();
            let place = match encryption::hint(&cause) {
                Some(hint) => format!("{place} ({hint})"),
                None => place.to_string(),
            };
            at_place(&place, error.into())
        })?;
        let own = match dialect {
            Dialect::MySql => Some(landing::plain::pool(&url, config.connections)?),
            Dialect::Sqlite => None,
        };
        Ok(Self {
            pool,
            own,
            dialect,
            place,
            late: Arc::default(),
        })
    }

    /// The same database over `connections` of its own, which are opened when they are needed: whoever is slow there keeps
    /// nobody here waiting. A database in memory is one connection, so it is shared.
    pub fn apart(&self, connections: u32) -> Self {
        let options = self.pool.connect_options();
        if is_memory(options.database_url.as_str()) {
            return self.clone();
        }
        let pool = self.pool.options().clone().max_connections(connections.max(1));
        Self {
            pool: pool.connect_lazy_with(options.as_ref().clone()),
            ..self.clone()
        }
    }

    /// For logs, errors and the banner: `mysql at db:3306/sales`.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub async fn ping(&self) -> StoreResult<()> {
        let ask = sqlx::query("SELECT 1").execute(&self.pool);
        match tokio::time::timeout(ACQUIRE_LIMIT, ask).await {
            Ok(answer) => answer
                .map(|_| ())
                .map_err(|error| at_place(&self.place, error.into())),
            Err(_) => Err(StoreError::Transient(format!("{} does not answer", self.place))),
        }
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        if let Some(own) = &self.own {
            own.close().await;
        }
        self.pool.close().await;
    }

    async fn begin(&self) -> StoreResult<Transaction<'static, Any>> {
        Ok(self.pool.begin_with(self.dialect.begin()).await?)
    }
}

/// Whether a database can be asked for by this URL, or what is wrong with it; no file is read.
fn check_url(url: &str) -> Result<(), String> {
    let (dialect, url) = dialect_of(url)?;
    let options = options(&url)?;
    if dialect == Dialect::Sqlite {
        return Ok(());
    }
    encryption::parameters(&url)?;
    if options.database_url.port() == Some(0) {
        return Err("no server listens on port 0".to_owned());
    }
    match options.database_url.path().trim_matches('/') {
        "" => Err("it names no database: mysql://user:password@host:3306/name".to_owned()),
        _ => Ok(()),
    }
}

fn options(url: &str) -> Result<AnyConnectOptions, String> {
    sqlx::any::install_default_drivers();
    url.parse().map_err(|error: sqlx::Error| match error {
        sqlx::Error::Configuration(why) => format!("it cannot be read: {why}"),
        error => format!("it cannot be read: {error}"),
    })
}

/// The dialect a URL asks for, and the URL with its scheme in one spelling.
fn dialect_of(url: &str) -> Result<(Dialect, String), String> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "mysql" | "mariadb" if rest.starts_with("//") => Ok((Dialect::MySql, format!("mysql:{rest}"))),
        "sqlite" => Ok((Dialect::Sqlite, format!("sqlite:{rest}"))),
        _ => Err("it begins with none of mysql://, mariadb://, sqlite:".to_owned()),
    }
}

/// The dialect a URL asks for, and the URL as sqlx is to see it.
fn parse_url(url: &str) -> StoreResult<(Dialect, String)> {
    let (dialect, url) = dialect_of(url).map_err(encryption::wrong)?;
    if dialect == Dialect::MySql {
        return Ok((dialect, encryption::normalized(&url)?));
    }
    let plain = is_memory(&url) || url.contains("mode=");
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = match plain {
        true => url,
        false => format!("{url}{joint}mode=rwc"),
    };
    Ok((dialect, url))
}

fn is_memory(url: &str) -> bool {
    url.starts_with("sqlite:") && (url.contains(":memory:") || url.contains("mode=memory"))
}

fn describe(dialect: Dialect, options: &AnyConnectOptions) -> String {
    let url = &options.database_url;
    match dialect {
        Dialect::MySql => format!(
            "mysql at {}:{}{}",
            url.host_str().unwrap_or("localhost"),
            url.port().unwrap_or(3306),
            url.path()
        ),
        Dialect::Sqlite => format!("sqlite at {}", url.path()),
    }
}

fn at_place(place: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Transient(text) => StoreError::Transient(format!("{place}: {text}")),
        StoreError::Locked(text) => StoreError::Locked(format!("{place}: {text}")),
        StoreError::Unanswered(text) => StoreError::Unanswered(format!("{place}: {text}")),
        StoreError::Conflict(text) => StoreError::Conflict(format!("{place}: {text}")),
        StoreError::Contradiction(text) => StoreError::Contradiction(format!("{place}: {text}")),
        StoreError::Refused(text) => StoreError::Refused(format!("{place}: {text}")),
        StoreError::Unapproved(why) => StoreError::Unapproved(why),
        StoreError::Permanent(text) => StoreError::Permanent(format!("{place}: {text}")),
        StoreError::Changed(tag) => StoreError::Changed(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_choose_the_dialect_and_hide_the_password() {
        sqlx::any::install_default_drivers();
        let (dialect, url) = parse_url("mysql://me:secret@db:3307/sales").expect("mysql");
        let options: AnyConnectOptions = url.parse().expect("a URL");
        assert_eq!(describe(dialect, &options), "mysql at db:3307/sales");
        assert_eq!(
            parse_url("sqlite:///data/x.db").expect("sqlite"),
            (Dialect::Sqlite, "sqlite:///data/x.db?mode=rwc".to_owned())
        );
        assert_eq!(parse_url("sqlite::memory:").expect("sqlite").1, "sqlite::memory:");
        assert!(parse_url("postgres://x").is_err());
        let loud = parse_url("MariaDB://me@db/Sales").expect("mysql");
        assert_eq!(loud, (Dialect::MySql, "mysql://me@db/Sales".to_owned()));
        let config = Config::new("mysql://me:s3cret@db:3307/sales", 1);
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
