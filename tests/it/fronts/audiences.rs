//! Lists through the control plane: what reaches the rules, and what is answered.

use futures_util::StreamExt;
use futures_util::stream;
use rushgate::audience::{Delimiter, ListKind, TableOptions, TableRead};
use rushgate::audit::AskedBy;
use rushgate::control::{
    Asked, AudienceUpload, Changed, ControlError, Format, MemberChange, MembersStream, Reading, Repinned,
    Uploaded,
};
use rushgate::store::AudienceRow;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fronts::control::{Running, start};
use crate::fronts::stage::PLACED_AT;
use crate::fronts::wire::{Reply, call, connect};

pub fn row(id: &str, version: u32, digest: &str) -> AudienceRow {
    AudienceRow {
        id: id.into(),
        version,
        members: 2,
        buckets: 1,
        digest: digest.into(),
        uploaded_at: PLACED_AT,
        base: None,
        kind: ListKind::Texts,
    }
}

/// Says in the digest what it was given.
pub async fn upload(by: AskedBy<'_>, upload: AudienceUpload) -> Result<Uploaded, ControlError> {
    let AudienceUpload {
        id,
        gzip,
        reading,
        activate,
        mut body,
    } = upload;
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece.map_err(ControlError::Malformed)?);
    }
    let text = String::from_utf8_lossy(&text);
    let behind = match id.as_str() {
        "behind" => vec![("spring".to_owned(), 3, 1)],
        _ => Vec::new(),
    };
    match id.as_str() {
        "huge" => Err(ControlError::TooLarge("the list is larger than 256 MiB".into())),
        _ => Ok(Uploaded {
            new: id != "same",
            row: row(&id, 2, &format!("{} {gzip} {text}", by.actor)),
            behind,
            pinned: id != "unasked",
            activated: activate.into_iter().map(repinned).collect(),
            table: table(reading),
        }),
    }
}

fn repinned(campaign: String) -> Repinned {
    Repinned {
        campaign,
        revision: 4,
        epoch: 5,
    }
}

/// Nothing for lines; for a table, what it was told.
fn table(reading: Reading) -> Option<TableRead> {
    let Format::Table(TableOptions {
        column, delimiter, ..
    }) = reading.format
    else {
        return None;
    };
    Some(TableRead {
        column: 2,
        name: column,
        delimiter: delimiter.unwrap_or(Delimiter::Comma),
        rows: 3,
        blank: u64::from(reading.strict),
        trimmed: 1,
    })
}

/// Ann is on version 2.
pub async fn is_member(id: &str, version: Option<u32>, member: &str) -> Result<Asked, ControlError> {
    match (id, version.unwrap_or(2)) {
        ("vip", version @ 1..=2) => Ok(Asked {
            version,
            listed: version == 2 && member == "ann/x",
            by: (version == 2 && member == "ann/x").then(|| member.to_owned()),
            folded: Vec::new(),
        }),
        _ => Err(ControlError::Unknown("no such list".into())),
    }
}

/// Says in the digest what it was given.
pub fn change_member(by: AskedBy<'_>, change: MemberChange) -> Result<Changed, ControlError> {
    let MemberChange {
        id,
        member,
        listed,
        strict,
        activate,
    } = change;
    if id != "vip" {
        return Err(ControlError::Unknown("no such list".into()));
    }
    Ok(Changed {
        new: member != "same",
        row: row(&id, 3, &format!("{} {member} {listed} {strict}", by.actor)),
        behind: vec![("spring".to_owned(), 3, 1)],
        pinned: true,
        activated: activate.into_iter().map(repinned).collect(),
        asked: Asked {
            version: 3,
            listed,
            by: listed.then_some(member),
            folded: Vec::new(),
        },
    })
}

pub async fn members(id: &str, version: u32) -> Result<MembersStream, ControlError> {
    is_member(id, Some(version), "").await?;
    let packed = [b"ann\n=1+1\n".to_vec(), b"b;c,d\n".to_vec()];
    Ok(stream::iter(packed.map(Ok)).boxed())
}

async fn put(running: &Running, id: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let path = format!("/admin/v1/audiences/{id}");
    call(running.address, "PUT", &path, headers, body).await
}

const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

#[tokio::test]
async fn a_list_is_put_plain_or_compressed() {
    let running = start(None);
    let new = put(&running, "vip", &[TEXT], b"ann\nbob").await;
    assert_eq!(
        (new.status, new.header("location")),
        (201, Some("/admin/v1/audiences/vip"))
    );
    let expected = json!({
        "id": "vip", "version": 2, "members": 2, "buckets": 1, "digest": "local false ann\nbob",
        "uploaded_at": "2026-11-21T10:00:00.000Z", "note": "Revisions made from now on pin version 2.", "behind": [],
        "activated": [], "kind": "texts",
    });
    assert_eq!(new.json(), expected);
    let zipped = put(&running, "vip", &[TEXT, ("content-encoding", "GZIP")], b"zz").await;
    assert_eq!(zipped.json()["digest"], "local true zz");
    let same = put(&running, "same", &[TEXT], b"ann").await;
    assert_eq!(same.status, 200);
    assert!(
        same.json()["note"]
            .as_str()
            .expect("text")
            .contains("nothing was stored")
    );
    let behind = put(&running, "behind", &[TEXT], b"ann").await.json();
    assert_eq!(
        behind["behind"],
        json!([{"campaign": "spring", "revision": 3, "version": 1}])
    );
    assert!(
        behind["note"]
            .as_str()
            .expect("text")
            .contains("\"behind\" go on with the version that is named there: ?activate=<campaign>"),
        "{behind}"
    );
    let unasked = put(&running, "unasked", &[TEXT], b"ann").await.json();
    assert!(
        unasked["note"]
            .as_str()
            .expect("text")
            .contains("No active revision asks for this list"),
        "{unasked}"
    );
    let activated = put(&running, "vip?activate=spring,summer", &[TEXT], b"ann").await;
    assert_eq!(
        activated.json()["activated"],
        json!([
            {"campaign": "spring", "revision": 4, "epoch": 5},
            {"campaign": "summer", "revision": 4, "epoch": 5},
        ])
    );
}

#[tokio::test]
async fn what_cannot_be_a_list_is_refused() {
    let running = start(None);
    put(&running, "vip", &[], b"ann")
        .await
        .problem(415, "unsupported-media-type");
    let json = [("content-type", "application/json")];
    put(&running, "vip", &json, b"[]")
        .await
        .problem(415, "unsupported-media-type");
    let brotli = put(&running, "vip", &[TEXT, ("content-encoding", "br")], b"ann").await;
    let problem = brotli.problem(415, "unsupported-media-type");
    assert!(
        problem["detail"].as_str().expect("text").contains("gzip"),
        "{problem}"
    );
    put(&running, "huge", &[TEXT], b"ann")
        .await
        .problem(413, "too-large");
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error_and_no_shorter_list() {
    let running = start(None);
    let mut stream = connect(running.address).await;
    let head = "PUT /admin/v1/audiences/vip HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
                transfer-encoding: chunked\r\n\r\n4\r\nann\n\r\nno length\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("cut off or badly framed"),
        "{answer}"
    );
}

#[tokio::test]
async fn lists_are_listed_shown_and_removed_by_version() {
    let running = start(None);
    let all = running.get("/admin/v1/audiences").await.json();
    let shown = |index: usize| {
        (
            &all["audiences"][index]["id"],
            &all["audiences"][index]["version"],
        )
    };
    assert_eq!(
        (shown(0), shown(1)),
        ((&json!("vip"), &json!(2)), (&json!("staff"), &json!(1)))
    );
    assert_eq!(all["audiences"].as_array().map(Vec::len), Some(2), "{all}");
    let one = running.get("/admin/v1/audiences/vip").await.json();
    assert_eq!(
        (&one["id"], &one["versions"][1]["version"]),
        (&json!("vip"), &json!(1))
    );
    assert_eq!(one.get("next"), None, "{one}");
    let page = async |query: &str| running.get(&format!("/admin/v1/audiences/vip?{query}")).await;
    let first = page("limit=1").await.json();
    assert_eq!(
        (&first["versions"][0]["version"], &first["next"]),
        (&json!(2), &json!(2))
    );
    let second = page("limit=1&before=2").await.json();
    assert_eq!(second["versions"][0]["version"], 1, "{second}");
    assert_eq!(second.get("next"), None, "full, and the last one: {second}");
    assert_eq!(page("limit=100").await.status, 200);
    let end = page("before=1").await.json();
    assert_eq!(end, json!({"id": "vip", "versions": []}));
    for wrong in ["limit=0", "limit=101", "before=x", "after=1"] {
        page(wrong).await.problem(400, "malformed");
    }
    running
        .get("/admin/v1/audiences/none")
        .await
        .problem(404, "unknown");
    let delete = async |version: &str| {
        let path = format!("/admin/v1/audiences/vip/{version}");
        call(running.address, "DELETE", &path, &[], b"").await
    };
    assert_eq!(delete("1").await.status, 204);
    delete("2").await.problem(409, "conflict");
    delete("x").await.problem(400, "malformed");
}

#[tokio::test]
async fn a_table_is_read_as_the_path_says() {
    let running = start(None);
    let csv = ("content-type", "text/csv; charset=UTF-8");
    let answer = put(
        &running,
        "vip?column=user%20id&delimiter=;&strict=false",
        &[csv],
        b"x",
    )
    .await;
    let table = json!({
        "column": 2, "name": "user id", "delimiter": "semicolon", "rows": 3, "blank": 0, "trimmed": 1,
    });
    assert_eq!((answer.status, &answer.json()["table"]), (201, &table));
    let refused = async |path: &str, header, status, code, what: &str| {
        let problem = put(&running, path, &[header], b"ann").await.problem(status, code);
        assert!(
            problem["detail"].as_str().is_some_and(|text| text.contains(what)),
            "{problem}"
        );
    };
    refused(
        "vip?delimiter=x",
        csv,
        400,
        "malformed",
        "comma, semicolon or tab",
    )
    .await;
    refused("vip?colum=x", csv, 400, "malformed", "colum").await;
    refused("vip?strict=1", csv, 400, "malformed", "strict").await;
    for nobody in ["vip?activate=", "vip?activate", "vip?activate=,"] {
        refused(nobody, TEXT, 400, "malformed", "activate names no campaign").await;
        for method in ["PUT", "DELETE"] {
            let path = nobody.replace("vip", "/admin/v1/audiences/vip/members/ann");
            let reply = call(running.address, method, &path, &[], b"").await;
            reply.problem(400, "malformed");
        }
    }
    refused("vip?kind=numbers", TEXT, 400, "malformed", "texts or addresses").await;
    refused("vip?column=1", TEXT, 400, "malformed", "text/csv").await;
    let utf16 = ("content-type", "text/csv; charset=utf-16");
    refused("vip", utf16, 415, "unsupported-media-type", "UTF-8").await;
}

#[tokio::test]
async fn members_are_asked_for_and_downloaded() {
    let running = start(None);
    let asked = running.get("/admin/v1/audiences/vip/members/ann%2Fx").await;
    assert_eq!(
        asked.json(),
        json!({"id": "vip", "version": 2, "member": "ann/x", "listed": true, "by": "ann/x"})
    );
    let before = running
        .get("/admin/v1/audiences/vip/members/ann%2Fx?version=1")
        .await
        .json();
    assert_eq!(
        (&before["version"], &before["listed"]),
        (&json!(1), &json!(false))
    );
    let get = async |path: &str| running.get(&format!("/admin/v1/audiences/{path}")).await;
    get("vip/members/a?version=x").await.problem(400, "malformed");
    get("vip/members/a?v=1").await.problem(400, "malformed");
    get("vip/members/%ff").await.problem(400, "malformed");
    get("none/members/a").await.problem(404, "unknown");

    let plain = get("vip/2/members").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(
        plain.body.contains("ann\n=1+1\n") && plain.body.contains("b;c,d\n"),
        "{plain:?}"
    );
    let path = "/admin/v1/audiences/vip/2/members";
    let csv = call(running.address, "GET", path, &[("accept", "text/csv")], b"").await;
    for part in ["\u{feff}member\r\n", "ann\r\n'=1+1\r\n", "\"b;c,d\"\r\n"] {
        assert!(csv.body.contains(part), "{csv:?}");
    }
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    get("vip/x/members").await.problem(400, "malformed");
    get("vip/3/members").await.problem(404, "unknown");
}

#[tokio::test]
async fn members_are_put_and_taken_off_one_by_one() {
    let running = start(None);
    let change = async |method: &str, path: &str| {
        let path = format!("/admin/v1/audiences/{path}");
        call(running.address, method, &path, &[], b"").await
    };
    let new = change("PUT", "vip/members/ann%2Fx?activate=spring,summer&strict=false").await;
    let expected = json!({
        "id": "vip", "version": 3, "members": 2, "buckets": 1, "digest": "local ann/x true false",
        "uploaded_at": "2026-11-21T10:00:00.000Z", "kind": "texts", "member": "ann/x", "listed": true, "by": "ann/x",
        "note": "Revisions made from now on pin version 3. Campaigns under \"behind\" go on with the version that is named \
                 there: ?activate=<campaign> changes that.",
        "behind": [{"campaign": "spring", "revision": 3, "version": 1}],
        "activated": [
            {"campaign": "spring", "revision": 4, "epoch": 5},
            {"campaign": "summer", "revision": 4, "epoch": 5},
        ],
    });
    assert_eq!((new.status, new.json()), (201, expected));
    let same = change("PUT", "vip/members/same").await;
    assert_eq!((same.status, same.json()["activated"].clone()), (200, json!([])));
    let gone = change("DELETE", "vip/members/ann").await;
    assert_eq!(
        (gone.status, gone.json()["digest"].clone()),
        (200, json!("local ann false false"))
    );
    change("PUT", "none/members/a").await.problem(404, "unknown");
    change("PUT", "vip/members/%ff").await.problem(400, "malformed");
    change("DELETE", "vip/members/a?strict=false")
        .await
        .problem(400, "malformed");
}
