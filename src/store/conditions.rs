//! Conditions of a statement that is put together: each with the values that are bound to it.

use sqlx::Any;

/// A value bound to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
}

/// Conditions with their values, in order.
#[derive(Default)]
pub(super) struct Where {
    conditions: Vec<String>,
    pub(super) values: Vec<Bound>,
}

impl Where {
    pub(super) fn and(&mut self, condition: impl Into<String>, values: impl IntoIterator<Item = Bound>) {
        self.conditions.push(condition.into());
        self.values.extend(values);
    }

    pub(super) fn one_of<'a>(&mut self, column: &str, values: impl ExactSizeIterator<Item = &'a str>) {
        if values.len() > 0 {
            let marks = vec!["?"; values.len()].join(",");
            self.and(
                format!("{column} IN ({marks})"),
                values.map(|value| Bound::Text(value.to_owned())),
            );
        }
    }

    pub(super) fn sql(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.conditions.join(" AND ")),
        }
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Any, <Any as sqlx::Database>::Arguments>;

pub(super) fn bind_all<'q>(query: Query<'q>, values: Vec<Bound>) -> Query<'q> {
    values.into_iter().fold(query, |query, value| match value {
        Bound::Text(text) => query.bind(text),
        Bound::Bytes(bytes) => query.bind(bytes),
        Bound::Int(number) => query.bind(number),
    })
}
