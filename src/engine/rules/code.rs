//! Faults of code that one can be sure of from a line or two.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "code-weak-password-hash",
            title: "Password is hashed with MD5 or SHA-1",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.85,
            explanation: "A graphics card tries billions of these hashes per second, so a leaked table gives the passwords away. \
                          Use Argon2id, scrypt or bcrypt, with a salt of its own for each password.",
        },
        scope: Scope::code(Lang::CODE),
        check: Check::Line(&["md5", "sha1", "sha-1"], weak_hash),
    },
    Rule {
        info: RuleInfo {
            id: "code-weak-random",
            title: "Secret from a predictable random number",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.8,
            explanation: "This generator is made for games and statistics: who sees some of its output can work out the rest. \
                          Use the system's generator (`secrets`, `crypto.randomBytes`, `SecureRandom`, `crypto/rand`).",
        },
        scope: Scope::code(&[Lang::Python, Lang::JavaScript, Lang::TypeScript, Lang::Java, Lang::Kotlin, Lang::Php]),
        check: Check::Line(&["random", "rand(", "shuffle("], |at| {
            let weak = pattern!(
                r"(?i)\b\w*(?:password|passwd|secret|token|otp|nonce|session_?id|api_?key|salt|reset_?code|csrf)\s*(?::\s*\w+\s*)?=[^=].*(?-i:\bMath\.random\(\)|(?:^|[^.\w])random\.(?:choice|choices|randint|random|sample|getrandbits|randrange)\(|\bnew Random\(|\bmt_rand\(|[^_\w.]rand\()"
            );
            // words of a text are tokens too
            let words = pattern!(r"(?i)SystemRandom|vocab|tokens|words|corpus");
            Hit::when(weak.is_match(at.bare()) && !words.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "code-jwt-unverified",
            title: "Signature of a JSON Web Token is not checked",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.8,
            explanation: "Anyone can write a token that says what they like, and it is believed. Check the signature, and allow \
                          the algorithms that you sign with, never `none`.",
        },
        scope: Scope::code(&[
            Lang::Python,
            Lang::JavaScript,
            Lang::TypeScript,
            Lang::Go,
            Lang::Java,
            Lang::Php,
            Lang::Ruby,
            Lang::Rust,
        ]),
        check: Check::Line(
            &["verify_signature", "algorithm", "insecure_disable_signature_validation", "jwt.decode"],
            |at| {
                // a name that is not quoted must be code, and not part of a longer string
                let quoted = pattern!(
                    r#"["']verify_signature["']\s*(?::|=>)\s*(?i:false)\b|["']algorithms?["']\s*(?::|=>)\s*\[?\s*["'](?i:none)["']"#
                );
                let named = pattern!(r#"\balgorithms?\s*[:=]\s*\[?\s*["'](?i:none)["']"#);
                let call = pattern!(
                    r"\bjwt\.decode\s*\(.*\bverify\s*=\s*False\b|\binsecure_disable_signature_validation\s*\(\s*\)|\bverify_signature\s*[:=]\s*(?i:false)\b"
                );
                let named = named.is_match(at.code()) && at.bare().contains("algorithm");
                Hit::when(named || quoted.is_match(at.code()) || call.is_match(at.bare()))
            },
        ),
    },
    Rule {
        info: RuleInfo {
            id: "python-flask-debug",
            title: "Web server with a debugger for everyone",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.75,
            explanation: "The debugger of Werkzeug runs any code that a visitor types into an error page. Take the setting from \
                          the environment and leave it off in production.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["debug"], |at| {
            let debug = pattern!(r"\b(?:app|application|server|socketio)\.run\s*\(.*\bdebug\s*=\s*True\b");
            Hit::when(debug.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "code-temporary-name",
            title: "Temporary file by a name that others can take first",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Between the choice of the name and the opening of the file another user can put a link there. Use a \
                          call that opens the file itself (`mkstemp`, `NamedTemporaryFile`).",
        },
        scope: Scope::code(&[Lang::Python, Lang::C]),
        check: Check::Line(&["mktemp", "tmpnam", "tempnam"], |at| {
            let call = match at.subject.lang {
                Lang::Python => pattern!(r"\btempfile\.mktemp\s*\(|\bos\.tempnam\s*\("),
                // behind a star it is declared
                _ => pattern!(r"(?:^|[^.\w>*:\s]\s*|^\s+)(?:mktemp|tmpnam|tempnam)\s*\(\s*[^)]"),
            };
            Hit::when(call.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "c-gets",
            title: "Reads a line without a bound",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.95,
            explanation: "`gets` writes past the end of the buffer when the line is longer; it was taken out of C11 for that. Use \
                          `fgets` with the size of the buffer.",
        },
        scope: Scope::code(&[Lang::C]),
        check: Check::Line(&["gets"], |at| {
            Hit::when(pattern!(r"(?:^|[^.\w>:*&~])gets\s*\(\s*\w+\s*\)").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "python-swallowed-exception",
            title: "Every exception is dropped",
            severity: Severity::Medium,
            category: Category::Reliability,
            confidence: 0.75,
            explanation: "Faults of any kind, misspelt names included, vanish here without a trace, and the program goes on with \
                          whatever state is left. Name the exception that is meant, or log it.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["except"], |at| {
            let all = pattern!(r"^\s*except(?:\s+\(?(?:Base)?Exception\)?(?:\s+as\s+\w+)?)?\s*:\s*(pass|\.\.\.)?\s*$");
            if !all.is_match(at.bare()) || !at.comment().is_empty() {
                return None;
            }
            // a bare `except` also keeps the program from being stopped
            let bare = pattern!(r"\bexcept\s*:|BaseException").is_match(at.bare());
            let severity = if bare { Severity::Medium } else { Severity::Low };
            if pattern!(r":\s*(?:pass|\.\.\.)\s*$").is_match(at.bare()) {
                return Some(Hit::default().severity(severity));
            }
            let next = at.after().next()?;
            let dropped = pattern!(r"^\s*(?:pass|\.\.\.)\s*$").is_match(next.bare()) && next.comment().is_empty();
            dropped.then(|| Hit::lines(at.number(), next.number()).severity(severity))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "code-empty-catch",
            title: "Errors are dropped",
            severity: Severity::Low,
            category: Category::Reliability,
            confidence: 0.65,
            explanation: "Whatever goes wrong in the block above vanishes here, and nobody learns why the result is missing. \
                          Handle or log the error, or say in a comment why it may be ignored.",
        },
        scope: Scope::code(&[
            Lang::JavaScript,
            Lang::TypeScript,
            Lang::Java,
            Lang::Kotlin,
            Lang::Scala,
            Lang::CSharp,
            Lang::Php,
            Lang::C,
        ]),
        check: Check::Line(&["catch"], empty_catch),
    },
    Rule {
        info: RuleInfo {
            id: "python-mutable-default",
            title: "Default value is shared by all calls",
            severity: Severity::Medium,
            category: Category::Correctness,
            confidence: 0.85,
            explanation: "The list or dictionary is made once, when the function is defined, so what one call puts into it the \
                          next call finds there. Default to `None` and make a new one inside.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["def "], mutable_default),
    },
    Rule {
        info: RuleInfo {
            id: "python-is-literal",
            title: "Compares identity with a literal",
            severity: Severity::Medium,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "`is` asks whether both are the same object, which for strings and numbers depends on the interpreter's \
                          cache; Python warns about it. Use `==` or `!=`.",
        },
        scope: Scope::code(&[Lang::Python]).and_tests(),
        check: Check::Line(&[" is "], |at| {
            let literal = pattern!(
                r#"\b(?:if|elif|while|and|or|not|return|assert)\b.*[\w\])]\s+is\s+(?:not\s+)?(?:["']|-?[0-9])"#
            );
            Hit::when(literal.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "js-compare-nan",
            title: "Comparison with NaN",
            severity: Severity::Medium,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "NaN differs from everything, itself included, so this is the same whatever the value. Use \
                          `Number.isNaN`.",
        },
        scope: Scope::code(Lang::JS).and_tests(),
        check: Check::Line(&["nan"], |at| {
            Hit::when(pattern!(r"[!=]==?\s*(?:Number\.)?NaN\b|\bNaN\s*[!=]==?").is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "python-assert-tuple",
            title: "Assertion that always holds",
            severity: Severity::Medium,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "The parentheses make a tuple of condition and message, and a tuple that is not empty is true. Take the \
                          parentheses away.",
        },
        scope: Scope::code(&[Lang::Python]).and_tests(),
        check: Check::Line(&["assert"], |at| {
            Hit::when(
                pattern!(r#"^\s*assert\s*\(\s*[^()]*(?:\([^()]*\)[^()]*)*,\s*f?["'][^()]*\)\s*$"#).is_match(at.bare()),
            )
        }),
    },
];

fn weak_hash(at: &At<'_>) -> Option<Hit> {
    let of_password = pattern!(
        r"(?i)\b(?:hashlib\.|crypto\.|digest::|messagedigest\.)?(?:md5|sha1)(?:sum|hex|_hex|::digest|\.new|\.hexdigest|\.sum|\.update)?\s*\(\s*[^;]*\b\w*(?:password|passwd|passphrase)\b|\b\w*(?:password|passwd)(?:_?hash)?\w*\s*(?::?=|:)\s*[^=;]*\b(?:hashlib\.|crypto\.)?(?:md5|sha1)(?:sum|hex)?\w*\s*\(|\bcreatehash\s*\(\s*\)\s*\.update\s*\(\s*\w*password"
    );
    let node =
        pattern!(r#"(?i)\bcreateHash\s*\(\s*["'](?:md5|sha1)["']\s*\)\s*\.update\s*\(\s*[\w.]*(?:password|passwd)\b"#);
    // the service answers to prefixes of SHA-1
    let pwned = || at.around(10).to_ascii_lowercase().contains("pwned");
    Hit::when((of_password.is_match(at.bare()) || node.is_match(at.code())) && !pwned())
}

/// Most such defaults are only read: the body must be seen to change or keep the value.
fn mutable_default(at: &At<'_>) -> Option<Hit> {
    let head = pattern!(r"^\s*(?:async\s+)?def\s+\w+\s*\(");
    let default =
        pattern!(r"[(,]\s*([A-Za-z_]\w*)\s*(?::[^=]*)?=\s*(?:\[\s*\]|\{\s*\}|list\(\)|dict\(\)|set\(\))\s*(?:[,)]|$)");
    if !head.is_match(at.bare()) {
        return None;
    }
    // `_cache={}` is shared on purpose
    let meant = pattern!(r"(?i)^_|cache|memo|seen");
    let names: Vec<&str> = default.all(at.bare()).filter(|name| !meant.is_match(name)).collect();
    if names.is_empty() {
        return None;
    }
    let changed = pattern!(
        r"\b([A-Za-z_]\w*)(?:\.(?:append|extend|insert|add|update|setdefault|pop|popitem|remove|clear|sort)\(|\[[^\]]*\]\s*[+|-]?=[^=]|\s*\+=)"
    );
    let kept = pattern!(r"\bself\.\w+\s*=\s*([A-Za-z_]\w*)\s*$");
    let indent = |text: &str| text.len() - text.trim_start().len();
    let own = indent(at.text());
    let mut body = at.after().take(60).take_while(|line| {
        line.text().trim().is_empty() || indent(line.text()) > own || line.text().trim_start().starts_with(')')
    });
    let found = body.any(|line| {
        let mut touched = changed.all(line.bare()).chain(kept.all(line.bare()));
        touched.any(|name| names.contains(&name))
    });
    Hit::when(found)
}

fn empty_catch(at: &At<'_>) -> Option<Hit> {
    let opens = pattern!(r"\bcatch\s*(?:\(([^()]*(?:\([^()]*\))?[^()]*)\))?\s*\{\s*(?:\}.*)?$");
    let code = at.bare();
    if !opens.is_match(code) || !at.comment().is_empty() {
        return None;
    }
    let meant = pattern!(r"\bcatch\s*\(.*\b(?:_|ignored?|expected|unused)\w*\s*\)");
    if meant.is_match(code) {
        return None;
    }
    if pattern!(r"\bcatch\s*(?:\(.*\))?\s*\{\s*\}").is_match(code) {
        return Some(Hit::default());
    }
    if code.trim_end().ends_with('}') {
        return None;
    }
    let next = at.after().next()?;
    let closed = next.bare().trim_start().starts_with('}') && next.comment().is_empty();
    closed.then(|| Hit::lines(at.number(), next.number()))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("code-weak-password-hash", "a.py", "digest = hashlib.md5(password.encode()).hexdigest()"),
        fires("code-weak-password-hash", "a.php", "$hash = sha1($user_password);"),
        fires(
            "code-weak-password-hash",
            "a.js",
            "const h = crypto.createHash('md5').update(user.password).digest('hex');",
        ),
        quiet("code-weak-password-hash", "a.py", "etag = hashlib.md5(body).hexdigest()"),
        quiet("code-weak-password-hash", "a.py", "# hashlib.md5(password) was used up to 2.0"),
        quiet(
            "code-weak-password-hash",
            "a.py",
            "url = 'https://api.pwnedpasswords.com/range/'\nh = hashlib.sha1(password.encode()).hexdigest()",
        ),
        quiet("code-weak-password-hash", "a.py", "hash = hashlib.sha256(password)"),
        fires("code-weak-random", "a.py", "token = ''.join(random.choice(ALPHABET) for _ in range(32))"),
        fires("code-weak-random", "a.ts", "const resetToken = Math.random().toString(36);"),
        quiet("code-weak-random", "a.ts", "const key = Math.random();"),
        quiet("code-weak-random", "a.py", "token = random.choice(self.vocabulary)"),
        quiet("code-weak-random", "a.py", "token = secrets.choice(ALPHABET)"),
        quiet("code-weak-random", "a.py", "token = random.SystemRandom().choice(ALPHABET)"),
        fires("code-jwt-unverified", "a.py", "claims = jwt.decode(t, options={\"verify_signature\": False})"),
        fires("code-jwt-unverified", "a.ts", "sign(claims, '', { \"algorithm\": \"none\" });"),
        quiet("code-jwt-unverified", "a.rs", "let bad = \"verify(t, { algorithms: ['none'] })\";"),
        fires("code-jwt-unverified", "a.js", "jwt.verify(t, key, { algorithms: ['none'] });"),
        quiet("code-jwt-unverified", "a.py", "claims = jwt.decode(t, key, algorithms=[\"RS256\"])"),
        quiet("code-jwt-unverified", "a.js", "const options = { algorithm: 'nonesuch' };"),
        fires("python-flask-debug", "a.py", "    app.run(host='0.0.0.0', debug=True)"),
        quiet("python-flask-debug", "a.py", "    app.run(debug=settings.DEBUG)"),
        quiet("python-flask-debug", "a.py", "    asyncio.run(main(), debug=True)"),
        fires("code-temporary-name", "a.py", "path = tempfile.mktemp(suffix='.txt')"),
        fires("code-temporary-name", "a.c", "char *name = tmpnam(buffer);"),
        quiet("code-temporary-name", "a.py", "fd, path = tempfile.mkstemp()"),
        quiet("code-temporary-name", "a.sh", "dir=$(mktemp -d)"),
        quiet("code-temporary-name", "a.h", "char *tmpnam(char *);"),
        fires("c-gets", "a.c", "    gets(line);"),
        quiet("c-gets", "a.c", "    fgets(line, sizeof line, stdin);"),
        quiet("c-gets", "a.cpp", "    reader.gets(line);"),
        fires("python-swallowed-exception", "a.py", "try:\n    f()\nexcept:\n    pass\n"),
        fires("python-swallowed-exception", "a.py", "try:\n    f()\nexcept Exception as e:\n    pass\n"),
        quiet("python-swallowed-exception", "a.py", "try:\n    f()\nexcept KeyError:\n    pass\n"),
        quiet("python-swallowed-exception", "a.py", "try:\n    f()\nexcept Exception:\n    pass  # best effort\n"),
        quiet("python-swallowed-exception", "a.py", "try:\n    f()\nexcept Exception:\n    log.exception('f')\n"),
        fires("code-empty-catch", "a.ts", "try { f(); } catch (e) {}"),
        fires("code-empty-catch", "A.java", "} catch (IOException e) {\n}\n"),
        quiet("code-empty-catch", "A.java", "} catch (IOException ignored) {\n}\n"),
        quiet("code-empty-catch", "a.ts", "try { f(); } catch { /* not there yet */ }"),
        quiet("code-empty-catch", "a.ts", "} catch (e) {\n  // gone already\n}\n"),
        quiet("code-empty-catch", "a.ts", "} catch (e) {\n  log(e);\n}\n"),
        quiet("code-empty-catch", "a.ts", "promise.catch(() => {});"),
        fires("python-mutable-default", "a.py", "def add(item, to=[]):\n    to.append(item)\n"),
        fires(
            "python-mutable-default",
            "a.py",
            "    async def f(self, a: dict[str, int] = {}, b=1):\n        self.a = a\n",
        ),
        quiet("python-mutable-default", "a.py", "def read(name, _cache={}):\n    _cache[name] = 1\n"),
        quiet("python-mutable-default", "a.py", "def add(item, to=None):\n    to.append(item)\n"),
        quiet("python-mutable-default", "a.py", "def names(item, of={}):\n    return of.get(item)\n"),
        quiet("python-mutable-default", "a.py", "def names(of=[]):\n    pass\n\ndef add(of):\n    of.append(1)\n"),
        quiet("python-mutable-default", "a.py", "x = default(to=[])"),
        fires("python-is-literal", "a.py", "if mode is 'fast':"),
        fires("python-is-literal", "a.py", "    assert n is not 0"),
        quiet("python-is-literal", "a.py", "if mode is None:"),
        quiet("python-is-literal", "a.py", "x = 'what is 5'"),
        quiet("python-is-literal", "a.py", "# if mode is 'fast'"),
        fires("js-compare-nan", "a.js", "if (x === NaN) {"),
        quiet("js-compare-nan", "a.js", "if (Number.isNaN(x)) {"),
        quiet("js-compare-nan", "a.js", "const text = 'x === NaN';"),
        fires("python-assert-tuple", "a.py", "    assert (x == 1, \"x is one\")"),
        quiet("python-assert-tuple", "a.py", "    assert (x == 1), \"x is one\""),
        quiet("python-assert-tuple", "a.py", "    assert f(x, \"one\")"),
        quiet("python-assert-tuple", "a.py", "    assert (f(x, \"one\"))"),
    ]
}
