//! Lines, whatever pieces they arrive in, and the spread over buckets.

use proptest::prelude::*;

use super::*;
use crate::campaign::bucket_of;

fn read(pieces: &[&[u8]]) -> Result<Vec<String>, AudienceError> {
    let mut ids = Vec::new();
    let mut each = |id: &str| ids.push(id.to_owned());
    let mut lines = Lines::new(false, false);
    for piece in pieces {
        lines.push(piece, &mut each)?;
    }
    let count = lines.end(&mut each)?;
    assert_eq!(count, ids.len() as u64);
    Ok(ids)
}

fn wrong(text: &[u8]) -> String {
    read(&[text]).expect_err("refused").to_string()
}

#[test]
fn lines_end_with_lf_or_crlf_and_blank_ones_are_skipped() {
    let ids = read(&[b"ann\r\nbob\n\n\r\n Eve \r\nz\xc3\xbc"]).expect("a list");
    assert_eq!(ids, ["ann", "bob", " Eve ", "zü"]);
    assert_eq!(read(&[b""]).expect("an empty list"), [""; 0]);
    assert_eq!(
        read(&[b"\xef\xbb\xbfann\n\xef\xbb\xbf"]).expect("a list"),
        ["ann", "\u{feff}"]
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let long = [b"ann\n\n".as_slice(), &[b'x'; VALUE_BYTES_MAX + 1]].concat();
    assert_eq!(
        wrong(&long),
        "line 3: the id is longer than 256 bytes; a list has one id per line"
    );
    let exact = [b'x'; VALUE_BYTES_MAX];
    assert_eq!(read(&[&exact, b"\r\n"]).expect("just fits").len(), 1);
    assert!(wrong(b"ann\n\xff\xfe\n").starts_with("line 2: the id is not UTF-8"));
    assert_eq!(
        wrong(b"a\rb\n"),
        "line 1: the id contains the control character U+000D"
    );
    assert!(wrong(b"\x1f\x8b\x08\0\0\n").contains("Content-Encoding: gzip"));
    let gzip = [b"\x1f\x8b".as_slice(), &[7; 1000]].concat();
    assert!(wrong(&gzip).contains("Content-Encoding: gzip"));
}

#[test]
fn buckets_grow_with_the_list_and_stay_powers_of_two() {
    let counts = [0, 63, 64, 1_000_000, AUDIENCE_MEMBERS_MAX].map(buckets_for);
    assert_eq!(counts, [1, 1, 2, 16_384, 65_536]);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(text in "[ab\r\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            pieces.push(&text.as_bytes()[start..cut]);
            start = cut;
        }
        prop_assert_eq!(read(&pieces), read(&[text.as_bytes()]));
    }

    #[test]
    fn a_coarser_spread_keeps_together_what_a_finer_one_does(id in ".{1,40}", fine in 0u32..=16, coarse in 0u32..=16) {
        let (fine, coarse) = (1 << fine.max(coarse), 1 << fine.min(coarse));
        prop_assert_eq!(bucket_of(id.as_bytes(), fine) % coarse, bucket_of(id.as_bytes(), coarse));
    }

    #[test]
    fn a_packed_bucket_comes_back(members in proptest::collection::vec("[^\n]{1,20}", 0..10)) {
        let packed = pack(members.iter().map(|member| member.as_bytes()));
        let back: Vec<&[u8]> = unpack(&packed).collect();
        prop_assert_eq!(back, members.iter().map(|member| member.as_bytes()).collect::<Vec<_>>());
    }
}
