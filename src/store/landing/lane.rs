//! The connection that landing writes through: MySQL's own where the database is one, sqlx's common one otherwise.
//!
//! The common one keeps every text that is bound in two allocations of its own and knows no moments. Landing binds
//! a dozen values per order, so there both count.

use sqlx::any::AnyRow;
use sqlx::error::BoxDynError;
use sqlx::mysql::MySqlRow;
use sqlx::{Any, AnyConnection, Arguments, AssertSqlSafe, Database, Encode, Error, MySql, MySqlConnection};
use sqlx::{Row as _, Transaction, Type};

use crate::store::time;
use crate::store::{StoreError, StoreResult};

/// A transaction over the common connection.
pub(in crate::store) type Tx<'t> = Transaction<'t, Any>;

/// A connection inside a transaction.
pub(in crate::store) enum Lane<'c> {
    MySql(&'c mut MySqlConnection),
    Any(&'c mut AnyConnection),
}

/// What is bound to a placeholder.
#[derive(Clone, Debug)]
pub(in crate::store) enum Value<'v> {
    Int(i64),
    MaybeInt(Option<i64>),
    Text(&'v str),
    MaybeText(Option<&'v str>),
    /// Milliseconds since 1970-01-01 UTC, known to be a time the database can hold.
    Moment(i64),
    /// The same, or nothing.
    MaybeMoment(Option<i64>),
}

impl Value<'_> {
    /// `Refused` for a time that no database holds.
    pub fn moment(ms: i64) -> StoreResult<Self> {
        time::check(ms).map(|()| Self::Moment(ms))
    }
}

/// A row of either connection.
pub(in crate::store) enum Row<'r> {
    MySql(&'r MySqlRow),
    Any(&'r AnyRow),
}

impl Row<'_> {
    pub fn int(&self, column: usize) -> StoreResult<i64> {
        Ok(match self {
            Self::MySql(row) => row.try_get(column)?,
            Self::Any(row) => row.try_get(column)?,
        })
    }

    pub fn maybe_int(&self, column: usize) -> StoreResult<Option<i64>> {
        Ok(match self {
            Self::MySql(row) => row.try_get(column)?,
            Self::Any(row) => row.try_get(column)?,
        })
    }

    pub fn text(&self, column: usize) -> StoreResult<String> {
        Ok(match self {
            Self::MySql(row) => row.try_get(column)?,
            Self::Any(row) => row.try_get(column)?,
        })
    }
}

impl Lane<'_> {
    /// Rows that the statement met: those that were added, or that an UPDATE's condition holds for. With `keep`, the
    /// statement stays prepared.
    pub async fn execute(&mut self, sql: String, values: &[Value<'_>], keep: bool) -> Result<u64, Error> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::MySql(connection) => {
                let query = sqlx::query_with(sql, of_mysql(values)?).persistent(keep);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
            Self::Any(connection) => {
                let query = sqlx::query_with(sql, of_any(values)?).persistent(keep);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
        }
    }

    pub async fn fetch<T>(
        &mut self,
        sql: String,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::MySql(connection) => {
                let query = sqlx::query_with(sql, of_mysql(values)?);
                let rows = query.fetch_all(&mut **connection).await?;
                rows.iter().map(|row| read(&Row::MySql(row))).collect()
            }
            Self::Any(connection) => {
                let query = sqlx::query_with(sql, of_any(values)?);
                let rows = query.fetch_all(&mut **connection).await?;
                rows.iter().map(|row| read(&Row::Any(row))).collect()
            }
        }
    }
}

fn of_mysql(values: &[Value<'_>]) -> Result<<MySql as Database>::Arguments, Error> {
    bound::<MySql>(values, |arguments, ms| {
        arguments.add(ms.map(time::to_native).transpose()?)
    })
}

fn of_any(values: &[Value<'_>]) -> Result<<Any as Database>::Arguments, Error> {
    bound::<Any>(values, |arguments, ms| {
        arguments.add(ms.map(time::to_text).transpose()?)
    })
}

fn bound<'v, D: Database>(
    values: &[Value<'v>],
    moment: impl Fn(&mut D::Arguments, Option<i64>) -> Result<(), BoxDynError>,
) -> Result<D::Arguments, Error>
where
    i64: Encode<'v, D> + Type<D>,
    Option<i64>: Encode<'v, D> + Type<D>,
    &'v str: Encode<'v, D> + Type<D>,
    Option<&'v str>: Encode<'v, D> + Type<D>,
{
    let mut arguments = D::Arguments::default();
    let size = |value: &Value<'_>| match value {
        Value::Text(text) | Value::MaybeText(Some(text)) => text.len() + 9,
        _ => 12,
    };
    arguments.reserve(values.len(), values.iter().map(size).sum());
    for value in values {
        let added = match value {
            Value::Int(value) => arguments.add(*value),
            Value::MaybeInt(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(*value),
            Value::MaybeText(value) => arguments.add(*value),
            Value::Moment(ms) => moment(&mut arguments, Some(*ms)),
            Value::MaybeMoment(ms) => moment(&mut arguments, *ms),
        };
        added.map_err(Error::Encode)?;
    }
    Ok(arguments)
}

/// A count of a column that holds a narrower type.
pub(in crate::store) fn narrow<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> StoreResult<T> {
    let value = row.int(column)?;
    T::try_from(value).map_err(|_| {
        StoreError::Permanent(format!(
            "stored number {value} in column {column} is out of range"
        ))
    })
}
