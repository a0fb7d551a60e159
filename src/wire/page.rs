//! Lists in pages: one row more than a page has is asked for, so that a page that is exactly full is known to be the last one.

/// The rows of a page of `limit`, and what names the last of them where more follow.
pub fn paged<T, N>(mut rows: Vec<T>, limit: u32, name: impl Fn(&T) -> N) -> (Vec<T>, Option<N>) {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(name);
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_next_also_where_it_is_full() {
        let page = |rows: &[u32]| paged(rows.to_vec(), 2, |row| *row);
        assert_eq!(page(&[9, 8, 7]), (vec![9, 8], Some(8)));
        assert_eq!(page(&[9, 8]), (vec![9, 8], None));
        assert_eq!(page(&[9]), (vec![9], None));
        assert_eq!(page(&[]), (vec![], None));
    }
}
