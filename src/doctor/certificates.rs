//! What certificates say, found out by asking the verifier that clients use: for how long they are good, for which names, and
//! whether those behind the first lead from it to its authority.

use std::path::Path;
use std::time::Duration;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

use super::report::Finding;
use crate::pem;

/// Below, somebody should see to a new one; those that are renewed by themselves are renewed earlier.
const WARN_DAYS: i64 = 14;
const DAY: i64 = 24 * 3600;
/// A name that no certificate has.
const NOBODY: &str = "doctor.invalid";
/// Names that are shown.
const NAMES_SHOWN_MAX: usize = 6;

/// What a file of certificates is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Somebody's own: one that has run out makes it useless.
    Own,
    /// Authorities that are believed: one that is good is enough.
    Authorities,
}

/// When a certificate is good, in seconds since 1970-01-01 UTC, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    from: i64,
    until: i64,
}

impl Use {
    /// When a file can be used, by what its certificates say.
    fn counts(self, terms: impl Iterator<Item = Term>, now: i64) -> Option<Term> {
        match self {
            // All of them are shown together.
            Self::Own => terms.reduce(|one, other| Term {
                from: one.from.max(other.from),
                until: one.until.min(other.until),
            }),
            // An authority may have its next certificate beside the one that is good today.
            Self::Authorities => terms.max_by_key(|term| {
                let is_good = (term.from..=term.until).contains(&now);
                (is_good, term.until)
            }),
        }
    }
}

/// What the verifier has against a certificate at a time, before it looks at who signed it.
fn against(certificate: &CertificateDer<'_>, roots: &RootCertStore, at: u64) -> Option<CertificateError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    verified(&parsed, roots, &[], at).err()
}

fn verified(
    certificate: &ParsedCertificate<'_>,
    roots: &RootCertStore,
    between: &[CertificateDer<'_>],
    at: u64,
) -> Result<(), CertificateError> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(certificate, roots, between, at, algorithms) {
        Ok(()) => Ok(()),
        Err(Error::InvalidCertificate(why)) => Err(why),
        Err(_) => Err(CertificateError::BadEncoding),
    }
}

/// `None` where the verifier cannot read it.
fn term(certificate: &CertificateDer<'_>) -> Option<Term> {
    let nobody = RootCertStore::empty();
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let until = match against(certificate, &nobody, u64::MAX)? {
        CertificateError::ExpiredContext { not_after, .. } => seconds(not_after),
        _ => return None,
    };
    let from = match against(certificate, &nobody, 0) {
        Some(CertificateError::NotValidYetContext { not_before, .. }) => seconds(not_before),
        _ => 0,
    };
    Some(Term { from, until })
}

/// The names it is for, as its verifier reads them.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
        return Vec::new();
    };
    let nobody = ServerName::try_from(NOBODY).map(|name| verify_server_name(&parsed, &name));
    match nobody {
        Ok(Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }))) => presented.iter().map(|name| bare(name)).collect(),
        _ => Vec::new(),
    }
}

/// `DnsName("shop.example")` is `shop.example`. A certificate is somebody else's text.
fn bare(name: &str) -> String {
    let (_, inner) = name.split_once('(').unwrap_or(("", name));
    let inner = inner.trim_end_matches(')').trim_matches('"');
    inner.chars().filter(|c| !c.is_control()).take(100).collect()
}

fn date(seconds: i64) -> String {
    let date = jiff::Timestamp::from_second(seconds).map(|at| at.strftime("%Y-%m-%d").to_string());
    date.unwrap_or_else(|_| "a time without a date".to_owned())
}

/// What is wrong with the times of a file's certificates; nothing where it cannot be read. `now` in milliseconds.
pub(super) fn terms(step: &'static str, key: &str, path: &Path, of: Use, now: i64) -> Option<Finding> {
    let certificates = pem::certificates(path).ok()?;
    let (now, shown) = (now / 1000, path.display());
    let Term { from, until } = of.counts(certificates.iter().filter_map(term), now)?;
    let what = match of {
        Use::Own if certificates.len() > 1 => "one of the certificates",
        Use::Own => "the certificate",
        Use::Authorities => "every authority",
    };
    let renew = match of {
        Use::Own => format!("have a new certificate made and put it into {shown} ({key})"),
        Use::Authorities => format!("put the authority's new certificate into {shown} ({key})"),
    };
    // Some clients do not look at the times of authorities: whether they are believed, the leg itself tells.
    let useless = match of {
        Use::Own => Finding::failed,
        Use::Authorities => Finding::warning,
    };
    if now > until {
        let found = format!("{key}: {what} in {shown} expired on {}", date(until));
        return Some(useless(step, found, renew));
    }
    if now < from {
        let found = format!("{key}: {what} in {shown} is good from {} on", date(from));
        let todo = format!("mend this machine's clock (timedatectl), or {renew}");
        return Some(useless(step, found, todo));
    }
    (until - now < WARN_DAYS * DAY).then(|| {
        let days = (until - now) / DAY;
        let found = format!(
            "{key}: {what} in {shown} expires on {}, {} from now",
            date(until),
            match days {
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            }
        );
        Finding::warning(step, found, renew)
    })
}

/// What buyers' and operators' clients will make of a listener's certificates: its own and those behind it.
pub(super) fn listener(step: &'static str, key: &str, path: &Path, now: i64) -> Vec<Finding> {
    let Ok(chain) = pem::certificates(path) else {
        return Vec::new();
    };
    let Some(own) = chain.first() else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = terms(step, key, path, Use::Own, now).into_iter().collect();
    let shown = path.display();
    let names = names(own);
    if names.is_empty() {
        findings.push(Finding::warning(
            step,
            format!("{key}: the certificate in {shown} names no host (subjectAltName): clients refuse it"),
            "have one made that names the host that clients ask for",
        ));
    }
    findings.extend(refused(&chain).map(|(why, todo)| {
        Finding::warning(
            step,
            format!("{key}: the first certificate in {shown} {why}"),
            todo,
        )
    }));
    if findings.is_empty() {
        let until = term(own).map_or(String::new(), |term| format!(", until {}", date(term.until)));
        let count = match chain.len() {
            1 => "1 certificate".to_owned(),
            n => format!("{n} certificates"),
        };
        findings.push(Finding::ok(
            step,
            format!("{shown}: {count}, for {}{until}", few(&names)),
        ));
    }
    findings
}

fn few(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN_MAX).map(String::as_str).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// Why clients refuse the first certificate, whatever the time, and what to do.
fn refused(chain: &[CertificateDer<'static>]) -> Option<(&'static str, &'static str)> {
    let (own, behind) = chain.split_first()?;
    let mut roots = RootCertStore::empty();
    let between = match behind.split_last() {
        Some((last, between)) => {
            roots.add(last.clone()).ok()?;
            between
        }
        None => &[],
    };
    let at = u64::try_from(term(own)?.until).ok()?;
    let parsed = ParsedCertificate::try_from(own).ok()?;
    match verified(&parsed, &roots, between, at).err()? {
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Some((
            "is not for servers (extendedKeyUsage)",
            "have one made with extendedKeyUsage serverAuth",
        )),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Some((
            "is an authority's, which many clients refuse from a server",
            "have that authority sign one for the server (basicConstraints CA:FALSE), and put it first",
        )),
        // Nothing stands behind it: its authority is one that clients have to know.
        _ if behind.is_empty() => None,
        // Their own times are told apart from this one's.
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => None,
        _ => Some((
            "does not lead to the last one there: clients that only know the root refuse it",
            "put the listener's own first, then the one that signed it, then the one that signed that",
        )),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        date_time_ymd,
    };

    use super::*;
    use crate::doctor::report::FindingLevel;

    /// 2030-06-15T00:00:00Z, in milliseconds.
    const NOW: i64 = 1_907_712_000_000;

    fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2031, 1, 1);
        params
    }

    fn authority(from: i32) -> CertifiedIssuer<'static, KeyPair> {
        let mut made = params(&[]);
        made.not_before = date_time_ymd(from, 1, 1);
        made.not_after = date_time_ymd(from + 1, 1, 1);
        made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(made, KeyPair::generate().expect("a key")).expect("an authority")
    }

    fn told(pem: &[String], now: i64) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pem.concat()).expect("written");
        let findings = listener("tls", "cert", file.path(), now);
        let lines = findings.iter().map(|finding| {
            let todo = finding.todo.clone().unwrap_or_default();
            format!("{:?} {} -> {todo}\n", finding.level, finding.found)
        });
        lines
            .collect::<String>()
            .replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn what_clients_will_make_of_a_certificate_is_told() {
        let (authority, other, next) = (authority(2030), authority(2030), authority(2031));
        let key = KeyPair::generate().expect("a key");
        let signed = |params: CertificateParams| params.signed_by(&key, &authority).expect("signed").pem();
        let good = signed(params(&["shop.example", "127.0.0.1"]));
        let early = params(&["shop.example"]).signed_by(&key, &next).expect("signed");
        let mut client = params(&["shop.example"]);
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let day = DAY * 1000;
        let mut text = String::new();
        for (what, pem, now) in [
            ("alone", vec![good.clone()], NOW),
            ("with its authority", vec![good.clone(), authority.pem()], NOW),
            ("with another authority", vec![good.clone(), other.pem()], NOW),
            ("last days", vec![good.clone()], NOW + 195 * day),
            ("too late", vec![good.clone()], NOW + 400 * day),
            ("too early", vec![good], NOW - 300 * day),
            ("its authority too early", vec![early.pem(), next.pem()], NOW),
            ("no name", vec![signed(params(&[]))], NOW),
            ("for a client", vec![signed(client)], NOW),
            ("an authority's", vec![authority.pem()], NOW),
        ] {
            text += &format!("{what}: {}", told(&pem, now));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_good_authority_is_enough() {
        let [old, good, next] = [2029, 2030, 2031].map(|from| authority(from).pem());
        let file = tempfile::NamedTempFile::new().expect("a file");
        let level = |pem: String| {
            std::fs::write(file.path(), pem).expect("written");
            let found = terms("certificates", "ca", file.path(), Use::Authorities, NOW);
            found.map(|finding| finding.level)
        };
        assert_eq!(level(old.clone()), Some(FindingLevel::Warning));
        assert_eq!(level(next.clone()), Some(FindingLevel::Warning));
        assert_eq!(level(old + &good), None);
        assert_eq!(level(good + &next), None);
    }
}
