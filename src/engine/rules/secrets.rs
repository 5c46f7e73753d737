//! Credentials: known kinds by their shape, others by the name that they are assigned to.
//!
//! A finding shows at most the first four characters of what it found, as findings are published. Values that say of
//! themselves that they are made up are left alone.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Pattern, Rule, RuleInfo, Scope, pattern};

/// A credential that is known by its shape.
macro_rules! token {
    ($id:literal, $kind:literal, $severity:ident, $confidence:literal, $needles:expr, $pattern:expr, $revoke:literal) => {
        Rule {
            info: RuleInfo {
                id: $id,
                title: concat!($kind, " in the change"),
                severity: Severity::$severity,
                category: Category::Security,
                confidence: $confidence,
                explanation: concat!(
                    "Whoever can read the repository, its history or a fork of it can use this ",
                    $kind,
                    ". Revoke it (",
                    $revoke,
                    ") and load a new one from the environment or a secret store; deleting the line does not take it ",
                    "out of the history."
                ),
            },
            scope: Scope::ANYWHERE,
            check: Check::Line($needles, |at| token(at, pattern!($pattern), $confidence, Severity::$severity)),
        }
    };
}

pub(super) static RULES: &[Rule] = &[
    token!(
        "secret-aws-access-key",
        "AWS access key id",
        High,
        0.85,
        &["akia", "asia", "abia", "acca"],
        r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b",
        "IAM, security credentials"
    ),
    token!(
        "secret-aws-secret-key",
        "AWS secret access key",
        Critical,
        0.9,
        &["aws"],
        r#"(?i)aws[a-z0-9_. -]{0,20}(?:secret|private)[a-z0-9_. -]{0,20}["']?\s*(?:=>|[=:])\s*["']?([a-z0-9/+]{40})(?:["'\s;,]|$)"#,
        "IAM, security credentials"
    ),
    token!(
        "secret-github-token",
        "GitHub token",
        Critical,
        0.95,
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"\b(gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
        "github.com/settings/tokens"
    ),
    token!(
        "secret-gitlab-token",
        "GitLab token",
        Critical,
        0.9,
        &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-"],
        r"\b((?:glpat|gldt|glrt|glcbt|glptt)-[A-Za-z0-9_-]{20,64})",
        "access tokens of the user, group or project"
    ),
    token!(
        "secret-slack-token",
        "Slack token",
        Critical,
        0.9,
        &["xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xapp-"],
        r"\b(xox[abeprs]-(?:[0-9]+-)+[A-Za-z0-9]{16,}|xapp-[0-9]-[A-Z0-9]{8,}-[0-9]{8,}-[a-f0-9]{32,})",
        "api.slack.com/apps"
    ),
    token!(
        "secret-slack-webhook",
        "Slack webhook URL",
        High,
        0.9,
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(T[A-Z0-9]{7,}/[A-Z0-9]{7,}/[A-Za-z0-9]{16,})",
        "api.slack.com/apps"
    ),
    token!(
        "secret-discord-webhook",
        "Discord webhook URL",
        High,
        0.9,
        &["/api/webhooks/"],
        r"discord(?:app)?\.com/api/webhooks/([0-9]{17,20}/[A-Za-z0-9_-]{60,})",
        "integrations of the channel"
    ),
    token!(
        "secret-stripe-key",
        "Stripe live key",
        Critical,
        0.95,
        &["sk_live_", "rk_live_"],
        r"\b([sr]k_live_[A-Za-z0-9]{20,})",
        "dashboard.stripe.com/apikeys"
    ),
    token!(
        "secret-google-api-key",
        "Google API key",
        High,
        0.7,
        &["aiza"],
        r"\b(AIza[0-9A-Za-z_-]{35})(?:[^0-9A-Za-z_-]|$)",
        "console.cloud.google.com/apis/credentials, or restrict it if it is meant to be public"
    ),
    token!(
        "secret-anthropic-key",
        "Anthropic API key",
        Critical,
        0.95,
        &["sk-ant-"],
        r"\b(sk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{40,})",
        "console.anthropic.com/settings/keys"
    ),
    token!(
        "secret-openai-key",
        "OpenAI API key",
        Critical,
        0.95,
        &["sk-proj-", "sk-svcacct-", "sk-admin-", "t3blbkfj"],
        r"\b(sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
        "platform.openai.com/api-keys"
    ),
    token!(
        "secret-npm-token",
        "npm token",
        Critical,
        0.9,
        &["npm_", "_authtoken"],
        r"\b(npm_[A-Za-z0-9]{36})\b|:_authToken\s*=\s*([0-9a-f]{8}-[0-9a-f-]{27})",
        "npmjs.com, access tokens"
    ),
    token!(
        "secret-pypi-token",
        "PyPI token",
        Critical,
        0.95,
        &["pypi-"],
        r"\b(pypi-AgE[A-Za-z0-9_-]{50,})",
        "account settings of the package index"
    ),
    token!(
        "secret-sendgrid-key",
        "SendGrid API key",
        Critical,
        0.95,
        &["sg."],
        r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?:[^A-Za-z0-9_-]|$)",
        "app.sendgrid.com/settings/api_keys"
    ),
    token!(
        "secret-twilio-key",
        "Twilio credential",
        High,
        0.8,
        &["sk", "twilio"],
        r#"\b(SK[0-9a-f]{32})\b|(?i)twilio[a-z0-9_. -]{0,20}(?:token|secret|key)[a-z0-9_. -]{0,10}["']?\s*[=:]\s*["']?([0-9a-f]{32})(?:["'\s;,]|$)"#,
        "console.twilio.com"
    ),
    token!(
        "secret-azure-storage-key",
        "Azure storage account key",
        Critical,
        0.9,
        &["accountkey="],
        r"AccountKey=([A-Za-z0-9+/]{86}==)",
        "rotate the keys of the storage account"
    ),
    token!(
        "secret-digitalocean-token",
        "DigitalOcean token",
        Critical,
        0.95,
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        r"\b(do[opr]_v1_[0-9a-f]{64})\b",
        "cloud.digitalocean.com/account/api"
    ),
    token!(
        "secret-telegram-token",
        "Telegram bot token",
        Critical,
        0.85,
        &[":aa"],
        r"\b([0-9]{8,10}:AA[A-Za-z0-9_-]{33})(?:[^A-Za-z0-9_-]|$)",
        "`/revoke` at BotFather"
    ),
    token!(
        "secret-huggingface-token",
        "Hugging Face token",
        Critical,
        0.85,
        &["hf_"],
        r"\b(hf_[A-Za-z]{34})\b",
        "huggingface.co/settings/tokens"
    ),
    token!(
        "secret-docker-token",
        "Docker Hub token",
        Critical,
        0.95,
        &["dckr_pat_", "dckr_oat_"],
        r"\b(dckr_[op]at_[A-Za-z0-9_-]{27,})",
        "app.docker.com/settings/personal-access-tokens"
    ),
    token!(
        "secret-shopify-token",
        "Shopify token",
        Critical,
        0.9,
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        r"\b(shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32})\b",
        "settings of the app"
    ),
    token!(
        "secret-vault-token",
        "HashiCorp Vault token",
        Critical,
        0.85,
        &["hvs.", "hvb."],
        r"\b(hv[bs]\.[A-Za-z0-9_-]{24,})",
        "`vault token revoke`"
    ),
    token!(
        "secret-age-key",
        "age secret key",
        Critical,
        0.95,
        &["age-secret-key-1"],
        r"\b(AGE-SECRET-KEY-1[A-Z0-9]{58})\b",
        "make a new pair and encrypt again"
    ),
    Rule {
        info: RuleInfo {
            id: "secret-jwt",
            title: "JSON Web Token in the change",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.6,
            explanation: "Until it expires, whoever reads this token is whom it names. Revoke the session or key behind \
                          it and load tokens at run time; deleting the line does not take it out of the history.",
        },
        scope: Scope { generated: true, ..Scope::OWN },
        check: Check::Line(&["eyj"], jwt),
    },
    Rule {
        info: RuleInfo {
            id: "secret-private-key",
            title: "Private key in the change",
            severity: Severity::Critical,
            category: Category::Security,
            confidence: 0.95,
            explanation: "Whoever can read the repository, its history or a fork of it holds this key. Replace the key \
                          pair, have the certificate revoked where there is one, and keep the new key outside of the \
                          repository.",
        },
        scope: Scope::ANYWHERE,
        check: Check::Line(&["private key"], private_key),
    },
    Rule {
        info: RuleInfo {
            id: "secret-gcp-service-account",
            title: "Key of a Google Cloud service account in the change",
            severity: Severity::Critical,
            category: Category::Security,
            confidence: 0.95,
            explanation: "With this file anyone acts as the service account. Delete the key in IAM, make a new one where \
                          it is needed, and prefer workload identity, which has no key to leak.",
        },
        scope: Scope::ANYWHERE,
        check: Check::Line(&["\"private_key\"", "private_key\\\""], gcp_key),
    },
    Rule {
        info: RuleInfo {
            id: "secret-url-password",
            title: "Password in a URL",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.75,
            explanation: "The URL carries user and password in clear text, for everyone who reads the repository, and \
                          for the logs of every program that prints it. Change the password and put the URL together \
                          from the environment.",
        },
        scope: Scope::OWN,
        check: Check::Line(&["://"], url_password),
    },
    Rule {
        info: RuleInfo {
            id: "secret-assigned",
            title: "Hard-coded secret",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.6,
            explanation: "The name says secret and the value looks like a real one, readable for everyone with access to \
                          the repository or a build of it. Change it and load the new one from the environment or a \
                          secret store.",
        },
        scope: Scope::OWN,
        check: Check::Line(
            &[
                "passw",
                "passphrase",
                "pwd",
                "secret",
                "api_key",
                "apikey",
                "api-key",
                "token",
                "access_key",
                "accesskey",
                "private_key",
                "privatekey",
                "encryption_key",
                "encryptionkey",
                "signing_key",
                "signingkey",
            ],
            assigned,
        ),
    },
];

/// Rules that say nothing where another has named the kind of secret on the same line.
const GENERAL: &[&str] = &["secret-private-key", "secret-url-password", "secret-assigned", "secret-jwt"];

/// Of the hits on one line, drops the general ones that a specific one covers, and all but the first of them where
/// there is no specific one.
pub(super) fn keep_the_specific(hits: &mut Vec<(&Rule, usize, Hit)>) {
    let is_general = |rule: &Rule| GENERAL.contains(&rule.info.id);
    let mut named = hits.iter().any(|(rule, ..)| rule.info.id.starts_with("secret-") && !is_general(rule));
    hits.retain(|(rule, ..)| !is_general(rule) || !std::mem::replace(&mut named, true));
}

fn token(at: &At<'_>, pattern: &Pattern, confidence: f64, severity: Severity) -> Option<Hit> {
    let found = pattern.secrets(at.long_text()).find(|secret| !made_up(secret) && entropy(secret) >= 3.0)?;
    Some(leak(at, found, confidence, severity))
}

impl Pattern {
    /// The group that took part in each match.
    fn secrets<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'t, '_> {
        self.0.captures_iter(text.as_bytes()).filter_map(move |captures| {
            let found = captures.iter().skip(1).flatten().next()?;
            text.get(found.range())
        })
    }
}

/// Tests, examples and documents often hold dead credentials, and sometimes live ones.
fn leak(at: &At<'_>, secret: &str, confidence: f64, severity: Severity) -> Hit {
    let shown: String = secret.chars().take(4).chain(['…']).collect();
    let hit = Hit::shown(shown);
    if at.in_test() || at.subject.doc {
        let lower = if severity == Severity::Critical { Severity::High } else { Severity::Medium };
        return hit.severity(lower).confidence(confidence * 0.6);
    }
    hit
}

fn jwt(at: &At<'_>) -> Option<Hit> {
    let found = pattern!(r"\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,})")
        .all(at.long_text())
        .find(|token| !public_claims(token.split('.').nth(1).unwrap_or_default()))?;
    Some(leak(at, found, 0.6, Severity::Medium))
}

/// Claims of jwt.io's example, and of keys that Supabase means for browsers.
fn public_claims(payload: &str) -> bool {
    let claims = base64url(payload);
    let claims = String::from_utf8_lossy(&claims).replace(' ', "");
    claims.contains(r#""sub":"1234567890""#) || claims.contains(r#""role":"anon""#)
}

/// Decodes as far as the text is base64url.
fn base64url(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => break,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

/// The header alone is only talk about keys: there must be key material behind it.
fn private_key(at: &At<'_>) -> Option<Hit> {
    let text = at.long_text();
    let header = pattern!(r"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY(?: BLOCK)?-----(.*)").first(text)?;
    if text.contains("BEGIN ENCRYPTED") {
        return None;
    }
    let inline = pattern!(r"^(?:\\r)?(?:\\n|\s)+[A-Za-z0-9+/]{40}").is_match(header);
    let body = pattern!(r#"^["'\s]*[A-Za-z0-9+/]{40,}={0,2}(?:\\n)?["'\s,;+\\]*$"#);
    let mut last = at.number();
    let mut found = inline;
    for line in at.after().take(200) {
        if !found && pattern!(r"^\s*Proc-Type: 4,ENCRYPTED").is_match(line.text()) {
            return None;
        }
        // PGP and old PEM have headers and an empty line before the material
        found |= body.is_match(line.text()) && entropy(line.text().trim()) > 3.5;
        let header = pattern!(r"^\s*(?:[A-Z][A-Za-z-]+: .*)?$").is_match(line.text());
        if inline || (!found && !header) {
            break;
        }
        last = line.number();
        if line.text().contains("-----END ") {
            break;
        }
    }
    let confidence = if at.in_test() || at.subject.doc { 0.4 } else { 0.95 };
    let severity = if confidence < 0.5 { Severity::Medium } else { Severity::Critical };
    found.then(|| Hit::lines(at.number(), last).severity(severity).confidence(confidence))
}

fn gcp_key(at: &At<'_>) -> Option<Hit> {
    let key = pattern!(r#""private_key\\?"\s*:\s*\\?"-----BEGIN PRIVATE KEY-----\\+n[A-Za-z0-9+/]{40}"#);
    let named = || at.before().chain(at.after()).any(|line| line.text().contains("service_account"));
    Hit::when(key.is_match(at.long_text()) && named())
}

fn url_password(at: &At<'_>) -> Option<Hit> {
    let urls = pattern!(
        r#"\b([A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@'"`<>(){}$%*]{0,64}:[^\s/@'"`<>(){}$*]{6,128}@[A-Za-z0-9.-]{3,})"#
    );
    urls.all(at.long_text())
        .filter_map(|url| {
            let (credentials, host) = url.split_once("://")?.1.rsplit_once('@')?;
            let (user, password) = credentials.split_once(':')?;
            Some((user, password, host))
        })
        .any(|(user, password, host)| {
            // hosts without a dot are containers and the machine itself
            let real_host = host.contains('.') && !pattern!(r"(?i)^127\.|^0\.0\.0\.0|^192\.168\.|^10\.|example\.|\.(?:test|local|localhost|invalid|example|internal)$").is_match(host);
            real_host && user != password && !made_up(password) && !named_after_itself(password)
        })
        .then(Hit::default)
}

const SECRET_NAMES: &str = r"(?:password|passwd|passphrase|pwd|secret|secret[_-]?key|client[_-]?secret|api[_-]?key|api[_-]?secret|access[_-]?token|auth[_-]?token|refresh[_-]?token|bearer[_-]?token|access[_-]?key|private[_-]?key|encryption[_-]?key|signing[_-]?key)";

fn assigned(at: &At<'_>) -> Option<Hit> {
    let quoted = pattern!(&format!(
        r#"(?i)\b[a-z0-9_.-]{{0,40}}{SECRET_NAMES}["'\]]{{0,2}}(?:\s*:\s*[&\w<>' ]{{1,20}})?\s*(?::=|=>|=|:)\s*(?:"([^"\s]{{8,200}})"|'([^'\s]{{8,200}})')"#
    ));
    // after `is_config`, as unquoted text is a value there and a name elsewhere
    let unquoted = pattern!(&format!(
        r#"(?i)^\s*(?:-\s+)?(?:export\s+)?[a-z0-9_.-]{{0,40}}{SECRET_NAMES}\s*[:=]\s*([^\s"'#]{{8,200}})\s*(?:#.*)?$"#
    ));
    let is_config = matches!(at.subject.lang, Lang::Config | Lang::Yaml);
    let text = at.text();
    // a comment, or a docstring
    if at.bare().trim().is_empty() {
        return None;
    }
    let candidates = quoted.secrets(text).chain(unquoted.secrets(text).filter(|_| is_config));
    let mut real = candidates.filter(|value| looks_random(value));
    real.next().map(|value| leak(at, value, 0.6, Severity::High))
}

/// Whether a value is what a generator or a careful person makes up, and not a name, path, template or placeholder.
fn looks_random(value: &str) -> bool {
    if value.contains(['$', '{', '}', '<', '>', '(', ')', '[', '%', '\\', '…'])
        || value.contains("://")
        || value.starts_with(['/', '.', '!', '&', '*', '@', '~'])
        || made_up(value)
        || named_after_itself(value)
    {
        return false;
    }
    // `user.password.label-2`
    let is_word = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphabetic())
            || part.bytes().all(|byte| byte.is_ascii_digit())
            || pattern!(r"^[A-Za-z]+[0-9]{1,2}$|^[0-9]{1,2}[A-Za-z]{0,3}$").is_match(part)
    };
    if value.split(['-', '_', '.', ':', '/', ',']).all(is_word) {
        return false;
    }
    let has = |test: fn(u8) -> bool| value.bytes().any(test);
    let classes = [
        has(|byte| byte.is_ascii_lowercase()),
        has(|byte| byte.is_ascii_uppercase()),
        has(|byte| byte.is_ascii_digit()),
        has(|byte| byte.is_ascii_punctuation()),
    ];
    let classes = classes.into_iter().filter(|&class| class).count();
    if value.len() < 20 {
        has(|byte| byte.is_ascii_digit()) && classes >= 3 && entropy(value) >= 2.75
    } else {
        has(|byte| byte.is_ascii_digit()) && classes >= 2 && entropy(value) >= 3.4
    }
}

/// `my-secret-key`, `postgres_password`: placeholders of people in a hurry.
fn named_after_itself(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    ["password", "passwd", "secret", "passw0rd", "p@ssw", "apikey", "api-key", "api_key", "token", "admin", "hunter2"]
        .iter()
        .any(|word| value.contains(word))
}

fn made_up(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    [
        "example",
        "xxxx",
        "dummy",
        "placeholder",
        "changeme",
        "change-me",
        "change_me",
        "your",
        "redacted",
        "fake",
        "sample",
        "insert",
        "0000000",
        "1234567",
        "abcdefg",
        "aaaaaa",
        "****",
        "....",
        "notreal",
        "not-real",
        "foobar",
        // the well-known key of the Azure storage emulator
        "eby8vdm02xno",
    ]
    .iter()
    .any(|word| value.contains(word))
}

/// Shannon entropy in bits per byte.
fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let all = text.len() as f64;
    let share = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / all);
    -share.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    // Put together at run time, so that no scanner takes this file for a leak.
    let alnum = |length| made(length, b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789");
    let upper = |length| made(length, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    let hex = |length| made(length, b"0123456789abcdef");
    let letters = |length| made(length, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    let digits = |length| made(length, b"1357902468");
    let py = "src/app.py";
    let key = |kind: &str, lines: &[&str]| {
        format!("-----{} {kind}-----\n{}\n-----{} {kind}-----\n", "BEGIN", lines.join("\n"), "END")
    };
    let (pem, open_ssh, pgp) = ("RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK");
    let row = alnum(64);
    let claims = |claims: &str| {
        let table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in claims.as_bytes().chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).for_each(|at| text.push(char::from(table[(bits >> (18 - 6 * at) & 63) as usize])));
        }
        format!("'{}{}.{text}.{}'", "eyJ", "hbGciOiJIUzI1NiJ9", alnum(43))
    };
    vec![
        fires("secret-aws-access-key", py, format!("KEY = '{}{}'", "AKIA", upper(16))),
        quiet("secret-aws-access-key", py, format!("KEY = '{}{}'", "AKIA", "IOSFODNN7EXAMPLE")),
        quiet("secret-aws-access-key", py, format!("KEY = '{}{}x'", "AKIA", upper(16))),
        fires("secret-aws-secret-key", ".aws.ini", format!("aws_secret_access_key = {}", alnum(40))),
        fires("secret-aws-secret-key", py, format!("awsSecretKey: \"{}\",", alnum(40))),
        quiet(
            "secret-aws-secret-key",
            py,
            format!("aws_secret_access_key = '{}'", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ),
        quiet("secret-aws-secret-key", py, format!("aws_artifact_digest = '{}'", hex(40))),
        fires("secret-github-token", py, format!("t = '{}_{}'", "ghp", alnum(36))),
        fires("secret-github-token", "a.yml", format!("t: {}_{}", "ghs", alnum(36))),
        fires("secret-github-token", "a", format!("{}_pat_{}_{}", "github", alnum(22), alnum(59))),
        quiet(
            "secret-github-token",
            "README.md",
            format!("GITHUB_TOKEN={}_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ghp"),
        ),
        quiet("secret-github-token", py, format!("if token.startswith('{}_'):", "ghp")),
        quiet("secret-github-token", py, format!("'{}_{}'", "ghp", "ab".repeat(18))),
        fires("secret-gitlab-token", py, format!("'{}-{}'", "glpat", alnum(20))),
        quiet("secret-gitlab-token", py, format!("'{}-{}'", "glpat", "your-token-goes-here-please")),
        fires("secret-slack-token", py, format!("'{}-{}-{}-{}'", "xoxb", digits(12), digits(12), alnum(24))),
        quiet("secret-slack-token", py, format!("'{}-your-bot-token-goes-here'", "xoxb")),
        fires(
            "secret-slack-webhook",
            py,
            format!("https://{}/services/T{}/B{}/{}", "hooks.slack.com", upper(9), upper(9), alnum(24)),
        ),
        quiet(
            "secret-slack-webhook",
            py,
            format!("https://{}/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "hooks.slack.com"),
        ),
        fires(
            "secret-discord-webhook",
            py,
            format!("https://discord.com/api/{}/{}/{}", "webhooks", digits(18), alnum(68)),
        ),
        quiet("secret-discord-webhook", py, "f'https://discord.com/api/webhooks/{id}/{token}'"),
        fires("secret-stripe-key", py, format!("'{}_live_{}'", "sk", alnum(24))),
        quiet("secret-stripe-key", py, format!("'{}_test_{}'", "sk", alnum(24))),
        fires("secret-google-api-key", py, format!("'{}{}'", "AIza", alnum(35))),
        quiet("secret-google-api-key", py, format!("'{}{}'", "AIza", alnum(48))),
        fires("secret-anthropic-key", py, format!("'{}-ant-api03-{}'", "sk", alnum(93))),
        quiet("secret-anthropic-key", "guide.md", format!("ANTHROPIC_API_KEY={}-ant-xxxxx", "sk")),
        fires("secret-openai-key", py, format!("'{}-proj-{}'", "sk", alnum(120))),
        fires("secret-openai-key", py, format!("'{}-{}{}{}'", "sk", alnum(20), "T3Blbk\u{46}J", alnum(20))),
        quiet("secret-openai-key", py, format!("'{}-proj-your-key-which-you-must-not-show-to-anybody-else'", "sk")),
        fires("secret-npm-token", ".npmrc", format!("//npm.example.com/:_authToken={}_{}", "npm", alnum(36))),
        fires("secret-npm-token", ".npmrc", format!("//npm.acme.io/:_authToken={}-4d1f-9a07-b3c6-{}", hex(8), hex(12))),
        quiet("secret-npm-token", ".npmrc", "//npm.example.com/:_authToken=${NPM_TOKEN}"),
        quiet("secret-npm-token", "a.sh", "npm_config_registry=https://npm.example.com"),
        fires("secret-pypi-token", py, format!("'{}-AgEIcHlwaS5vcmc{}'", "pypi", alnum(100))),
        quiet("secret-pypi-token", "a.toml", "name = \"pypi-agency-some-package-name-which-is-quite-long-really\""),
        fires("secret-sendgrid-key", py, format!("'{}.{}.{}'", "SG", alnum(22), alnum(43))),
        quiet("secret-sendgrid-key", py, "msg.subject.title"),
        fires("secret-twilio-key", py, format!("'{}{}'", "SK", hex(32))),
        fires("secret-twilio-key", py, format!("TWILIO_AUTH_TOKEN = '{}'", hex(32))),
        quiet("secret-twilio-key", py, format!("TWILIO_FLOW_DIGEST = '{}'", hex(32))),
        quiet("secret-twilio-key", py, format!("TASK{}", hex(32))),
        fires("secret-azure-storage-key", py, format!("AccountName=acme;{}={}==;", "AccountKey", alnum(86))),
        quiet(
            "secret-azure-storage-key",
            py,
            "AccountName=x;AccountKey=${STORAGE_KEY};EndpointSuffix=core.windows.net",
        ),
        quiet(
            "secret-azure-storage-key",
            py,
            format!(
                "AccountKey={}{}==",
                "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq", "/K1SZFPTOtr/KBHBeksoGMGw"
            ),
        ),
        fires("secret-digitalocean-token", py, format!("'{}_v1_{}'", "dop", hex(64))),
        quiet("secret-digitalocean-token", py, "'dop_v1_'"),
        fires("secret-telegram-token", py, format!("'{}:{}{}'", digits(10), "AA", alnum(33))),
        quiet("secret-telegram-token", py, "'12:34:56:78:AA:BB:CC:DD:EE:FF'"),
        fires("secret-huggingface-token", py, format!("'{}_{}'", "hf", letters(34))),
        quiet("secret-huggingface-token", py, "hf_hub_download(repo_id='x')"),
        fires("secret-docker-token", py, format!("'{}_pat_{}'", "dckr", alnum(27))),
        quiet("secret-docker-token", py, "'dckr_pat_<token>'"),
        fires("secret-shopify-token", py, format!("'{}_{}'", "shpat", hex(32))),
        quiet("secret-shopify-token", py, "'shpat_' + token"),
        fires("secret-vault-token", py, format!("'{}.{}'", "hvs", alnum(24))),
        quiet("secret-vault-token", py, "hvs.client_with_a_very_long_example_name()"),
        fires("secret-age-key", "a.txt", format!("{}-SECRET-KEY-1{}", "AGE", upper(58))),
        quiet("secret-age-key", py, "line.startswith('AGE-SECRET-KEY-1')"),
        fires("secret-jwt", py, claims(r#"{"sub":"42","role":"service_role","exp":1999999999}"#)),
        quiet("secret-jwt", py, claims(r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#)),
        quiet("secret-jwt", py, claims(r#"{"iss":"supabase","ref":"abc","role":"anon"}"#)),
        quiet("secret-jwt", "tests/test_a.py", claims(r#"{"sub":"42"}"#)),
        fires("secret-private-key", "server.key", key(pem, &[&row, &row, "abcd=="])),
        fires("secret-private-key", "id", key(open_ssh, &[&row, &row])),
        fires("secret-private-key", "a.asc", key(pgp, &["Version: GnuPG v2", "", &row])),
        fires("secret-private-key", py, format!("K = \"\"\"{}\"\"\"", key(pem, &[&row, &row]))),
        fires("secret-private-key", "a.env", format!("K=\"-----{} {pem}-----\\n{row}\\n\"", "BEGIN")),
        quiet("secret-private-key", py, format!("if '-----{} {pem}-----' in text:\n    return True", "BEGIN")),
        quiet("secret-private-key", "README.md", key(pem, &["..."])),
        quiet("secret-private-key", "a.pem", key("PUBLIC KEY", &[&row])),
        quiet("secret-private-key", "a.pem", key(pem, &["Proc-Type: 4,ENCRYPTED", "", &row])),
        fires(
            "secret-gcp-service-account",
            "sa.json",
            format!(
                "{{\n\"type\": \"service_account\",\n\"private_key\": \"-----{} PRIVATE KEY-----\\n{row}\\n\"\n}}",
                "BEGIN"
            ),
        ),
        quiet(
            "secret-gcp-service-account",
            "sa.json",
            "{\n\"type\": \"service_account\",\n\"private_key\": \"${KEY}\"\n}",
        ),
        fires("secret-url-password", py, format!("DB = 'postgres://app:{}@db.acme.io:5432/x'", "q7Vn2xLp9")),
        quiet("secret-url-password", py, "DB = 'postgres://postgres:postgres@db:5432/x'"),
        quiet("secret-url-password", py, "DB = 'postgres://app:s3cr3tpw@localhost:5432/x'"),
        quiet("secret-url-password", py, "DB = f'postgres://app:{password}@db.acme.io/x'"),
        quiet("secret-url-password", py, "DB = 'postgres://user:password@db.acme.io/x'"),
        quiet("secret-url-password", py, "# see https://acme.io/a:b/c@d and mail:someone@acme.io"),
        quiet("secret-url-password", "a.sh", "git clone https://x-access-token:${TOKEN}@github.com/o/n"),
        fires("secret-assigned", py, format!("DB_PASSWORD = '{}'", "kV9!pq2Lw#")),
        fires("secret-assigned", "src/a.rs", format!("const API_KEY: &str = \"{}\";", alnum(32))),
        fires("secret-assigned", "src/a.js", format!("  clientSecret: '{}',", hex(32))),
        fires("secret-assigned", "app.properties", format!("db.password={}", "kV9pq2LwX3")),
        fires("secret-assigned", "values.yml", format!("  api_key: {}", hex(32))),
        quiet("secret-assigned", py, "password = os.environ['DB_PASSWORD']"),
        quiet("secret-assigned", py, "password = 'changeme123!A'"),
        quiet("secret-assigned", py, "PASSWORD_FIELD = 'kV9pq2LwX3'"),
        quiet("secret-assigned", "src/i18n.ts", "password: 'forms.login.password-1',"),
        quiet("secret-assigned", "src/a.ts", "password: 'Bitte Passwort 1 eingeben',"),
        quiet("secret-assigned", "values.yml", "secret: my-app-db-credentials-v1"),
        quiet("secret-assigned", "values.yml", "password: ${DB_PASSWORD_2}"),
        quiet("secret-assigned", "values.yml", "password: ENC[AES256_GCM,data:kV9pq2LwX3]"),
        quiet("secret-assigned", "tests/test_a.py", format!("password = '{}'", "kV9!pq2Lw#")),
        quiet("secret-assigned", "src/a.py", "if password == 'kV9!pq2Lw#':"),
        quiet("secret-assigned", "src/a.py", "\"\"\"Returns\n\n  {\"access_token\": \"kV9!pq2Lw#\"}\n\"\"\""),
        quiet("secret-assigned", "src/a.py", format!("# password = '{}'", "kV9!pq2Lw#")),
    ]
}

/// Text that looks random and is the same in each run.
#[cfg(test)]
fn made(length: usize, alphabet: &[u8]) -> String {
    let mut state = 88_172_645_463_325_252u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state >> 20) as usize % alphabet.len()])
    };
    (0..length).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::added;
    use super::*;
    use crate::diff::Diff;
    use crate::engine::rules::review;
    use crate::finding::Draft;

    fn drafts(path: &str, text: &str) -> Vec<Draft> {
        review(&Diff { files: vec![added(path, text)] })
    }

    #[test]
    fn no_finding_shows_a_secret() {
        let mut seen = 0;
        for case in cases().into_iter().filter(|case| case.fires) {
            for draft in drafts(case.path, &case.text) {
                let shown = format!("{} {} {:?}", draft.title, draft.explanation, draft.suggestion);
                if let Some(start) = shown.split_once(": `").and_then(|(_, rest)| rest.split_once('`')) {
                    assert!(start.0.chars().count() <= 5 && start.0.ends_with('…'), "{shown}");
                    seen += 1;
                }
                for word in case.text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() >= 16) {
                    assert!(!shown.contains(word), "{shown}");
                }
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn one_secret_is_one_finding() {
        let token = format!("{}_{}", "ghp", made(36, b"abcdefghkmnpqrstuvwxyzABCDEFGH2345678"));
        let found = drafts("src/a.py", &format!("api_key = '{token}'\nurl = 'https://me:{token}@git.acme.io/x'\n"));
        let rules: Vec<_> = found.iter().filter_map(|draft| draft.rule.as_deref()).collect();
        assert_eq!(rules, ["secret-github-token", "secret-github-token"]);
    }

    #[test]
    fn a_token_in_a_test_weighs_less() {
        let line = format!("t = '{}_{}'", "ghp", made(36, b"abcdefghkmnpqrstuvwxyzABCDEFGH2345678"));
        let (code, test) = (drafts("src/a.py", &line), drafts("tests/test_a.py", &line));
        assert_eq!((code[0].severity, test[0].severity), (Severity::Critical, Severity::High));
        assert!(test[0].confidence < code[0].confidence);
    }

    #[test]
    fn a_key_is_shown_from_its_first_to_its_last_line() {
        let row = made(64, b"abcdefghkmnpqrstuvwxyzABCDEFGH2345678");
        let text = format!("# key\n-----{0} {1}-----\n{row}\n{row}\n-----END {1}-----\n", "BEGIN", "RSA PRIVATE KEY");
        let found = drafts("deploy/server.txt", &text);
        assert_eq!((found[0].start_line, found[0].end_line), (Some(2), Some(5)));
    }

    #[test]
    fn base64_of_urls() {
        assert_eq!(base64url("aGVsbG8_"), b"hello?");
        assert_eq!(base64url("aGk="), b"hi");
    }
}
