//! Words of sentences.

use alloc::format;
use alloc::string::String;

/// Bytes a list takes in a sentence: the host allows 512 for the whole of it.
const LISTED_BYTES_MAX: usize = 300;

/// `gold, silver and 12 more`: as many as a sentence has room for.
pub fn listed(items: &[&str]) -> String {
    listed_within(items, LISTED_BYTES_MAX)
}

/// The same in a sentence that says more: the first, and as many others as fit in so many bytes.
pub fn listed_within(items: &[&str], bytes_max: usize) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 && text.len() + item.len() > bytes_max {
            return format!("{text} and {} more", items.len() - index);
        }
        if index > 0 {
            text += ", ";
        }
        text += item;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(&["gold", "silver"]), "gold, silver");
        let names = vec!["twenty bytes of name"; 100];
        let text = listed(&names);
        assert!(text.len() < 350 && text.ends_with(" more"), "{text}");
        assert_eq!(listed_within(&["gold", "silver", "bronze"], 5), "gold and 2 more");
    }
}
