//! Names of modules: given once, kept for good, ordered by version.

use rushgate::revision::PinnedRule;
use rushgate::revision::{Revision, Shadow};
use rushgate::store::{ModuleOrigin, ModuleRow, StoreError, StoreResult};
use testkit::on_both;

use super::module;
use testkit::database::{Database, NOW, campaign, revision};

use ModuleOrigin::{Builtin, Replacement, Upload};

on_both!(
    a_version_stands_for_the_same_bytes_for_good,
    of_two_uploads_at_once_one_has_the_name,
    an_id_stands_for_its_highest_version,
    a_built_in_module_takes_its_name_back,
    what_a_revision_pins_is_not_deleted,
    what_was_deleted_is_not_pinned,
    names_given_before_there_were_names_stay,
);

async fn insert(db: &Database, row: &ModuleRow, origin: ModuleOrigin) -> StoreResult<bool> {
    db.store.insert_module(row, b"bytes", origin, &[]).await
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(result: StoreResult<T>, words: &[&str]) {
    let Err(StoreError::Conflict(why)) = result else {
        panic!("no conflict: {result:?}")
    };
    for word in words {
        assert!(why.contains(word), "{word:?} is not said: {why}");
    }
}

fn pinning(row: &ModuleRow, in_shadow: bool) -> Revision {
    let rule = PinnedRule {
        name: "limit".into(),
        module: row.id.clone(),
        version: row.version.clone(),
        digest: row.digest.clone(),
        params: serde_json::json!({}),
    };
    let mut pinning = revision("spring");
    match in_shadow {
        false => pinning.rules = vec![rule],
        true => {
            pinning.shadow = Some(Shadow {
                rules: vec![rule],
                plan: Default::default(),
            });
        }
    }
    pinning
}

async fn a_version_stands_for_the_same_bytes_for_good(db: Database) {
    let (first, other) = (
        module("tiers", "1.0.0", 'a', NOW),
        module("tiers", "1.0.0", 'b', NOW + 1),
    );
    assert!(insert(&db, &first, Upload).await.expect("stored"));
    conflict(
        insert(&db, &other, Upload).await,
        &["tiers@1.0.0 is there", &first.digest],
    );
    conflict(insert(&db, &other, Replacement).await, &[&first.digest]);
    let found = db.store.module("tiers@1.0.0").await.expect("asked");
    assert_eq!(found, Some(first.clone()));
    assert_eq!(db.store.module(&other.digest).await.expect("asked"), None);
    assert!(!insert(&db, &first, Upload).await.expect("known"));
    // Ids and versions are compared byte by byte.
    for (id, version, digit) in [
        ("Tiers", "1.0.0", 'c'),
        ("tiers", "1.0.0-A", 'd'),
        ("tiers", "1.0.0-a", 'e'),
    ] {
        let row = module(id, version, digit, NOW);
        assert!(
            insert(&db, &row, Upload).await.expect("another name"),
            "{id}@{version}"
        );
    }
}

async fn of_two_uploads_at_once_one_has_the_name(db: Database) {
    let rows: Vec<ModuleRow> = ['a', 'b', 'c', 'd']
        .map(|digit| module("tiers", "1.0.0", digit, NOW))
        .into();
    let uploads = rows.iter().cloned().map(|row| {
        let store = db.store.clone();
        tokio::spawn(async move { store.insert_module(&row, b"bytes", Upload, &[]).await })
    });
    let (mut won, mut lost) = (0, 0);
    for upload in uploads.collect::<Vec<_>>() {
        match upload.await.expect("runs") {
            Ok(true) => won += 1,
            Err(StoreError::Conflict(_)) => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((won, lost), (1, 3));
    let there = db.store.modules().await.expect("listed");
    assert_eq!(there.len(), 1, "nothing is left of the others");
    let named = db
        .store
        .module("tiers@1.0.0")
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(named, there[0]);
    // The same bytes at once are one module.
    let again = rows
        .iter()
        .find(|row| row.digest == named.digest)
        .expect("the winner");
    let twins = (0..4).map(|_| insert(&db, again, Upload));
    for twin in futures_util::future::join_all(twins).await {
        assert!(!twin.expect("known"));
    }
}

async fn an_id_stands_for_its_highest_version(db: Database) {
    let mut stands_for = Vec::new();
    for (digit, version) in [
        "2.0.0-rc.2",
        "1.9.0",
        "1.10.0",
        "2.0.0-rc.10",
        "1.2.0",
        "2.0.0",
        "2.0.0-rc.11",
        "1.5.0",
    ]
    .into_iter()
    .enumerate()
    .map(|(n, version)| (char::from(b'0' + n as u8), version))
    {
        let row = module("tiers", version, digit, NOW + i64::from(digit as u32));
        assert!(insert(&db, &row, Upload).await.expect("stored"));
        let highest = db.store.module("tiers").await.expect("asked").expect("there");
        stands_for.push(highest.version);
    }
    let expected = [
        "2.0.0-rc.2",
        "1.9.0",
        "1.10.0",
        "1.10.0",
        "1.10.0",
        "2.0.0",
        "2.0.0",
        "2.0.0",
    ];
    assert_eq!(stands_for, expected, "a release goes before every pre-release");
    let named = db
        .store
        .module("tiers@2.0.0-rc.10")
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(named.digest, "3".repeat(64));
    let deleted = db.store.delete_module(&"5".repeat(64), NOW, &[]).await;
    assert!(deleted.expect("nothing pins it"));
    let highest = db.store.module("tiers").await.expect("asked").expect("there");
    assert_eq!(highest.version, "1.10.0");
}

async fn a_built_in_module_takes_its_name_back(db: Database) {
    // Uploaded before ids were reserved.
    let taken = module("n-per-user", "1.0.0", 'e', NOW);
    let higher = module("n-per-user", "9.0.0", 'f', NOW);
    let builtin = module("n-per-user", "1.0.0", 'a', NOW);
    let replacement = module("n-per-user", "1.1.0", 'b', NOW);
    let stands_for = async |selector: &str| {
        let found = db.store.module(selector).await.expect("asked");
        found.map(|row| row.digest.chars().next().expect("64 digits"))
    };
    for row in [&taken, &higher] {
        assert!(insert(&db, row, Upload).await.expect("stored"));
    }
    assert_eq!(stands_for("n-per-user").await, Some('f'));
    assert!(insert(&db, &builtin, Builtin).await.expect("stored"));
    assert_eq!(stands_for("n-per-user").await, Some('a'));
    assert_eq!(stands_for("n-per-user@1.0.0").await, Some('a'));
    assert_eq!(stands_for("n-per-user@9.0.0").await, Some('f'), "named in full");
    assert_eq!(stands_for(&taken.digest).await, Some('e'), "by its bytes");
    assert_eq!(
        db.store.builtin_modules().await.expect("listed"),
        [builtin.digest.as_str()]
    );
    // What was allowed to stand for it does, and another build's bytes do not move it.
    assert!(insert(&db, &replacement, Replacement).await.expect("stored"));
    assert_eq!(stands_for("n-per-user").await, Some('b'));
    conflict(
        insert(&db, &module("n-per-user", "1.1.0", 'c', NOW), Builtin).await,
        &[&replacement.digest],
    );
    conflict(insert(&db, &taken, Replacement).await, &[&builtin.digest]);
}

async fn what_a_revision_pins_is_not_deleted(db: Database) {
    let (rule, shadow) = (
        module("tiers", "1.0.0", 'a', NOW),
        module("tiers", "1.1.0", 'b', NOW),
    );
    let loose = module("tiers", "1.2.0", 'c', NOW);
    for row in [&rule, &shadow, &loose] {
        assert!(insert(&db, row, Upload).await.expect("stored"));
    }
    db.store
        .insert_campaign(&campaign("spring", &[("mug", 5)]), &pinning(&rule, false))
        .await
        .expect("stored");
    db.store
        .insert_revision(&pinning(&shadow, true), Vec::new())
        .await
        .expect("stored");
    conflict(
        db.store.delete_module(&rule.digest, NOW, &[]).await,
        &["tiers@1.0.0", "revision 1 of campaign \"spring\""],
    );
    conflict(
        db.store.delete_module(&shadow.digest, NOW, &[]).await,
        &["tiers@1.1.0", "revision 2 of campaign \"spring\""],
    );
    assert!(
        db.store
            .delete_module(&loose.digest, NOW, &[])
            .await
            .expect("deleted")
    );
    assert!(
        !db.store
            .delete_module(&loose.digest, NOW, &[])
            .await
            .expect("gone")
    );
    for selector in ["tiers@1.2.0", &loose.digest] {
        assert_eq!(
            db.store.module(selector).await.expect("asked"),
            None,
            "{selector}"
        );
    }
    assert_eq!(db.store.module_bytes(&loose.digest).await.expect("asked"), None);
    // The name stays taken; the same bytes may come back.
    let other = module("tiers", "1.2.0", 'd', NOW);
    conflict(
        insert(&db, &other, Upload).await,
        &["tiers@1.2.0 was there", &loose.digest, "was deleted"],
    );
    assert!(insert(&db, &loose, Upload).await.expect("stored"));
    assert_eq!(db.store.module("tiers").await.expect("asked"), Some(loose));
}

async fn what_was_deleted_is_not_pinned(db: Database) {
    let row = module("tiers", "1.0.0", 'a', NOW);
    assert!(insert(&db, &row, Upload).await.expect("stored"));
    let spring = campaign("spring", &[("mug", 5)]);
    db.store
        .insert_campaign(&spring, &revision("spring"))
        .await
        .expect("stored");
    assert!(
        db.store
            .delete_module(&row.digest, NOW, &[])
            .await
            .expect("deleted")
    );
    for in_shadow in [false, true] {
        let pinned = db
            .store
            .insert_revision(&pinning(&row, in_shadow), Vec::new())
            .await;
        conflict(pinned, &["tiers@1.0.0 was deleted meanwhile"]);
    }
    let numbers = db.store.revision_numbers("spring", None, 9).await.expect("asked");
    assert_eq!(numbers, [1]);
}

/// As a database stands that an earlier release wrote.
async fn names_given_before_there_were_names_stay(db: Database) {
    for (digit, at) in [('a', NOW), ('b', NOW + 1)] {
        db.execute(&format!(
            "INSERT INTO modules (digest, module_id, version, descriptor, size, uploaded_at) VALUES \
             ('{}', 'tiers', '1.0.0', '{{}}', 0, '2026-01-01 00:00:0{}.000')",
            digit.to_string().repeat(64),
            at - NOW
        ))
        .await;
    }
    db.execute("DROP TABLE module_versions").await;
    db.execute("DELETE FROM _sqlx_migrations WHERE version = 13")
        .await;
    assert_eq!(db.store.migrate().await.expect("migrates"), 1);
    let named = db
        .store
        .module("tiers@1.0.0")
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(named.digest, "b".repeat(64), "the last upload, as before");
    let name = db
        .store
        .module_name("tiers", "1.0.0")
        .await
        .expect("asked")
        .expect("given");
    assert_eq!((name.origin, name.deleted), (Upload, false));
}
