//! Who is behind a key: its holder, and whoever made it, and the key that it was made with, and so on. Whoever makes keys can give them
//! any name, and hold them all: so people whose keys go back to one person count as that one where two have to agree.

/// The people behind a key: its holder first, then whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage(Vec<String>);

impl Lineage {
    /// `None` where nobody is named.
    pub fn of(people: Vec<String>) -> Option<Self> {
        (!people.is_empty()).then_some(Self(people))
    }

    /// Somebody who stands behind both, as the other names them; `None` where these are two people.
    pub fn shares<'a>(&self, other: &'a Self) -> Option<&'a str> {
        let is_here = |name: &&String| self.0.iter().any(|own| is_same_person(own, name));
        other.0.iter().find(is_here).map(String::as_str)
    }
}

/// Whether two names are one person's: spaces and the case of letters make nobody another one.
pub fn is_same_person(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    // Both ways: letters such as ß and ς have no one case.
    words.join(" ").to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_case_make_nobody_another_one() {
        for same in ["ada", "Ada", " ADA ", "ada\u{a0}"] {
            assert!(is_same_person("ada", same), "{same:?}");
        }
        assert!(is_same_person("Ada  Groß", "ada GROSS"));
        assert!(!is_same_person("ada", "ada b"));
    }

    #[test]
    fn whoever_is_behind_both_is_found() {
        let of = |people: &[&str]| {
            let people = people.iter().map(|name| (*name).to_owned());
            Lineage::of(people.collect()).expect("somebody")
        };
        let ada = of(&["ada"]);
        assert_eq!(ada.shares(&of(&["bob"])), None);
        assert_eq!(ada.shares(&of(&["Ada "])), Some("Ada "));
        // She made it, or a key that it was made with.
        assert_eq!(ada.shares(&of(&["bob", "carol", "ADA"])), Some("ADA"));
        assert_eq!(of(&["eve", "ada"]).shares(&ada), Some("ada"));
        // Somebody else made both.
        assert_eq!(
            of(&["ada", "carol"]).shares(&of(&["bob", "carol"])),
            Some("carol")
        );
        assert_eq!(of(&["ada", "carol"]).shares(&of(&["bob"])), None);
        assert_eq!(Lineage::of(Vec::new()), None);
    }
}
