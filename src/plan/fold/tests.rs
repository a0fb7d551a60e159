//! What each step makes of a text, and that folding once is enough.

use proptest::prelude::*;

use super::*;

fn fold(steps: &str) -> Fold {
    steps.parse().expect("steps")
}

fn claim(name: &str) -> Attribute {
    Attribute::Claim(name.to_owned())
}

#[track_caller]
fn folds_to(steps: &str, cases: &[(&str, &str)]) {
    for (text, folded) in cases {
        assert_eq!(fold(steps).text(text), *folded, "{steps} of {text:?}");
    }
}

#[test]
fn each_step_does_what_the_table_of_the_documentation_says() {
    folds_to(
        "trim",
        &[
            (" A@x ", "A@x"),
            ("\u{a0}ada\u{3000}", "ada"),
            ("\u{feff}ada\u{200b}\u{ad}\u{200d}\u{3164}", "ada"),
            ("ada  b", "ada  b"),
            ("   ", "   "),
        ],
    );
    folds_to(
        "lowercase",
        &[
            ("ADA", "ada"),
            ("STRASSE", "strasse"),
            ("ΑΣ", "ας"),
            ("Straße", "straße"),
        ],
    );
    folds_to("nfc", &[("Fre\u{301}d", "Fr\u{e9}d"), ("Fr\u{e9}d", "Fr\u{e9}d")]);
    folds_to(
        "email",
        &[
            ("Ada@X.Org", "Ada@x.org"),
            ("ada+tag@x.org", "ada@x.org"),
            ("ada+a+b@x.org", "ada@x.org"),
            ("+tag@x.org", "+tag@x.org"),
            ("\"a+b\"@X.org", "\"a+b\"@x.org"),
            ("a@b@X.org", "a@b@x.org"),
            ("a.d.a@x.org", "a.d.a@x.org"),
            ("ada+tag", "ada+tag"),
            ("@X.org", "@X.org"),
            ("ada@", "ada@"),
        ],
    );
    folds_to(
        "digits",
        &[
            ("+49 (170) 12-34", "491701234"),
            ("0170 1234", "01701234"),
            ("0049170", "0049170"),
            ("unknown", "unknown"),
            ("\u{663} 170", "\u{663} 170"),
            ("\u{ff11}70", "\u{ff11}70"),
        ],
    );
    folds_to(
        "nfc+digits+trim+email+lowercase",
        &[(" A1@x ", "1"), (" Ada@x ", "ada@x")],
    );
}

#[test]
fn of_an_array_each_element_is_folded_and_counts_once() {
    let mark = array::MARK;
    let gold = format!("{mark}Gold{mark} gold{mark}IT");
    assert_eq!(fold("trim+lowercase").value(&gold), format!("{mark}gold{mark}it"));
    assert_eq!(fold("lowercase").value(&format!("{mark}A{mark}a")), "a");
    assert_eq!(fold("lowercase").value(&mark.to_string()), mark.to_string());
}

#[test]
fn a_text_is_not_folded_into_a_longer_one_than_a_value_may_be() {
    // U+0130 has three bytes in lower case, and two as it is.
    let long = "\u{130}".repeat(VALUE_BYTES_MAX / 2);
    assert_eq!(fold("lowercase").text(&long), long);
}

#[test]
fn a_counter_of_folded_texts_is_another_one() {
    let folded = |name: &str, steps: &str| claim(name).folded(fold(steps));
    let id = |id: &str, key: &[Attribute]| counter_id(id.to_owned(), key);
    assert_eq!(id("units", &[claim("a")]), "units");
    assert_eq!(
        id("units", &[folded("a", "email+trim")]),
        "units-folded-trim-email"
    );
    let of = |one: Attribute, other: Attribute| id("units", &[one, other]);
    let one = of(folded("a", "trim"), claim("b"));
    let other = of(claim("a"), folded("b", "trim"));
    assert!(one != other && one.starts_with("units-folded-"), "{one} {other}");
    let long = "u".repeat(NAME_BYTES_MAX);
    let longest = id(&long, &[folded("a", "trim")]);
    assert_eq!(longest.len(), NAME_BYTES_MAX);
    assert_ne!(longest, id(&long, &[folded("a", "nfc")]));
}

#[test]
fn a_list_is_told_from_the_same_one_folded() {
    let key = folded_list("vip", &fold("email+trim"));
    assert_eq!(key, "vip~trim+email");
    assert_eq!(list_of(&key), ("vip", Some(fold("trim+email"))));
    assert_eq!(list_of("vip"), ("vip", None));
    assert_eq!(list_of("vip~later"), ("vip", None));
}

/// What is offered instead of what can never be met.
fn instead(nodes: Vec<Expr>) -> Option<String> {
    let folds: Folds = [("tier", "lowercase"), ("phone", "digits"), ("mail", "email")]
        .map(|(name, steps)| (format!("claim:{name}"), fold(steps)))
        .into_iter()
        .collect();
    let plan = folds.apply(Plan {
        nodes,
        ..Plan::default()
    });
    never_met(&plan).map(|found| found.instead)
}

fn gold() -> Vec<String> {
    vec!["Gold".to_owned()]
}

#[test]
fn what_can_never_be_met_is_found_where_it_is_compared() {
    let of = |name: &str| Expr::Attribute(claim(name));
    let lookup = Expr::Lookup {
        of: 0,
        entries: vec![("gold".to_owned(), 1), ("Gold".to_owned(), 2)],
        default: 0,
    };
    let gold_instead = Some("gold".to_owned());
    assert_eq!(instead(vec![of("tier"), Expr::OneOf(0, gold())]), gold_instead);
    assert_eq!(instead(vec![of("other"), Expr::OneOf(0, gold())]), None);
    assert_eq!(instead(vec![of("tier"), lookup]), gold_instead);
    let equal = |text: &str| vec![of("tier"), Expr::Text(text.into()), Expr::Eq(1, 0)];
    assert_eq!(instead(equal("GOLD")), gold_instead);
    assert_eq!(instead(equal("")), None);
    assert_eq!(
        instead(vec![of("tier"), Expr::StartsWith(0, gold())]),
        gold_instead
    );
    let starts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let phone = |texts| instead(vec![of("phone"), Expr::StartsWith(0, starts(texts))]);
    assert_eq!(phone(&["49", "+49"]), Some("49".to_owned()));
    // What has no digit stays as it is.
    assert_eq!(phone(&["unknown"]), None);
    let ends = Expr::EndsWith(0, starts(&["@x.org", "@X.org"]));
    assert_eq!(instead(vec![of("mail"), ends]), Some("@x.org".to_owned()));
}

#[test]
fn a_choice_between_values_meets_what_one_of_them_meets() {
    let of = |name: &str| Expr::Attribute(claim(name));
    let either = |one: Expr, other: Expr| {
        instead(vec![
            one,
            other,
            Expr::Eq(0, 0),
            Expr::Select(2, 0, 1),
            Expr::OneOf(3, gold()),
        ])
    };
    assert_eq!(either(of("tier"), of("tier")), Some("gold".to_owned()));
    assert_eq!(either(of("tier"), of("other")), None);
    assert_eq!(either(of("tier"), Expr::Text("Gold".into())), None);
}

fn any_fold() -> impl Strategy<Value = Fold> {
    let steps = prop::sample::subsequence(Step::ALL.to_vec(), 1..=Step::ALL.len());
    steps.prop_map(|steps| Fold::try_from(BTreeSet::from_iter(steps)).expect("at least one"))
}

proptest! {
    #[test]
    fn folding_once_is_enough_and_leaves_something(fold in any_fold(), text in "\\PC{1,24}|[ +@.a-zA-Z0-9\u{301}\u{130}\u{3a3}\u{345}\u{200b}]{1,16}") {
        let once = fold.text(&text).into_owned();
        prop_assert_eq!(fold.text(&once), once.as_str());
        prop_assert!(!once.is_empty());
        prop_assert!(once.len() <= VALUE_BYTES_MAX.max(text.len()));
    }

    #[test]
    fn composed_and_decomposed_are_one_text(text in "\\PC{0,12}") {
        let decomposed = icu_normalizer::DecomposingNormalizer::new_nfd().normalize(&text).into_owned();
        let fold = fold("trim+lowercase+email+nfc");
        prop_assert_eq!(fold.text(&decomposed), fold.text(&text));
    }
}
