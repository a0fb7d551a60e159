//! How far landing is behind the marks of a topic, in words.

use std::collections::BTreeMap;

/// Partitions named in an error.
const NAMED_MAX: usize = 5;

/// Which partitions have not landed up to their marks.
pub(super) fn behind(topic: &str, marks: &BTreeMap<i32, i64>, landed: &BTreeMap<i32, i64>) -> Option<String> {
    let at = |partition| landed.get(partition).copied().unwrap_or(0);
    let late: Vec<String> = marks
        .iter()
        .filter(|(partition, mark)| at(partition) < **mark)
        .map(|(partition, mark)| format!("partition {partition} is at {} of {mark}", at(partition)))
        .collect();
    if late.is_empty() {
        return None;
    }
    let more = match late.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = late[..late.len().min(NAMED_MAX)].join(", ");
    Some(format!(
        "landing to pass the watermark of {topic}: {named}{more}; is `rushgate land` running?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_are_behind_are_named_with_how_far() {
        let marks = BTreeMap::from([(0, 0), (1, 450), (2, 10)]);
        assert_eq!(behind("o", &marks, &BTreeMap::from([(1, 450), (2, 11)])), None);
        let text = behind("o", &marks, &BTreeMap::from([(1, 120)])).expect("two are behind");
        assert!(
            text.contains("partition 1 is at 120 of 450, partition 2 is at 0 of 10;"),
            "{text}"
        );
        let many = (0..9).map(|partition| (partition, 1)).collect();
        let text = behind("o", &many, &BTreeMap::new()).expect("all are behind");
        assert!(text.contains("partition 4 is at 0 of 1 and 4 more;"), "{text}");
    }
}
