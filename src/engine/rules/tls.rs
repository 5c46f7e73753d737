//! Certificate and host key checks that are switched off.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

/// What all of them have in common.
macro_rules! unchecked {
    ($id:literal, $title:literal, $confidence:literal, $remedy:literal, $langs:expr, $needles:expr, $find:expr) => {
        Rule {
            info: RuleInfo {
                id: $id,
                title: $title,
                severity: Severity::High,
                category: Category::Security,
                confidence: $confidence,
                explanation: concat!(
                    "The peer can be anyone: whoever sits between the two ends reads and changes all that is said. ",
                    $remedy
                ),
            },
            scope: Scope::code($langs),
            check: Check::Line($needles, $find),
        }
    };
}

pub(super) static RULES: &[Rule] = &[
    unchecked!(
        "tls-python-unverified",
        "TLS certificates are not checked",
        0.85,
        "Leave verification on, and pass the path of a private CA as `verify=` or `cafile=`.",
        &[Lang::Python],
        &["verify", "_create_unverified_context", "_create_default_https_context", "cert_none", "check_hostname"],
        python
    ),
    unchecked!(
        "tls-node-unverified",
        "TLS certificates are not checked",
        0.9,
        "Leave verification on, and give a private CA by `ca:` or NODE_EXTRA_CA_CERTS.",
        &[Lang::JavaScript, Lang::TypeScript, Lang::Shell, Lang::Dockerfile, Lang::Workflow, Lang::Yaml, Lang::Config],
        &["rejectunauthorized", "node_tls_reject_unauthorized"],
        |at| {
            let option = pattern!(r"\brejectUnauthorized\s*[:=]\s*(?:false|!1)\b");
            let variable = pattern!(r#"\bNODE_TLS_REJECT_UNAUTHORIZED["'\]]{0,2}\s*[=:]\s*["']?0\b"#);
            Hit::when(option.is_match(at.bare()) || variable.is_match(at.code()))
        }
    ),
    unchecked!(
        "tls-go-unverified",
        "TLS certificates are not checked",
        0.9,
        "Leave verification on, and put a private CA into RootCAs.",
        &[Lang::Go],
        &["insecureskipverify"],
        |at| Hit::when(pattern!(r"\bInsecureSkipVerify\s*(?::|:?=)\s*true\b").is_match(at.bare()))
    ),
    unchecked!(
        "tls-rust-unverified",
        "TLS certificates are not checked",
        0.9,
        "Leave verification on, and add a private CA as a root certificate.",
        &[Lang::Rust],
        &["danger_accept_invalid_", "tls_danger_accept_invalid_", "sslverifymode::none"],
        |at| {
            let off = pattern!(
                r"\bdanger_accept_invalid_(?:certs|hostnames)\s*\(\s*true\s*\)|\bset_verify\s*\(\s*SslVerifyMode::NONE"
            );
            Hit::when(off.is_match(at.bare()))
        }
    ),
    unchecked!(
        "tls-jvm-unverified",
        "TLS certificates or host names are not checked",
        0.85,
        "Leave verification on, and put a private CA into the trust store.",
        &[Lang::Java, Lang::Kotlin, Lang::Scala, Lang::CSharp],
        &[
            "noophostnameverifier",
            "allow_all_hostname_verifier",
            "insecuretrustmanagerfactory",
            "dangerousacceptanyservercertificatevalidator",
            "servercertificatevalidationcallback",
            "servercertificatecustomvalidationcallback",
        ],
        |at| {
            let off = pattern!(
                r"\bNoopHostnameVerifier\.INSTANCE\b|\bALLOW_ALL_HOSTNAME_VERIFIER\b|\bInsecureTrustManagerFactory\.INSTANCE\b|\bDangerousAcceptAnyServerCertificateValidator\b|\bServerCertificate(?:Custom)?ValidationCallback\s*\+?=.*=>\s*(?:true\b|\{\s*return true;)"
            );
            Hit::when(off.is_match(at.bare()))
        }
    ),
    unchecked!(
        "tls-ruby-unverified",
        "TLS certificates are not checked",
        0.9,
        "Use VERIFY_PEER, and give a private CA by `ca_file`.",
        &[Lang::Ruby],
        &["verify_none"],
        |at| Hit::when(pattern!(r"(?:=|:|=>|,)\s*(?:::)?OpenSSL::SSL::VERIFY_NONE\b").is_match(at.bare()))
    ),
    unchecked!(
        "tls-curl-option-off",
        "TLS certificates or host names are not checked",
        0.9,
        "Leave both options at their defaults, and give a private CA by CURLOPT_CAINFO.",
        &[Lang::Php, Lang::C, Lang::Python, Lang::Perl],
        &["ssl_verifypeer", "ssl_verifyhost", "ssl_verify_peer"],
        |at| {
            let off = pattern!(r"(?i)\b(?:CURLOPT_)?SSL_VERIFY(?:PEER|HOST)\s*(?:,|=>)\s*(?:0L?|false)\s*[,)\];]");
            Hit::when(off.is_match(at.bare()))
        }
    ),
    unchecked!(
        "tls-curl-insecure",
        "Download without checking the TLS certificate",
        0.85,
        "Drop the option, and name a private CA with `--cacert` or `--ca-certificate`.",
        Lang::COMMANDS,
        &["curl", "wget"],
        curl
    ),
    unchecked!(
        "tls-git-unverified",
        "git does not check TLS certificates",
        0.9,
        "Drop the setting, and name a private CA in `http.sslCAInfo`.",
        &[Lang::Shell, Lang::Dockerfile, Lang::Make, Lang::Workflow, Lang::Yaml, Lang::Config],
        &["sslverify", "git_ssl_no_verify"],
        |at| {
            let off = pattern!(
                r#"(?i)\bhttp\.(?:\S+\.)?sslVerify["']?[\s=]+["']?(?:false|0)\b|\bGIT_SSL_NO_VERIFY["']?\s*[=:]\s*["']?(?:1|true)\b"#
            );
            let gitconfig = at.subject.name().contains("gitconfig")
                && pattern!(r"(?i)^\s*sslVerify\s*=\s*(?:false|0)\b").is_match(at.code());
            Hit::when(gitconfig || off.is_match(at.code()))
        }
    ),
    unchecked!(
        "ssh-host-key-unchecked",
        "SSH host keys are not checked",
        0.8,
        "Put the host's key into known_hosts, or use `StrictHostKeyChecking accept-new`.",
        &[
            Lang::Shell,
            Lang::Dockerfile,
            Lang::Make,
            Lang::Workflow,
            Lang::Yaml,
            Lang::Config,
            Lang::Other,
            Lang::Python,
            Lang::Go
        ],
        &["stricthostkeychecking", "insecureignorehostkey", "autoaddpolicy"],
        |at| {
            let off = pattern!(r#"(?i)\bStrictHostKeyChecking["']?[\s=:]+["']?(?:no|off|false)\b"#);
            let code = pattern!(r"\bssh\.InsecureIgnoreHostKey\(\)|\bset_missing_host_key_policy\(.*AutoAddPolicy");
            Hit::when(off.is_match(at.code()) || code.is_match(at.bare()))
        }
    ),
];

/// `verify=False` says little by itself: there must be talk of HTTP near it.
fn python(at: &At<'_>) -> Option<Hit> {
    let off = pattern!(
        r"\bssl\._create_unverified_context\b|\b_create_default_https_context\s*=\s*ssl\._create_unverified|(?:[^=!]=|,|\()\s*ssl\.CERT_NONE\b|\b(?:session|client|s)\.verify\s*=\s*False\b"
    );
    if off.is_match(at.bare()) && !at.bare().contains("CERT_NONE if ") {
        return Some(Hit::default());
    }
    // goes before `CERT_NONE`, which is then the one to tell
    if pattern!(r"\.check_hostname\s*=\s*False\b").is_match(at.bare()) {
        return Hit::when(!at.around(3).contains("CERT_NONE"));
    }
    if !pattern!(r"\bverify\s*=\s*False\b").is_match(at.bare()) {
        return None;
    }
    let http = pattern!(
        r"(?i)\b(?:requests|httpx|session|client|http)\w*\s*\.\s*(?:get|post|put|patch|delete|head|options|request|stream|session|client|asyncclient)\s*\(|\bhttpx\.|\b(?:async)?client\("
    );
    let near = std::iter::once(at.bare().to_owned()).chain(at.before().take(8).map(|line| line.bare().to_owned()));
    for line in near {
        if http.is_match(&line) {
            return Some(Hit::default());
        }
    }
    None
}

fn curl(at: &At<'_>) -> Option<Hit> {
    // single letters without a value, so that `k` is a letter of its own and not part of one
    let off = pattern!(
        r#"\bcurl\s(?:[^|;&#]*\s)?(?:-[0-9aBfgGiIjJlLMnNOpqRsSvZ#]*k[0-9a-zA-Z#]*|--insecure)(?:\s|$|["'\\])|\bwget\s(?:[^|;&#]*\s)?--no-check-certificate\b"#
    );
    let local = pattern!(r"(?:https?://|\s)(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)\b");
    Hit::when(off.is_match(at.code()) && !local.is_match(at.code()))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("tls-python-unverified", "a.py", "r = requests.get(url, verify=False)"),
        fires("tls-python-unverified", "a.py", "r = httpx.post(\n    url,\n    verify=False,\n)"),
        fires("tls-python-unverified", "a.py", "ctx = ssl._create_unverified_context()"),
        fires("tls-python-unverified", "a.py", "ctx.verify_mode = ssl.CERT_NONE"),
        fires("tls-python-unverified", "a.py", "ctx.check_hostname = False"),
        quiet("tls-python-unverified", "a.py", "mode = ssl.CERT_NONE if insecure else ssl.CERT_REQUIRED"),
        quiet("tls-python-unverified", "a.py", "image = load(path, verify=False)"),
        quiet("tls-python-unverified", "a.py", "r = requests.get(url, verify=ca)  # never verify=False"),
        quiet("tls-python-unverified", "a.py", "msg = 'do not pass verify=False to requests.get('"),
        quiet("tls-python-unverified", "a.py", "if ctx.verify_mode == ssl.CERT_NONE:"),
        quiet("tls-python-unverified", "tests/test_a.py", "r = requests.get(url, verify=False)"),
        fires("tls-node-unverified", "a.ts", "const agent = new https.Agent({ rejectUnauthorized: false });"),
        fires("tls-node-unverified", "a.js", "process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';"),
        fires("tls-node-unverified", "a.sh", "export NODE_TLS_REJECT_UNAUTHORIZED=0"),
        quiet("tls-node-unverified", "a.ts", "const agent = new https.Agent({ rejectUnauthorized: true });"),
        quiet("tls-node-unverified", "a.ts", "  rejectUnauthorized: config.strict,"),
        quiet("tls-node-unverified", "a.ts", "if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') warn();"),
        fires("tls-go-unverified", "a.go", "cfg := &tls.Config{InsecureSkipVerify: true}"),
        quiet("tls-go-unverified", "a.go", "cfg := &tls.Config{InsecureSkipVerify: opts.Insecure}"),
        quiet("tls-go-unverified", "a_test.go", "cfg := &tls.Config{InsecureSkipVerify: true}"),
        fires("tls-rust-unverified", "a.rs", "let c = Client::builder().danger_accept_invalid_certs(true);"),
        quiet("tls-rust-unverified", "a.rs", "let c = Client::builder().danger_accept_invalid_certs(args.insecure);"),
        quiet("tls-rust-unverified", "a.rs", "let t = \"danger_accept_invalid_certs(true)\";"),
        fires("tls-jvm-unverified", "A.java", "builder.setSSLHostnameVerifier(NoopHostnameVerifier.INSTANCE);"),
        fires("tls-jvm-unverified", "A.cs", "h.ServerCertificateCustomValidationCallback = (m, c, ch, e) => true;"),
        quiet("tls-jvm-unverified", "A.cs", "h.ServerCertificateCustomValidationCallback = (m, c, ch, e) => Check(c);"),
        fires("tls-ruby-unverified", "a.rb", "http.verify_mode = OpenSSL::SSL::VERIFY_NONE"),
        quiet("tls-ruby-unverified", "a.rb", "http.verify_mode = OpenSSL::SSL::VERIFY_PEER"),
        fires("tls-curl-option-off", "a.php", "curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, false);"),
        fires("tls-curl-option-off", "a.c", "curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);"),
        quiet("tls-curl-option-off", "a.php", "curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, true);"),
        quiet("tls-curl-option-off", "a.c", "curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);"),
        fires("tls-curl-insecure", "a.sh", "curl -sk https://acme.io/x -o x"),
        fires("tls-curl-insecure", "Dockerfile", "RUN curl --insecure -L https://acme.io/x"),
        fires("tls-curl-insecure", "a.sh", "wget -q --no-check-certificate https://acme.io/x"),
        quiet("tls-curl-insecure", "a.sh", "curl -sK curl.cfg https://acme.io/x"),
        quiet("tls-curl-insecure", "a.sh", "curl -fsSL -o kubectl https://acme.io/-k/x"),
        quiet("tls-curl-insecure", "a.sh", "curl -fsS https://acme.io/x | sort -k 2"),
        quiet("tls-curl-insecure", "a.sh", "curl -k https://localhost:8443/healthz"),
        quiet("tls-curl-insecure", "README.md", "curl -k https://acme.io/x"),
        fires("tls-git-unverified", "a.sh", "git config --global http.sslVerify false"),
        fires("tls-git-unverified", "Dockerfile", "ENV GIT_SSL_NO_VERIFY=1"),
        fires("tls-git-unverified", ".gitconfig", "\tsslVerify = false"),
        quiet("tls-git-unverified", "a.sh", "git config --global http.sslVerify true"),
        quiet("tls-git-unverified", "app.ini", "sslverify = false"),
        fires("ssh-host-key-unchecked", "a.sh", "ssh -o StrictHostKeyChecking=no host uptime"),
        fires("ssh-host-key-unchecked", "a.py", "client.set_missing_host_key_policy(paramiko.AutoAddPolicy())"),
        quiet("ssh-host-key-unchecked", "a.sh", "ssh -o StrictHostKeyChecking=accept-new host uptime"),
    ]
}
