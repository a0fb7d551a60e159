//! Revisions that are put in force: at once, at a time, back again, and at the beginning.

use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::house::{House, limited, sale};

fn soon() -> Timestamp {
    Timestamp::now() + SignedDuration::from_millis(1500)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_does_not_begin_before_somebody_else_has_looked_at_it() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.sale(&ada, "spring").await;
    let figures = house.figures("spring").await;
    assert_eq!(
        (&figures["four_eyes"], &figures["state"]),
        (&json!(true), &json!("paused"))
    );
    assert_eq!(house.order("spring", "ann").await, 503);
    let resume = "/campaigns/spring/resume";
    house
        .post(&ada, resume, &json!({}))
        .await
        .refused(409, "approval-needed");
    // A pause that ends by itself would begin it, now or later.
    let until = json!({"resume_at": soon()});
    let pause = "/campaigns/spring/pause";
    house
        .post(&ada, pause, &until)
        .await
        .refused(409, "approval-needed");
    let later = json!({"pause_at": Timestamp::now() + SignedDuration::from_millis(300), "resume_at": soon()});
    house.post(&ada, pause, &later).await.expect(200);
    house.until_line("campaign.scheduled").await;
    assert_eq!(house.figures("spring").await["paused"]["resume_at"], Value::Null);
    // Turned off and on again, it would not wait any more.
    let off = house
        .patch(&ada, "/campaigns/spring", &json!({"four_eyes": false}))
        .await;
    assert_eq!(off.status, 202, "{}", off.text());
    house
        .patch(&ada, "/campaigns/spring", &json!({"four_eyes": true}))
        .await
        .expect(200);
    assert_eq!(house.order("spring", "ann").await, 503);
    house
        .post(&ada, resume, &json!({}))
        .await
        .refused(409, "approval-needed");
    house.approve(&bob, "spring", 1).await.expect(200);
    house.post(&ada, resume, &json!({})).await.expect(200);
    assert_eq!(house.order("spring", "ann").await, 202);

    // A clone waits as well, whatever it was made of.
    let clone =
        json!({"id": "autumn", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    house
        .post(&ada, "/campaigns/spring/clone", &clone)
        .await
        .expect(201);
    assert_eq!(house.figures("autumn").await["four_eyes"], true);
    assert_eq!(house.order("autumn", "ann").await, 503);
    house
        .post(&ada, "/campaigns/autumn/resume", &json!({}))
        .await
        .refused(409, "approval-needed");
    // The approval of one is none of the other.
    let digest = house.digest("spring", 1).await;
    house
        .approve_as(&bob, "autumn", 1, &digest)
        .await
        .refused(409, "approval-stale");

    // One that is removed would be made again without.
    house
        .delete(&ada, "/campaigns/autumn")
        .await
        .refused(409, "approval-needed");
    house
        .post(&ada, "/campaigns", &sale("autumn"))
        .await
        .refused(409, "conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_in_force_is_approved_as_it_is() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let second = house.revision(&ada, "spring", 2).await;
    let third = house.revision(&ada, "spring", 3).await;
    for who in [&ada, &bob] {
        house
            .activate(who, "spring", second)
            .await
            .refused(409, "approval-needed");
    }
    // What was not looked at.
    for other in [
        house.digest("spring", 1).await,
        house.digest("spring", third).await,
        String::new(),
    ] {
        house
            .approve_as(&bob, "spring", second, &other)
            .await
            .refused(409, "approval-stale");
    }
    let approved = house.approve(&bob, "spring", second).await.expect(200).json();
    assert_eq!(
        (
            &approved["approved"],
            &approved["may_activate"],
            &approved["made_by"]["person"]
        ),
        (&json!(true), &json!(true), &json!("ada"))
    );
    house.approve(&bob, "spring", second).await.expect(200);
    // The approval of the second is none of the third.
    house
        .activate(&ada, "spring", third)
        .await
        .refused(409, "approval-needed");
    house.withdraw(&ada, "spring", second).await.expect(200);
    house
        .activate(&ada, "spring", second)
        .await
        .refused(409, "approval-needed");
    house.approve(&bob, "spring", second).await.expect(200);
    house.activate(&ada, "spring", second).await.expect(200);
    house
        .withdraw(&bob, "spring", second)
        .await
        .refused(409, "conflict");
    // Back to one that was approved, and to none that was not.
    house.activate(&ada, "spring", 1).await.expect(200);
    house
        .activate(&ada, "spring", third)
        .await
        .refused(409, "approval-needed");
    house.withdraw(&bob, "spring", second).await.expect(200);
    house
        .activate(&ada, "spring", second)
        .await
        .refused(409, "approval-needed");
    assert_eq!(house.in_force("spring").await, 1);
    let lines = house.lines("revision.approve").await;
    assert_eq!(
        lines.len(),
        3,
        "a line each time that something changed: {lines:?}"
    );
    assert_eq!(
        (&lines[0]["person"], &lines[0]["note"]),
        (&json!("bob"), &json!("looked at"))
    );
    assert_eq!(house.lines("revision.withdraw").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_asked_when_it_fires() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    let later = |limit| json!({"rules": limited(limit), "activate_at": soon()});
    let scheduled = async |id: &str| {
        house.begun(&ada, &bob, id).await;
        house.revision_with(&ada, id, later(2)).await
    };
    let refused = async |id: &str, why: &str| {
        let outcome = house.outcome(id).await.unwrap_or_default();
        assert!(outcome.contains(why), "{id}: {outcome}");
        assert_eq!(house.in_force(id).await, 1, "{id}");
    };
    // Made before there is an approval, which never comes.
    scheduled("never").await;
    // Approved in time.
    let made = scheduled("in-time").await;
    house.approve(&bob, "in-time", made).await.expect(200);
    // Approved, and withdrawn.
    let made = scheduled("withdrawn").await;
    house.approve(&bob, "withdrawn", made).await.expect(200);
    house.withdraw(&ada, "withdrawn", made).await.expect(200);
    // Approved, and another by then.
    let made = scheduled("altered").await;
    house.approve(&bob, "altered", made).await.expect(200);
    house
        .sql(&format!(
            "UPDATE revisions SET closes_at = '2027-01-01 00:00:00.000' WHERE campaign_id = 'altered' AND revision = {made}"
        ))
        .await;
    // Four eyes came later than the schedule.
    house
        .post(&ada, "/campaigns", &sale("turned-on"))
        .await
        .expect(201);
    house.revision_with(&ada, "turned-on", later(2)).await;
    house
        .patch(&ada, "/campaigns/turned-on", &json!({"four_eyes": true}))
        .await
        .expect(200);

    house.until_in_force("in-time", 2).await;
    refused("never", "approval of another person").await;
    refused("withdrawn", "approval of another person").await;
    refused("altered", "times differ").await;
    refused("turned-on", "approval of another person").await;
}

/// Withdrawn while it is put in force: either it is in force, and its approval stands, or it is neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_is_withdrawn_meanwhile_counts_or_does_not() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let mut outcomes = Vec::new();
    for limit in 2..14 {
        let before = house.in_force("spring").await;
        let made = house.revision(&ada, "spring", limit).await;
        house.approve(&bob, "spring", made).await.expect(200);
        let (activated, withdrawn) = match limit % 2 {
            0 => {
                join(
                    house.activate(&ada, "spring", made),
                    house.withdraw(&bob, "spring", made),
                )
                .await
            }
            _ => {
                let both = join(
                    house.withdraw(&bob, "spring", made),
                    house.activate(&ada, "spring", made),
                );
                let (withdrawn, activated) = both.await;
                (activated, withdrawn)
            }
        };
        let shown = house
            .get(&ada, &format!("/campaigns/spring/revisions/{made}"))
            .await;
        let in_force = house.in_force("spring").await;
        outcomes.push(activated.status);
        match activated.status {
            200 => {
                withdrawn.refused(409, "conflict");
                assert_eq!(
                    (in_force, &shown["approved"]),
                    (made, &Value::Bool(true)),
                    "{shown}"
                );
            }
            _ => {
                activated.refused(409, "approval-needed");
                withdrawn.expect(200);
                assert_eq!(
                    (in_force, &shown["approved"]),
                    (before, &Value::Bool(false)),
                    "{shown}"
                );
            }
        }
    }
    println!("{outcomes:?}");
}
