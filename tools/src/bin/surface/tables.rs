//! Tables of the database as `rushgate migrate` makes them: columns, keys and checks.

use anyhow::Result;
use sqlx::{MySqlPool, Row};

use crate::Page;

const COLUMNS: &str = "SELECT CAST(CONCAT(table_name, '.', column_name, '  ', column_type, \
    IF(is_nullable = 'YES', ' NULL', ''), IFNULL(CONCAT(' DEFAULT ', column_default), '')) AS CHAR) \
    FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position";
const KEYS: &str = "SELECT CAST(CONCAT(table_name, ' ', IF(non_unique, 'KEY ', 'UNIQUE '), index_name, ' (', \
    GROUP_CONCAT(column_name ORDER BY seq_in_index), ')') AS CHAR) FROM information_schema.statistics \
    WHERE table_schema = DATABASE() GROUP BY table_name, index_name, non_unique ORDER BY table_name, index_name";
const CHECKS: &str = "SELECT CAST(CONCAT(table_name, ' CHECK ', constraint_name, ' ', check_clause) AS CHAR) \
    FROM information_schema.check_constraints WHERE constraint_schema = DATABASE() ORDER BY table_name, constraint_name";

pub async fn write(page: &mut Page, database: &MySqlPool) -> Result<()> {
    page.section("tables");
    for sql in [COLUMNS, KEYS, CHECKS] {
        for row in sqlx::query(sql).fetch_all(database).await? {
            page.line(row.try_get::<String, _>(0)?);
        }
    }
    Ok(())
}
