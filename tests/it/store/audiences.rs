//! Uploaded lists over both databases.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rushgate::audience::{ListKind, PrefixLengths};
use rushgate::plan::AudienceRef;
use rushgate::store::{AudienceRow, ChangedAudience, NewAudience, StoreError};
use testkit::on_both;

use testkit::database::{Database, NOW, campaign, revision};

on_both!(
    versions_are_numbered_and_the_same_members_are_the_same_version,
    a_long_list_comes_back_bucket_by_bucket,
    half_an_upload_leaves_nothing_behind,
    uploads_that_meet_get_a_number_each,
    a_version_is_removed_when_nothing_needs_it,
    a_version_of_changes_shares_what_did_not_change,
    shared_buckets_are_kept_as_long_as_a_version_has_them,
    a_version_says_what_its_members_are,
);

fn list(id: &str, upload: &str, buckets: u32, uploaded_at: i64) -> NewAudience {
    NewAudience {
        id: id.to_owned(),
        upload: upload.to_owned(),
        members: 7,
        buckets,
        digest: format!("digest of {upload}"),
        partitions: upload.as_bytes().to_vec(),
        uploaded_at,
        after: None,
        kind: ListKind::Texts,
    }
}

type Buckets = BoxStream<'static, Result<(u32, Vec<u8>), StoreError>>;

fn buckets(packed: Vec<(u32, Vec<u8>)>) -> Buckets {
    stream::iter(packed.into_iter().map(Ok)).boxed()
}

/// One bucket.
fn short(text: &str) -> Buckets {
    buckets(vec![(0, text.as_bytes().to_vec())])
}

async fn put(db: &Database, new: &NewAudience, packed: Buckets) -> (bool, AudienceRow) {
    db.store
        .insert_audience(new, packed, Vec::new())
        .await
        .expect("stored")
}

async fn numbers(db: &Database, id: &str) -> Vec<u32> {
    let rows = db.store.audience(id, None, 100).await.expect("asked");
    rows.into_iter().map(|row| row.version).collect()
}

async fn versions_are_numbered_and_the_same_members_are_the_same_version(db: Database) {
    let first = list("vip", "a", 1, NOW);
    let (new, row) = put(&db, &first, short("ann\n")).await;
    assert_eq!((new, row.version, row.members, row.buckets), (true, 1, 7, 1));
    let second = list("vip", "b", 1, NOW + 1);
    assert_eq!(put(&db, &second, short("bob\n")).await.1.version, 2);
    let again = NewAudience {
        upload: "c".to_owned(),
        ..second.clone()
    };
    let (new, row) = put(&db, &again, short("bob\n")).await;
    assert_eq!((new, row.version, row.uploaded_at), (false, 2, NOW + 1));
    // What was there before the newest is a change, and the newest again.
    let back = NewAudience {
        upload: "d".to_owned(),
        uploaded_at: NOW + 2,
        ..first
    };
    let (new, row) = put(&db, &back, short("ann\n")).await;
    assert_eq!((new, row.version), (true, 3));
    put(&db, &list("VIP", "e", 1, NOW + 3), short("eve\n")).await;

    let all = db.store.audiences().await.expect("listed");
    let all: Vec<_> = all.iter().map(|row| (row.id.as_str(), row.version)).collect();
    assert_eq!(all, [("VIP", 1), ("vip", 3)]);
    assert_eq!(numbers(&db, "vip").await, [3, 2, 1]);
    assert_eq!(numbers(&db, "Vip").await, [0; 0]);
}

async fn a_long_list_comes_back_bucket_by_bucket(db: Database) {
    // More than one round of statements, in no order, with bytes that no text column would keep.
    let packed = |n: u32| {
        let mut bytes = format!("ä{n}\n\u{1F45F} ").into_bytes();
        bytes.extend([0, 255, b'\\', b'\'']);
        bytes.resize(bytes.len() + 10_000, n as u8);
        (n, bytes)
    };
    let mut all: Vec<_> = (0..600).map(packed).collect();
    all.rotate_left(7);
    put(&db, &list("vip", "a", 600, NOW), buckets(all)).await;
    let page = |from, limit| db.store.audience_buckets("vip", 1, from, limit);
    let expected = |range: std::ops::Range<u32>| range.map(|n| packed(n).1).collect::<Vec<_>>();
    assert!(page(0, 256).await.expect("read") == expected(0..256));
    assert!(page(512, 256).await.expect("read") == expected(512..600));
    assert!(page(600, 256).await.expect("read").is_empty());
    db.execute("DELETE FROM audience_buckets WHERE bucket = 599")
        .await;
    for (from, what) in [(512, "at its end"), (599, "at its end")] {
        let error = page(from, 256).await.expect_err("a hole").to_string();
        assert!(error.contains(what), "{error}");
    }
    db.execute("DELETE FROM audience_buckets WHERE bucket = 3").await;
    let error = page(0, 256).await.expect_err("a hole").to_string();
    assert!(
        error.contains("\"vip\", version 1: bucket 3 is missing"),
        "{error}"
    );
    assert!(db.store.audience_buckets("vip", 2, 0, 1).await.is_err());
}

async fn half_an_upload_leaves_nothing_behind(db: Database) {
    let cut = StoreError::Refused("cut off".to_owned());
    let packed = (0..300).map(|n| Ok((n, b"ann\n".to_vec())));
    let half = stream::iter(packed.chain([Err(cut)])).boxed();
    let error = db
        .store
        .insert_audience(&list("vip", "a", 400, NOW), half, Vec::new())
        .await;
    assert_eq!(error.expect_err("cut off").to_string(), "database: cut off");
    assert_eq!(numbers(&db, "vip").await, [0; 0]);
    // The same key again shows that no bucket of it stayed.
    let (new, _) = put(&db, &list("vip", "a", 1, NOW), short("ann\n")).await;
    assert!(new);
}

async fn uploads_that_meet_get_a_number_each(db: Database) {
    let upload = |n: u32| {
        let store = db.store.clone();
        async move {
            let new = list("vip", &format!("u{n}"), 1, NOW);
            store.insert_audience(&new, short("ann\n"), Vec::new()).await
        }
    };
    let stored = futures_util::future::join_all((0..6).map(upload)).await;
    let mut versions: Vec<u32> = stored
        .into_iter()
        .map(|row| row.expect("stored").1.version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
}

async fn a_version_is_removed_when_nothing_needs_it(db: Database) {
    for (upload, text) in [("a", "ann\n"), ("b", "bob\n"), ("c", "cid\n")] {
        put(&db, &list("vip", upload, 1, NOW), short(text)).await;
    }
    let mut first = revision("spring");
    let pinned = AudienceRef::whole(2, 1);
    first.audiences.insert("vip".to_owned(), pinned);
    let spring = campaign("spring", &[("shoe", 1)]);
    db.store.insert_campaign(&spring, &first).await.expect("stored");

    let remove = |id: &'static str, version| db.store.delete_audience(id, version, &[]);
    for (version, why) in [(3, "newest"), (2, "revision 1 of campaign \"spring\"")] {
        match remove("vip", version).await {
            Err(StoreError::Conflict(text)) => assert!(text.contains(why), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(remove("vip", 1).await.expect("removed"));
    assert!(!remove("vip", 1).await.expect("asked"));
    assert!(!remove("none", 1).await.expect("asked"));
    assert_eq!(numbers(&db, "vip").await, [3, 2]);
    // Its members are gone with it: their key is free.
    put(&db, &list("other", "a", 1, NOW), short("ann\n")).await;
}

/// A version after this one, of which these buckets are others.
async fn change(db: &Database, from: &AudienceRow, packed: &[(u32, &str)]) -> Option<AudienceRow> {
    let new = ChangedAudience {
        from: from.clone(),
        upload: format!("after {}", from.version),
        members: from.members + 1,
        digest: format!("digest after {}", from.version),
        partitions: b"p".to_vec(),
        uploaded_at: NOW + 1,
        buckets: packed
            .iter()
            .map(|(bucket, text)| (*bucket, text.as_bytes().to_vec()))
            .collect(),
        kind: from.kind.clone(),
    };
    db.store.change_audience(&new, Vec::new()).await.expect("asked")
}

async fn texts(db: &Database, version: u32) -> Vec<String> {
    let buckets = db
        .store
        .audience_buckets("vip", version, 0, 9)
        .await
        .expect("read");
    let text = |bucket| String::from_utf8(bucket).expect("text");
    buckets.into_iter().map(text).collect()
}

async fn a_version_of_changes_shares_what_did_not_change(db: Database) {
    let three = buckets(vec![
        (0, b"a\n".to_vec()),
        (1, b"b\n".to_vec()),
        (2, b"c\n".to_vec()),
    ]);
    let (_, first) = put(&db, &list("vip", "u", 3, NOW), three).await;
    assert_eq!(
        db.store.audience_partitions("vip", 1).await,
        Ok(Some(b"u".to_vec()))
    );
    let second = change(&db, &first, &[(1, "b\nbb\n")]).await.expect("the newest");
    assert_eq!(
        (second.version, second.base, second.members, second.buckets),
        (2, Some(1), 8, 3)
    );
    let third = change(&db, &second, &[(1, ""), (2, "d\n")])
        .await
        .expect("the newest");
    assert_eq!(third.base, Some(1));
    // Somebody came first.
    assert_eq!(change(&db, &second, &[(0, "")]).await, None);
    for (version, expected) in [
        (1, ["a\n", "b\n", "c\n"]),
        (2, ["a\n", "b\nbb\n", "c\n"]),
        (3, ["a\n", "", "d\n"]),
    ] {
        assert_eq!(texts(&db, version).await, expected, "{version}");
        let base = db.store.audience_base("vip", version, 0, 9).await.expect("read");
        assert_eq!(base.concat(), b"a\nb\nc\n", "{version}");
    }
    let one = db.store.audience_buckets("vip", 3, 2, 1).await.expect("read");
    assert_eq!(one, [b"d\n"]);
    let changed = |version| db.store.audience_changed("vip", version);
    assert_eq!(changed(1).await, Ok([].into()));
    assert_eq!(changed(2).await, Ok([(1, 2)].into()));
    assert_eq!(changed(3).await, Ok([(1, 3), (2, 3)].into()));
    // Only the newest version says what its digest is made of.
    assert_eq!(db.store.audience_partitions("vip", 2).await, Ok(None));
    assert_eq!(
        db.store.audience_partitions("vip", 3).await,
        Ok(Some(b"p".to_vec()))
    );
    // What is made of a version is refused after another one.
    let late = NewAudience {
        after: Some(2),
        ..list("vip", "late", 1, NOW + 2)
    };
    assert_eq!(put(&db, &late, short("x\n")).await, (false, third));
}

async fn shared_buckets_are_kept_as_long_as_a_version_has_them(db: Database) {
    let two = buckets(vec![(0, b"a\n".to_vec()), (1, b"b\n".to_vec())]);
    let (_, first) = put(&db, &list("vip", "u", 2, NOW), two).await;
    let second = change(&db, &first, &[(0, "aa\n")]).await.expect("the newest");
    let third = change(&db, &second, &[(0, "aaa\n")]).await.expect("the newest");
    let count = async |table: &str| db.number(&format!("SELECT COUNT(*) FROM {table}")).await;
    let remove = |version| db.store.delete_audience("vip", version, &[]);
    // The version that was uploaded whole goes, and the others keep its buckets.
    assert!(remove(1).await.expect("removed"));
    assert_eq!(texts(&db, 2).await, ["aa\n", "b\n"]);
    assert!(remove(2).await.expect("removed"));
    assert_eq!(texts(&db, 3).await, ["aaa\n", "b\n"]);
    let fourth = change(&db, &third, &[(1, "")]).await.expect("the newest");
    assert_eq!(texts(&db, 4).await, ["aaa\n", ""]);
    assert_eq!(
        (count("audience_buckets").await, count("audience_changes").await),
        (2, 2)
    );
    put(&db, &list("vip", "v", 1, NOW + 3), short("x\n")).await;
    for version in [third.version, fourth.version] {
        assert!(remove(version).await.expect("removed"));
    }
    // Those of the new upload are left.
    assert_eq!(
        (count("audience_buckets").await, count("audience_changes").await),
        (1, 0)
    );
}

async fn a_version_says_what_its_members_are(db: Database) {
    let kind = ListKind::Addresses(PrefixLengths {
        v4: [8, 32].into(),
        v6: [128].into(),
    });
    let texts = list("block", "t", 1, NOW);
    put(&db, &texts, short("10.0.0.0/8\n")).await;
    // The same bytes of another kind are another version.
    let addresses = NewAudience {
        upload: "a".to_owned(),
        kind: kind.clone(),
        ..texts
    };
    let (new, row) = put(&db, &addresses, short("10.0.0.0/8\n")).await;
    assert_eq!((new, row.version, &row.kind), (true, 2, &kind));
    let changed = change(&db, &row, &[(0, "")]).await.expect("the newest");
    let stored = db.store.audience("block", None, 100).await.expect("listed");
    assert_eq!(stored[0], changed);
    let kinds: Vec<&ListKind> = stored.iter().map(|row| &row.kind).collect();
    assert_eq!(kinds, [&kind, &kind, &ListKind::Texts]);
}
