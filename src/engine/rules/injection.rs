//! Input that becomes code: SQL, shell commands, `eval`, deserialisation.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "sql-built-from-strings",
            title: "SQL is put together from strings",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.75,
            explanation: "A value that holds a quote ends the literal and goes on as SQL, so whoever supplies it can read and \
                          change other data. Use placeholders and hand the values over separately.",
        },
        scope: Scope::code(&[
            Lang::Python,
            Lang::JavaScript,
            Lang::TypeScript,
            Lang::Go,
            Lang::Java,
            Lang::Kotlin,
            Lang::CSharp,
            Lang::Php,
            Lang::Ruby,
            Lang::Rust,
        ]),
        check: Check::Line(&["select ", "insert ", "update ", "delete ", "drop ", "replace into"], sql),
    },
    Rule {
        info: RuleInfo {
            id: "python-shell-command",
            title: "Shell command is put together from values",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.8,
            explanation: "The shell splits the text once more, so blanks, quotes and `;` in a value become commands. Pass a \
                          list of arguments and leave `shell=True` away, or quote each value with `shlex.quote`.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["shell", "os.system", "os.popen", "getoutput"], python_shell),
    },
    Rule {
        info: RuleInfo {
            id: "js-shell-command",
            title: "Shell command is put together from values",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.75,
            explanation: "The shell splits the text once more, so blanks, quotes and `;` in a value become commands. Use \
                          `execFile` or `spawn` with a list of arguments.",
        },
        scope: Scope::code(Lang::JS),
        check: Check::Line(&["exec"], |at| {
            // `.exec(` alone is a regular expression's
            let call = pattern!(
                r#"(?:^|[^.\w]|\b(?:child_process|childProcess|cp)\.)exec(?:Sync|Async)?\s*\(\s*(?:`[^`]*\$\{|["'][^"']*["']\s*\+)|\.execSync\s*\(\s*(?:`[^`]*\$\{|["'][^"']*["']\s*\+)"#
            );
            Hit::when(call.is_match(at.code()) && call.is_match(&strings_marked(at)))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "eval-of-input",
            title: "Input is evaluated as code",
            severity: Severity::Critical,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Whoever sends the request, or gives the argument, runs code of their own in this process. Parse the \
                          input as data (JSON, `ast.literal_eval`), or look it up in a table of what is allowed.",
        },
        scope: Scope::code(&[Lang::Python, Lang::JavaScript, Lang::TypeScript, Lang::Php, Lang::Ruby, Lang::Perl]),
        check: Check::Line(&["eval", "exec", "include", "require", "function(", "system", "unserialize"], eval),
    },
    Rule {
        info: RuleInfo {
            id: "python-unsafe-pickle",
            title: "Unpickling what may come from outside",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.5,
            explanation: "A pickle names functions to be called while it is read, so whoever can supply it runs code here. Use \
                          JSON or another format of plain data, or check a signature first.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["pickle.load", "dill.load"], |at| {
            let read = pattern!(r"\b(?:c?[pP]ickle|dill|cloudpickle)\.loads?\s*\(\s*([^)]*)");
            let argument = read.first(at.bare())?;
            let outside = pattern!(
                r"(?i)\b(?:request|req|body|payload|recv|socket|sock|message|msg|response|resp|uploaded|upload|cookies?|b64decode)\b"
            );
            if outside.is_match(argument) {
                return Some(Hit::default().severity(Severity::High).confidence(0.8));
            }
            // `pickle.load(f)`: a file that the program wrote itself, as a rule
            Hit::when(at.bare().contains(".loads"))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "python-unsafe-yaml",
            title: "YAML may name classes to be made",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Without a safe loader a document can make any Python object and so run code while it is read; newer \
                          versions of PyYAML refuse the call without a loader. Use `yaml.safe_load`.",
        },
        scope: Scope::code(&[Lang::Python]),
        check: Check::Line(&["yaml.load", "yaml.unsafe_load", "yaml.full_load"], |at| {
            let unsafe_call = pattern!(r"\byaml\.(?:load(?:_all)?|unsafe_load(?:_all)?)\s*\(");
            let safe = pattern!(r"\b\w*(?:Safe|Base)Loader\b|\bLoader\s*=\s*\w*(?:safe|Safe|SAFE)\w*");
            // the loader may stand on one of the next lines; ruamel's `YAML().load` is another matter
            let call: String = std::iter::once(at.bare().to_owned())
                .chain(at.after().take(4).map(|line| line.bare().to_owned()))
                .collect::<Vec<_>>()
                .join(" ");
            Hit::when(unsafe_call.is_match(at.bare()) && !safe.is_match(&call))
        }),
    },
];

/// The code of the line with what stands in strings replaced, except for `${`, so that only real quotes are seen.
fn strings_marked(at: &At<'_>) -> String {
    let (code, bare) = (at.code().as_bytes(), at.bare().as_bytes());
    let mut marked: Vec<u8> = bare.to_vec();
    for index in 1..code.len().min(bare.len()) {
        if &code[index - 1..=index] == b"${" {
            marked[index - 1..=index].copy_from_slice(b"${");
        }
    }
    String::from_utf8_lossy(&marked).into_owned()
}

fn sql(at: &At<'_>) -> Option<Hit> {
    const VERB: &str =
        r"(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s|DELETE\s+FROM\s|DROP\s+(?:TABLE|DATABASE)\s|REPLACE\s+INTO\s)";
    let code = at.code();
    let call = pattern!(
        r"(?i)(?:\.|->|::|\b)(?:execute(?:many|script|query|update|_batch|sql|raw)?|query(?:row|_row|_one|_map|_as|rowcontext|context|raw|rawunsafe)?|exec(?:context|sql|_query)?|prepare|raw|select_all|find_by_sql|rawquery|createquery|createnativequery|\$queryrawunsafe|\$executerawunsafe|(?:mysqli?|pg)_query)\s*(?:::<[^>]*>)?\(([^;]*)"
    );
    // in a docstring it is an example
    if !call.is_match(at.bare()) {
        return None;
    }
    let arguments = call.first(code)?;
    let found = match at.subject.lang {
        Lang::Python => {
            let format = pattern!(&format!(r#"(?i)^\s*(?:\w+\(\s*)?(?:r?f|fr)("{{1,3}}\s*{VERB}.*|'{{1,3}}\s*{VERB}.*)"#));
            let join = pattern!(&format!(
                r#"(?i)^\s*(?:\w+\(\s*)?(?:"{{1,3}}\s*{VERB}[^"]*"{{1,3}}|'{{1,3}}\s*{VERB}[^']*'{{1,3}})\s*(?:\+\s*[\w(]|%\s*[\w(]|\.format\()"#
            ));
            format.first(arguments).is_some_and(|text| holds_value(text, pattern!(r"\{([^{}!:]+)(?:[!:][^{}]*)?\}")))
                || join.is_match(arguments)
        }
        Lang::JavaScript | Lang::TypeScript => {
            let template = pattern!(&format!(r"(?i)^\s*(`\s*{VERB}[^`]*)"));
            let join = pattern!(&format!(
                r#"(?i)^\s*(?:"\s*{VERB}[^"]*"|'\s*{VERB}[^']*'|`\s*{VERB}[^`]*`)\s*\+\s*[\w(]"#
            ));
            template.first(arguments).is_some_and(|text| holds_value(text, pattern!(r"\$\{([^{}]+)\}")))
                || join.is_match(arguments)
        }
        Lang::Go => pattern!(&format!(
            r#"(?i)^\s*(?:\w+\s*,\s*)?(?:fmt\.Sprintf\(\s*["`]\s*{VERB}[^"`]*%[svq+]|["`]\s*{VERB}[^"`]*["`]\s*\+\s*[\w(])"#
        ))
        .is_match(arguments),
        Lang::Rust => pattern!(&format!(r#"(?i)^\s*&?format!\(\s*r?#*"\s*{VERB}[^"]*\{{[a-z_]*[:?]*\}}"#)).is_match(arguments),
        Lang::Php => pattern!(&format!(
            r#"(?i)^\s*(?:\$\w+\s*,\s*)?(?:"\s*{VERB}[^"]*\{{?\$[a-z_]|["']\s*{VERB}(?:[^"']|'')*["']\s*\.\s*\$)"#
        ))
        .is_match(arguments),
        Lang::Ruby => pattern!(&format!(r#"(?i)^\s*"\s*{VERB}[^"]*\#\{{"#)).is_match(arguments),
        Lang::CSharp => pattern!(&format!(
            r#"(?i)^\s*(?:\$@?"\s*{VERB}[^"]*\{{\w|"\s*{VERB}[^"]*"\s*\+\s*[\w(])"#
        ))
        .is_match(arguments),
        Lang::Java | Lang::Kotlin => pattern!(&format!(
            r#"(?i)^\s*(?:"\s*{VERB}[^"]*"\s*\+\s*[a-z(]|"\s*{VERB}[^"]*\$\{{?[a-z])"#
        ))
        .is_match(arguments),
        _ => false,
    };
    Hit::when(found && !constant_joined(arguments))
}

/// Whether the text has a placeholder that is no constant: `TABLE`, `self.table_name`, `", ".join("?" …)`.
fn holds_value(text: &str, placeholder: &super::Pattern) -> bool {
    let fixed = pattern!(
        r#"^\s*(?:[\w.]*\.)?_?[A-Z][A-Z0-9_]*\s*$|(?i)\b(?:table|column|columns|cols|schema|placeholders?|marks|fields|sql|where|order|tbl)(?:_?names?|_?list|_?clause|_?sql|_?by)?\s*$|(?i)\bjoin\(|\b(?:quote|escape|identifier)\w*\("#
    );
    placeholder.all(text).any(|value| !fixed.is_match(value))
}

/// `"SELECT … " + COLUMNS`.
fn constant_joined(arguments: &str) -> bool {
    let joined = pattern!(r#"["'`]\s*\+\s*([\w.]+)"#);
    let constant = pattern!(
        r"^(?:[\w.]*\.)?_?[A-Z][A-Z0-9_]*$|(?i)^(?:[\w.]*\.)?(?:table|columns?|cols|schema|placeholders?|fields)(?:_?names?|_?list)?$"
    );
    let mut names = joined.all(arguments).peekable();
    names.peek().is_some() && names.all(|name| constant.is_match(name))
}

fn python_shell(at: &At<'_>) -> Option<Hit> {
    const BUILT: &str = r#"\s*(?:cmd\s*=\s*|args\s*=\s*)?(?:r?f|fr)["'][^\n]*\{[^}]|\s*(?:"[^"]*"|'[^']*')\s*(?:\+\s*\w|%\s*[\w(]|\.format\()"#;
    let direct = pattern!(&format!(
        r"\b(?:os\.(?:system|popen)|(?:subprocess|commands)\.getoutput|subprocess\.getstatusoutput)\((?:{BUILT})"
    ));
    let quoted = |text: &str| text.contains("shlex.quote") || text.contains("quote(");
    let called = pattern!(r"\b(?:system|popen|getoutput|getstatusoutput)\(").is_match(at.bare());
    if called && direct.is_match(at.code()) {
        return Hit::when(!quoted(at.code()));
    }
    if !pattern!(r"\bshell\s*=\s*True\b").is_match(at.bare()) {
        return None;
    }
    // the call may have begun some lines above
    let opens = pattern!(r"\b(?:subprocess\.)?(?:run|call|check_call|check_output|Popen)\s*\(");
    let mut lines = vec![at.code().to_owned()];
    if !opens.is_match(at.code()) {
        for line in at.before().take(6) {
            lines.push(line.code().to_owned());
            if opens.is_match(line.code()) {
                break;
            }
        }
    }
    lines.reverse();
    let call = lines.join("\n");
    let built = pattern!(&format!(r"\b(?:run|call|check_call|check_output|Popen)\s*\((?:{BUILT})"));
    Hit::when(built.is_match(&call) && !quoted(&call))
}

fn eval(at: &At<'_>) -> Option<Hit> {
    let pattern = match at.subject.lang {
        Lang::Python => pattern!(
            r"(?:^|[^.\w])(?:eval|exec)\s*\(.*\b(?:request\.(?:args|form|json|data|values|GET|POST|body|query_params|get_json)|input\s*\(|sys\.argv)"
        ),
        Lang::JavaScript | Lang::TypeScript => {
            pattern!(
                r"(?:^|[^.\w])(?:eval|new\s+Function)\s*\(.*\b(?:req(?:uest)?\.(?:body|query|params|headers|cookies)|location\.(?:hash|search|href)|process\.argv|event\.data)\b"
            )
        }
        Lang::Php => {
            pattern!(
                r"(?:^|[^>\w:])(?:eval|assert|unserialize|system|exec|shell_exec|passthru|popen|proc_open)\s*\(.*\$_(?:GET|POST|REQUEST|COOKIE)\b|\b(?:include|require)(?:_once)?\b[\s(]*[^;]*\$_(?:GET|POST|REQUEST|COOKIE)\b"
            )
        }
        Lang::Ruby => pattern!(r"(?:^|[^\w])(?:eval|instance_eval|class_eval|system|exec)[\s(].*\bparams\["),
        Lang::Perl => pattern!(r"\beval\s*\(?\s*.*\bparam\("),
        _ => return None,
    };
    let escaped = at.bare().contains("escapeshellarg(") || at.bare().contains("literal_eval(");
    Hit::when(!escaped && pattern.is_match(at.bare()))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("sql-built-from-strings", "a.py", "cur.execute(f\"SELECT * FROM users WHERE name = '{name}'\")"),
        fires("sql-built-from-strings", "a.py", "cur.execute(\"SELECT * FROM users WHERE id = \" + user_id)"),
        fires("sql-built-from-strings", "a.py", "cur.execute('DELETE FROM users WHERE id = %s' % user_id)"),
        fires("sql-built-from-strings", "a.py", "db.execute(text(f\"UPDATE users SET name = '{name}'\"))"),
        fires("sql-built-from-strings", "a.js", "await db.query(`SELECT * FROM users WHERE id = ${req.params.id}`);"),
        fires(
            "sql-built-from-strings",
            "a.go",
            "rows, err := db.Query(fmt.Sprintf(\"SELECT * FROM t WHERE n = '%s'\", n))",
        ),
        fires("sql-built-from-strings", "A.java", "stmt.executeQuery(\"SELECT * FROM t WHERE n = '\" + name + \"'\");"),
        fires("sql-built-from-strings", "a.php", "$db->query(\"SELECT * FROM t WHERE id = $id\");"),
        fires(
            "sql-built-from-strings",
            "a.rb",
            "ActiveRecord::Base.connection.execute(\"DELETE FROM t WHERE id = #{id}\")",
        ),
        fires("sql-built-from-strings", "a.rs", "conn.execute(&format!(\"DELETE FROM t WHERE n = '{name}'\"), [])?;"),
        quiet("sql-built-from-strings", "a.py", "cur.execute(\"SELECT * FROM users WHERE id = %s\", (user_id,))"),
        quiet("sql-built-from-strings", "a.py", "cur.execute(f\"SELECT * FROM {TABLE} WHERE id = ?\", (user_id,))"),
        quiet("sql-built-from-strings", "a.py", "cur.execute(f\"SELECT * FROM t WHERE id IN ({placeholders})\", ids)"),
        quiet(
            "sql-built-from-strings",
            "a.py",
            "\"\"\"Never do this:\n\n    query(f\"SELECT * FROM t WHERE id = {x}\")\n\"\"\"",
        ),
        quiet("sql-built-from-strings", "a.py", "log.info(f\"SELECT {n} rows\")"),
        quiet("sql-built-from-strings", "a.py", "cur.execute(\"SELECT a \" + COLUMNS)"),
        quiet("sql-built-from-strings", "a.js", "await sql`SELECT * FROM users WHERE id = ${id}`;"),
        quiet("sql-built-from-strings", "a.js", "await db.query('SELECT * FROM users WHERE id = $1', [id]);"),
        quiet("sql-built-from-strings", "a.js", "await db.query('SELECT a FROM t ' + 'WHERE id = $1', [id]);"),
        quiet("sql-built-from-strings", "a.go", "rows, err := db.Query(\"SELECT * FROM t WHERE n = ?\", n)"),
        quiet("sql-built-from-strings", "A.java", "stmt.prepareStatement(\"SELECT a FROM t \" + \"WHERE n = ?\");"),
        quiet("sql-built-from-strings", "a.php", "$db->query('SELECT * FROM t WHERE price = $id');"),
        quiet(
            "sql-built-from-strings",
            "tests/test_a.py",
            "cur.execute(f\"SELECT * FROM users WHERE name = '{name}'\")",
        ),
        fires("python-shell-command", "a.py", "subprocess.run(f\"tar xf {path}\", shell=True)"),
        fires("python-shell-command", "a.py", "subprocess.check_output(\n    f\"git log {ref}\",\n    shell=True,\n)"),
        fires("python-shell-command", "a.py", "os.system('rm ' + path)"),
        quiet("python-shell-command", "a.py", "subprocess.run(\"ls | wc -l\", shell=True)"),
        quiet("python-shell-command", "a.py", "subprocess.run([\"tar\", \"xf\", path])"),
        quiet("python-shell-command", "a.py", "subprocess.run(f\"tar xf {shlex.quote(path)}\", shell=True)"),
        quiet("python-shell-command", "a.py", "os.system('clear')"),
        fires("js-shell-command", "a.js", "exec(`git log ${ref}`, done);"),
        fires("js-shell-command", "a.ts", "child_process.execSync('rm -r ' + dir);"),
        quiet("js-shell-command", "a.js", "const m = /a/.exec(`${text}`);"),
        quiet("js-shell-command", "a.js", "exec('git status', done);"),
        quiet("js-shell-command", "a.js", "execFile('git', ['log', ref], done);"),
        fires("eval-of-input", "a.py", "result = eval(request.args['q'])"),
        fires("eval-of-input", "a.js", "const f = new Function(req.body.code);"),
        fires("eval-of-input", "a.php", "include($_GET['page'] . '.php');"),
        fires("eval-of-input", "a.php", "system('ping ' . $_POST['host']);"),
        fires("eval-of-input", "a.rb", "eval(params[:code])"),
        quiet("eval-of-input", "a.py", "model.eval()"),
        quiet("eval-of-input", "a.py", "x = ast.literal_eval(request.args['q'])"),
        quiet("eval-of-input", "a.py", "print('eval(request.args)')"),
        quiet("eval-of-input", "a.js", "const match = pattern.exec(req.query.q);"),
        quiet("eval-of-input", "a.php", "include 'page.php'; $x = $_GET['y'];"),
        quiet("eval-of-input", "a.php", "system('ping ' . escapeshellarg($_POST['host']));"),
        fires("python-unsafe-pickle", "a.py", "obj = pickle.loads(request.data)"),
        fires("python-unsafe-pickle", "a.py", "obj = pickle.load(request.files['model'])"),
        quiet("python-unsafe-pickle", "a.py", "data = pickle.dumps(obj)"),
        quiet("python-unsafe-pickle", "a.py", "model = pickle.load(f)"),
        quiet("python-unsafe-pickle", "tests/test_a.py", "obj = pickle.loads(data)"),
        fires("python-unsafe-yaml", "a.py", "cfg = yaml.load(f)"),
        fires("python-unsafe-yaml", "a.py", "cfg = yaml.load(f, Loader=yaml.Loader)"),
        quiet("python-unsafe-yaml", "a.py", "cfg = yaml.safe_load(f)"),
        quiet("python-unsafe-yaml", "a.py", "cfg = yaml.load(f, Loader=yaml.CSafeLoader)"),
        quiet("python-unsafe-yaml", "a.py", "cfg = yaml.load(\n    f,\n    Loader=yaml.SafeLoader,\n)"),
        quiet("python-unsafe-yaml", "a.js", "const cfg = yaml.load(text);"),
    ]
}
