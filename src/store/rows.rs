//! Reading columns, with errors that name them.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::store::time;
use crate::store::{StoreError, StoreResult};

pub(super) fn text(row: &AnyRow, column: usize) -> StoreResult<String> {
    Ok(row.try_get(column)?)
}

pub(super) fn maybe_text(row: &AnyRow, column: usize) -> StoreResult<Option<String>> {
    Ok(row.try_get(column)?)
}

pub(super) fn int(row: &AnyRow, column: usize) -> StoreResult<i64> {
    Ok(row.try_get(column)?)
}

pub(super) fn maybe_int(row: &AnyRow, column: usize) -> StoreResult<Option<i64>> {
    Ok(row.try_get(column)?)
}

/// An integer of a narrower type.
pub(super) fn narrow<T: TryFrom<i64>>(row: &AnyRow, column: usize) -> StoreResult<T> {
    let value = int(row, column)?;
    T::try_from(value).map_err(|_| {
        StoreError::Permanent(format!(
            "stored number {value} in column {column} is out of range"
        ))
    })
}

/// A time selected as `CAST(… AS CHAR)`, in milliseconds.
pub(super) fn moment(row: &AnyRow, column: usize) -> StoreResult<i64> {
    time::from_text(&text(row, column)?)
}

pub(super) fn maybe_moment(row: &AnyRow, column: usize) -> StoreResult<Option<i64>> {
    maybe_text(row, column)?
        .as_deref()
        .map(time::from_text)
        .transpose()
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: usize) -> StoreResult<T> {
    serde_json::from_str(&text(row, column)?)
        .map_err(|error| StoreError::Permanent(format!("stored JSON in column {column}: {error}")))
}

pub(super) fn maybe_json<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    column: usize,
) -> StoreResult<Option<T>> {
    maybe_text(row, column)?.map(|_| json(row, column)).transpose()
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> StoreResult<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Refused(format!("not storable as JSON: {error}")))
}
