//! A chain, read from its first line to its last: does each follow from the one before, and is the last one the last?

use std::collections::BTreeMap;

use serde_json::Value;

use super::chain::{AuditEntry, Head, MASK, SEAL};

/// What is wrong at one place of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub merchant: String,
    /// In the chain.
    pub number: u64,
    /// Of the row that stands there, where one does.
    pub seq: Option<i64>,
    /// A sentence.
    pub what: String,
    pub expected: String,
    pub found: String,
}

/// What came of reading a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The last line that was read.
    pub last: Head,
    /// Lines whose details were masked since they were written.
    pub masked: u64,
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
}

/// A row whose detail is not what was written: it may have been masked.
struct Differs {
    seq: i64,
    written: String,
    now: String,
}

/// A chain that is being read.
pub struct Check {
    last: Head,
    last_seq: i64,
    /// What somebody has noted of the chain at another time.
    noted: Option<Head>,
    differs: BTreeMap<u64, Differs>,
    /// What lines say that details come to since they were masked.
    masked: BTreeMap<u64, String>,
    /// Rows that are older than one before them, by number.
    late: BTreeMap<u64, i64>,
    /// Stretches of numbers that lines say were there before they were in a chain.
    sealed: Vec<(u64, u64)>,
    finding: Option<Finding>,
}

impl Check {
    pub fn of(merchant: &str, noted: Option<Head>) -> Self {
        Self {
            last: Head::of(merchant),
            last_seq: 0,
            noted,
            differs: BTreeMap::new(),
            masked: BTreeMap::new(),
            late: BTreeMap::new(),
            sealed: Vec::new(),
            finding: None,
        }
    }

    /// The next row, in order of numbers. `false`: nothing behind it can be looked at, for something is wrong with it.
    pub fn take(&mut self, row: &AuditEntry) -> bool {
        if self.finding.is_none() {
            self.finding = self.wrong(row);
        }
        if self.finding.is_some() {
            return false;
        }
        let number = self.last.number + 1;
        self.last.number = number;
        self.last.hash = row.hash.clone().unwrap_or_default();
        if row.seq < self.last_seq {
            self.late.insert(number, row.seq);
        }
        self.last_seq = self.last_seq.max(row.seq);
        let (now, written) = (row.digest(), row.content.clone().unwrap_or_default());
        if now != written {
            let seq = row.seq;
            self.differs.insert(number, Differs { seq, written, now });
        }
        match row.action.as_str() {
            MASK => self.masked.extend(masked(&row.said())),
            SEAL => self.sealed.extend(sealed(&row.said())),
            _ => {}
        }
        true
    }

    fn wrong(&self, row: &AuditEntry) -> Option<Finding> {
        let expected = self.last.number + 1;
        let number = row.number.unwrap_or(0);
        if number != expected {
            let what = match number > expected {
                true => "a row is missing: it was removed",
                false => "a row stands here twice",
            };
            return Some(self.finding(
                Some(row.seq),
                what,
                format!("row {expected}"),
                format!("row {number}"),
            ));
        }
        let (link, hash) = (row.link(&self.last.hash), row.hash.clone().unwrap_or_default());
        if link != hash {
            let what = "the row is not as it was written, or does not belong behind the row before it";
            return Some(self.finding(Some(row.seq), what, link, hash));
        }
        let noted = self.noted.as_ref().filter(|noted| noted.number == number)?;
        (noted.hash != hash).then(|| {
            let what = "the chain is another one than was noted: it was written anew";
            self.finding(Some(row.seq), what, noted.hash.clone(), hash)
        })
    }

    /// Nothing follows. `head` is what is kept of the chain's end.
    pub fn end(mut self, head: Option<&Head>) -> Checked {
        let end = self.finding.take().or_else(|| self.wrong_end(head));
        let late = self.late.iter().find(|(number, _)| {
            let is_sealed = |(from, to): &(u64, u64)| (from..=to).contains(number);
            !self.sealed.iter().any(is_sealed)
        });
        let late = late.map(|(number, seq)| Finding {
            number: *number,
            ..self.finding(
                Some(*seq),
                "the row is older than rows before it: rows were put into another order",
                "a later seq".to_owned(),
                format!("seq {seq}"),
            )
        });
        let is_masked = |(number, row): &(&u64, &Differs)| self.masked.get(number) == Some(&row.now);
        let (masked, changed): (Vec<_>, Vec<_>) = self.differs.iter().partition(is_masked);
        let changed = changed.first().map(|(number, row)| Finding {
            number: **number,
            ..self.finding(
                Some(row.seq),
                "detail or note are not as they were written, and no line of the chain says that they were masked",
                row.written.clone(),
                row.now.clone(),
            )
        });
        let found = [end, late, changed].into_iter().flatten();
        Checked {
            masked: masked.len() as u64,
            finding: found.min_by_key(|finding| finding.number),
            last: self.last,
        }
    }

    fn wrong_end(&self, head: Option<&Head>) -> Option<Finding> {
        let shown = |head: &Head| format!("{}:{}", head.number, head.hash);
        let last = &self.last;
        if let Some(noted) = self.noted.as_ref().filter(|noted| noted.number > last.number) {
            let what = "rows at the end are missing: the chain ends before the head that was noted";
            return Some(self.finding(None, what, shown(noted), shown(last)));
        }
        let Some(head) = head else {
            let what = "there is no head of this chain";
            return (last.number > 0).then(|| self.finding(None, what, shown(last), "nothing".to_owned()));
        };
        let what = match head.number > last.number {
            true => "rows at the end are missing: the chain ends before its head",
            false => "the head of the chain is not its last row",
        };
        (head != last).then(|| self.finding(None, what, shown(head), shown(last)))
    }

    /// Behind the last row.
    fn finding(&self, seq: Option<i64>, what: &str, expected: String, found: String) -> Finding {
        Finding {
            merchant: self.last.merchant.clone(),
            number: self.last.number + 1,
            seq,
            what: what.to_owned(),
            expected,
            found,
        }
    }
}

/// `{"rows": [[number, digest], …]}`
fn masked(said: &Value) -> Vec<(u64, String)> {
    let rows = said["rows"].as_array().into_iter().flatten();
    let pair = |row: &Value| Some((row[0].as_u64()?, row[1].as_str()?.to_owned()));
    rows.filter_map(pair).collect()
}

/// `{"from": number, "to": number}`
fn sealed(said: &Value) -> Option<(u64, u64)> {
    Some((said["from"].as_u64()?, said["to"].as_u64()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::DEFAULT_MERCHANT;
    use crate::audit::AuditLine;

    fn chain(details: &[Value]) -> (Vec<AuditEntry>, Head) {
        let mut head = Head::of(DEFAULT_MERCHANT);
        let mut rows = Vec::new();
        for (seq, detail) in (1..).zip(details) {
            let action = detail["action"].as_str().unwrap_or("test").to_owned();
            let mut row = AuditEntry::of(&AuditLine::new(seq, "ann", &action, "spring", detail.clone()));
            row.seq = seq;
            row.chain(&mut head, format!("salt {seq}"));
            rows.push(row);
        }
        (rows, head)
    }

    fn check(rows: &[AuditEntry], head: Option<&Head>, noted: Option<Head>) -> Checked {
        let mut check = Check::of(DEFAULT_MERCHANT, noted);
        let _ = rows.iter().all(|row| check.take(row));
        check.end(head)
    }

    fn five() -> (Vec<AuditEntry>, Head) {
        chain(&[1, 2, 3, 4, 5].map(|n| json!({"n": n})))
    }

    #[test]
    fn a_chain_as_it_was_written_is_whole() {
        let (rows, head) = five();
        let checked = check(&rows, Some(&head), None);
        assert_eq!((checked.finding, &checked.last), (None, &head));
        assert_eq!(check(&rows, Some(&head), Some(head.clone())).finding, None);
        let none = Head::of(DEFAULT_MERCHANT);
        assert_eq!(check(&[], Some(&none), None).finding, None);
    }

    #[test]
    fn the_first_row_that_is_wrong_is_named() {
        type Tamper = fn(&mut Vec<AuditEntry>, &mut Head);
        let cases: [(&str, u64, Tamper); 8] = [
            ("not as it was written", 3, |rows, _| {
                rows[2].target = "autumn".to_owned()
            }),
            ("not as they were written", 3, |rows, _| {
                rows[2].detail = "{}".to_owned()
            }),
            ("not as they were written", 2, |rows, _| {
                rows[1].note = Some("said later".to_owned())
            }),
            ("is missing", 2, |rows, _| drop(rows.remove(1))),
            ("stands here twice", 4, |rows, _| {
                let row = rows[2].clone();
                rows.insert(3, row);
            }),
            ("not as it was written", 2, |rows, _| {
                rows.swap(1, 3);
                (rows[1].number, rows[3].number) = (Some(2), Some(4));
            }),
            ("the end are missing", 5, |rows, _| drop(rows.pop())),
            ("another order", 3, |rows, _| (rows[1].seq, rows[2].seq) = (3, 2)),
        ];
        for (what, number, tamper) in cases {
            let (mut rows, mut head) = five();
            tamper(&mut rows, &mut head);
            let finding = check(&rows, Some(&head), None).finding.expect(what);
            assert!(finding.what.contains(what), "{what}: {finding:?}");
            assert_eq!(finding.number, number, "{what}: {finding:?}");
        }
    }

    #[test]
    fn a_noted_head_shows_what_the_chain_alone_does_not() {
        let (rows, noted) = five();
        let cut = Head {
            number: 3,
            hash: rows[2].hash.clone().expect("chained"),
            ..noted.clone()
        };
        assert_eq!(check(&rows[..3], Some(&cut), None).finding, None);
        let finding = check(&rows[..3], Some(&cut), Some(noted.clone())).finding;
        assert!(finding.expect("cut").what.contains("the end are missing"));
        // All of it is written anew.
        let (rows, head) = chain(&[1, 2, 3, 4, 6].map(|n| json!({"n": n})));
        assert_eq!(check(&rows, Some(&head), None).finding, None);
        let finding = check(&rows, Some(&head), Some(noted)).finding;
        assert!(finding.expect("another").what.contains("written anew"));
    }

    #[test]
    fn what_was_masked_is_named_by_a_later_row() {
        let (mut rows, _) = five();
        rows[1].detail = json!({"n": "erased"}).to_string();
        rows[1].salt = Some("another".to_owned());
        let told = |digest: String| json!({"action": MASK, "rows": [[2, digest]]});
        for (digest, is_whole) in [(rows[1].digest(), true), ("0".to_owned(), false)] {
            let mut head = Head {
                number: 5,
                hash: rows[4].hash.clone().expect("chained"),
                merchant: DEFAULT_MERCHANT.to_owned(),
            };
            let mut mask = AuditEntry::of(&AuditLine::new(9, "rushgate", MASK, "e", told(digest)));
            mask.seq = 9;
            mask.chain(&mut head, "salt".to_owned());
            let all: Vec<AuditEntry> = rows.iter().cloned().chain([mask]).collect();
            let checked = check(&all, Some(&head), None);
            assert_eq!(checked.finding.is_none(), is_whole, "{checked:?}");
            assert_eq!(checked.masked, u64::from(is_whole));
        }
    }
}
